//! Selects one of the two implementations of the operations.

use std::fmt;

use burn::tensor::Tensor;

use crate::composed;
use crate::config::{Conv2d, ConvMethod, Finish, Lrn, Pool, SgdStep};

/// The implementation that computes the operations. Its methods are this crate's functions in that
/// implementation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Implementation {
    /// The kernels of this crate where the backend has them.
    #[default]
    Fast,
    /// The same with convolutions by the direct method only.
    Direct,
    /// [`composed`](crate::composed) everywhere, to measure the benefit of the kernels.
    Composed,
}

impl fmt::Display for Implementation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fast => "fast",
            Self::Direct => "direct",
            Self::Composed => "composed",
        })
    }
}

impl Implementation {
    /// [`conv2d`](crate::conv2d).
    pub fn conv2d(
        self,
        feature_maps: Tensor<4>,
        weight: Tensor<4>,
        bias: Tensor<1>,
        options: Conv2d,
    ) -> Tensor<4> {
        match self {
            Self::Fast => crate::conv2d(feature_maps, weight, bias, options),
            Self::Direct => crate::conv2d(feature_maps, weight, bias, direct(options)),
            Self::Composed => composed::conv2d(feature_maps, weight, bias, options),
        }
    }

    /// [`conv_max_pool2d`](crate::conv_max_pool2d).
    pub fn conv_max_pool2d(
        self,
        feature_maps: Tensor<4>,
        weight: Tensor<4>,
        bias: Tensor<1>,
        options: Conv2d,
        pool: &Pool,
    ) -> Tensor<4> {
        match self {
            Self::Fast => crate::conv_max_pool2d(feature_maps, weight, bias, options, pool),
            Self::Direct => crate::conv_max_pool2d(feature_maps, weight, bias, direct(options), pool),
            Self::Composed => composed::conv_max_pool2d(feature_maps, weight, bias, options, pool),
        }
    }

    /// [`locally_connected2d`](crate::locally_connected2d).
    pub fn locally_connected2d(
        self,
        feature_maps: Tensor<4>,
        weight: Tensor<4>,
        bias: Tensor<1>,
        kernel: usize,
        options: Conv2d,
    ) -> Tensor<4> {
        match self {
            Self::Fast | Self::Direct => {
                crate::locally_connected2d(feature_maps, weight, bias, kernel, options)
            }
            Self::Composed => composed::locally_connected2d(feature_maps, weight, bias, kernel, options),
        }
    }

    /// [`linear`](crate::linear).
    pub fn linear(
        self,
        features: Tensor<2>,
        weight: Tensor<2>,
        bias: Tensor<1>,
        finish: Finish,
    ) -> Tensor<2> {
        match self {
            Self::Fast | Self::Direct => crate::linear(features, weight, bias, finish),
            Self::Composed => composed::linear(features, weight, bias, finish),
        }
    }

    /// [`lrn`](crate::lrn).
    pub fn lrn(self, feature_maps: Tensor<4>, lrn: &Lrn) -> Tensor<4> {
        match self {
            Self::Fast | Self::Direct => crate::lrn(feature_maps, lrn),
            Self::Composed => composed::lrn(feature_maps, lrn),
        }
    }

    /// [`spatial_lrn`](crate::spatial_lrn).
    pub fn spatial_lrn(self, feature_maps: Tensor<4>, lrn: &Lrn) -> Tensor<4> {
        match self {
            Self::Fast | Self::Direct => crate::spatial_lrn(feature_maps, lrn),
            Self::Composed => composed::spatial_lrn(feature_maps, lrn),
        }
    }

    /// [`lrn_max_pool2d`](crate::lrn_max_pool2d).
    pub fn lrn_max_pool2d(self, feature_maps: Tensor<4>, lrn: &Lrn, pool: &Pool) -> Tensor<4> {
        match self {
            Self::Fast | Self::Direct => crate::lrn_max_pool2d(feature_maps, lrn, pool),
            Self::Composed => composed::lrn_max_pool2d(feature_maps, lrn, pool),
        }
    }

    /// [`max_pool2d`](crate::max_pool2d).
    pub fn max_pool2d(self, feature_maps: Tensor<4>, pool: &Pool) -> Tensor<4> {
        match self {
            Self::Fast | Self::Direct => crate::max_pool2d(feature_maps, pool),
            Self::Composed => composed::max_pool2d(feature_maps, pool),
        }
    }

    /// [`avg_pool2d`](crate::avg_pool2d).
    pub fn avg_pool2d(self, feature_maps: Tensor<4>, pool: &Pool) -> Tensor<4> {
        match self {
            Self::Fast | Self::Direct => crate::avg_pool2d(feature_maps, pool),
            Self::Composed => composed::avg_pool2d(feature_maps, pool),
        }
    }

    /// [`tanh`](crate::tanh).
    pub fn tanh<const D: usize>(self, values: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Fast | Self::Direct => crate::tanh(values),
            Self::Composed => composed::tanh(values),
        }
    }

    /// [`relu`](crate::relu).
    pub fn relu<const D: usize>(self, values: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Fast | Self::Direct => crate::relu(values),
            Self::Composed => composed::relu(values),
        }
    }

    /// [`sigmoid`](crate::sigmoid).
    pub fn sigmoid<const D: usize>(self, values: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Fast | Self::Direct => crate::sigmoid(values),
            Self::Composed => composed::sigmoid(values),
        }
    }

    /// [`leaky_relu`](crate::leaky_relu).
    pub fn leaky_relu<const D: usize>(self, values: Tensor<D>, slope: f64) -> Tensor<D> {
        match self {
            Self::Fast | Self::Direct => crate::leaky_relu(values, slope),
            Self::Composed => composed::leaky_relu(values, slope),
        }
    }

    /// [`elu`](crate::elu).
    pub fn elu<const D: usize>(self, values: Tensor<D>, alpha: f64) -> Tensor<D> {
        match self {
            Self::Fast | Self::Direct => crate::elu(values, alpha),
            Self::Composed => composed::elu(values, alpha),
        }
    }

    /// [`gelu`](crate::gelu).
    pub fn gelu<const D: usize>(self, values: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Fast | Self::Direct => crate::gelu(values),
            Self::Composed => composed::gelu(values),
        }
    }

    /// [`silu`](crate::silu).
    pub fn silu<const D: usize>(self, values: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Fast | Self::Direct => crate::silu(values),
            Self::Composed => composed::silu(values),
        }
    }

    /// [`group_norm`](crate::group_norm).
    pub fn group_norm(
        self,
        feature_maps: Tensor<4>,
        gain: Tensor<1>,
        shift: Tensor<1>,
        groups: usize,
        epsilon: f64,
    ) -> Tensor<4> {
        crate::batch_norm::normalized_by_group(feature_maps, gain, shift, groups, |maps, one, zero| {
            self.batch_norm(maps, one, zero, epsilon).output
        })
    }

    /// [`batch_norm`](crate::batch_norm).
    pub fn batch_norm(
        self,
        feature_maps: Tensor<4>,
        gain: Tensor<1>,
        shift: Tensor<1>,
        epsilon: f64,
    ) -> crate::BatchNormalized {
        match self {
            Self::Fast | Self::Direct => crate::batch_norm(feature_maps, gain, shift, epsilon),
            Self::Composed => composed::batch_norm(feature_maps, gain, shift, epsilon),
        }
    }

    /// [`cross_entropy`](crate::cross_entropy).
    pub fn cross_entropy(self, logits: Tensor<2>, targets: &[usize]) -> Tensor<1> {
        match self {
            Self::Fast | Self::Direct => crate::cross_entropy(logits, targets),
            Self::Composed => composed::cross_entropy(logits, targets),
        }
    }

    /// [`soft_cross_entropy`](crate::soft_cross_entropy).
    pub fn soft_cross_entropy(self, logits: Tensor<2>, wanted: &[f32]) -> Tensor<1> {
        match self {
            Self::Fast | Self::Direct => crate::soft_cross_entropy(logits, wanted),
            Self::Composed => composed::soft_cross_entropy(logits, wanted),
        }
    }

    /// [`sgd_step`](crate::sgd_step).
    pub fn sgd_step<const D: usize>(
        self,
        weight: Tensor<D>,
        gradient: Tensor<D>,
        velocity: Option<Tensor<D>>,
        step: SgdStep,
    ) -> (Tensor<D>, Tensor<D>) {
        match self {
            Self::Fast | Self::Direct => crate::sgd_step(weight, gradient, velocity, step),
            Self::Composed => {
                let velocity = velocity.unwrap_or_else(|| gradient.zeros_like());
                composed::sgd_step(weight, gradient, velocity, step)
            }
        }
    }
}

fn direct(options: Conv2d) -> Conv2d {
    Conv2d { method: ConvMethod::Direct, ..options }
}
