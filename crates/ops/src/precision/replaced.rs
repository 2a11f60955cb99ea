//! Products on GPU backends in place of those that the backend would choose for f32.

use burn::tensor::{FloatDType, Tensor};

use super::exact;
use crate::Implementation;
use crate::config::{Conv2d, Finish};
use crate::gpu::finish::{finish, finish_features};
use crate::{conv, linear, local};

/// The products.
#[derive(Debug, Clone, Copy)]
pub(super) enum Replaced {
    /// In f32, never in TF32.
    Exact,
    /// Burn's own, of factors in bfloat16.
    Bf16,
}

impl Replaced {
    pub(super) fn conv2d(
        self,
        operations: Implementation,
        feature_maps: Tensor<4>,
        weight: Tensor<4>,
        bias: Tensor<1>,
        options: Conv2d,
    ) -> Tensor<4> {
        let product = |maps, weight| conv::composed::product(maps, weight, None, options);
        let values = match self {
            Self::Exact => exact::convolution(feature_maps, weight, options),
            Self::Bf16 => in_bf16(feature_maps, weight, product),
        };
        finished(operations, values, bias, options.relu)
    }

    pub(super) fn locally_connected2d(
        self,
        feature_maps: Tensor<4>,
        weight: Tensor<4>,
        bias: Tensor<1>,
        kernel: usize,
        options: Conv2d,
    ) -> Tensor<4> {
        let product = |maps, weight| local::composed::product(maps, weight, kernel, options);
        let values = match self {
            Self::Exact => exact::local(feature_maps, weight, kernel, options),
            Self::Bf16 => in_bf16(feature_maps, weight, product),
        };
        local::composed::finished(values, bias, options.relu)
    }

    pub(super) fn linear(
        self,
        operations: Implementation,
        features: Tensor<2>,
        weight: Tensor<2>,
        bias: Tensor<1>,
        steps: Finish,
    ) -> Tensor<2> {
        let values = match self {
            Self::Exact => exact::matrix(features, weight),
            Self::Bf16 => in_bf16(features, weight, Tensor::matmul),
        };
        match operations {
            Implementation::Composed => linear::composed::finished(values + bias.unsqueeze(), steps),
            _ => finish_features(values, bias, &steps),
        }
    }
}

/// Computes a product in bfloat16, and its gradients.
fn in_bf16<const D: usize>(
    values: Tensor<D>,
    weight: Tensor<D>,
    product: impl FnOnce(Tensor<D>, Tensor<D>) -> Tensor<D>,
) -> Tensor<D> {
    product(values.cast(FloatDType::BF16), weight.cast(FloatDType::BF16)).cast(FloatDType::F32)
}

/// The last steps of a convolution.
fn finished(operations: Implementation, values: Tensor<4>, bias: Tensor<1>, relu: bool) -> Tensor<4> {
    match operations {
        Implementation::Composed => {
            let filters = bias.dims()[0];
            let values = values + bias.reshape([1, filters, 1, 1]);
            if relu { operations.relu(values) } else { values }
        }
        _ => finish(values, bias, relu),
    }
}
