//! The precision of a layer's products: convolutions and fully and locally connected layers, forward and backward.
//!
//! Weights, activations, gradients, normalizations and the loss are f32 in each of them.

#[cfg(feature = "gpu")]
mod exact;
#[cfg(feature = "gpu")]
mod patches;
#[cfg(feature = "gpu")]
mod product;
#[cfg(feature = "gpu")]
mod replaced;
#[cfg(all(test, feature = "flex"))]
mod tests;

use std::fmt;

use burn::tensor::{DType, Device, FloatDType, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Implementation;
use crate::backend::multiplies_in_tf32;
use crate::config::{Conv2d, Finish, Pool};
#[cfg(feature = "gpu")]
use replaced::Replaced;

/// The precision of the products of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// f32, in the way of the device: NVIDIA GPUs may multiply it in TF32, and others in f32.
    #[default]
    Device,
    /// f32 with its 24 bits on every device.
    F32,
    /// TF32: factors are rounded to 11 bits and products are added up in f32. Only on NVIDIA GPUs (compute capability 8 and
    /// later), where CubeCL may still take an f32 kernel for a small product.
    Tf32,
    /// bfloat16: factors and results are rounded to 8 bits, and products are added up in f32. On Flex, results are rounded after
    /// the bias, the activation and the pooling that is computed with them. Values that are equal only when they are rounded are
    /// then no ties of that pooling, as they are on a GPU, so their gradients can go to other positions.
    Bf16,
}

/// A device lacks a precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this device does not multiply in `{precision}`; choose one of {}", names(available))]
pub struct PrecisionError {
    precision: Precision,
    available: [bool; 4],
}

fn names(available: &[bool; 4]) -> String {
    let there = Precision::ALL.iter().zip(available).filter(|(_, there)| **there);
    there.map(|(precision, _)| format!("`{precision}`")).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Device => "device",
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        })
    }
}

impl Precision {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Device, Self::F32, Self::Tf32, Self::Bf16];

    /// Returns whether a device has this precision.
    pub fn is_on(self, device: &Device) -> bool {
        match self {
            Self::Device | Self::F32 => true,
            Self::Tf32 => multiplies_in_tf32(device),
            Self::Bf16 => device.supports_dtype(DType::BF16),
        }
    }

    /// Checks that a device has this precision.
    ///
    /// # Errors
    /// If it has not.
    pub fn check(self, device: &Device) -> Result<(), PrecisionError> {
        match self.is_on(device) {
            true => Ok(()),
            false => Err(PrecisionError {
                precision: self,
                available: Self::ALL.map(|precision| precision.is_on(device)),
            }),
        }
    }

    /// [`conv2d`](crate::conv2d).
    pub fn conv2d(
        self,
        operations: Implementation,
        feature_maps: Tensor<4>,
        weight: Tensor<4>,
        bias: Tensor<1>,
        options: Conv2d,
    ) -> Tensor<4> {
        #[cfg(feature = "gpu")]
        if let Some(by) = self.replaced(&feature_maps.device()) {
            return by.conv2d(operations, feature_maps, weight, bias, options);
        }
        self.rounded(feature_maps, weight, |maps, weight| operations.conv2d(maps, weight, bias, options))
    }

    /// [`conv_max_pool2d`](crate::conv_max_pool2d).
    pub fn conv_max_pool2d(
        self,
        operations: Implementation,
        feature_maps: Tensor<4>,
        weight: Tensor<4>,
        bias: Tensor<1>,
        options: Conv2d,
        pool: &Pool,
    ) -> Tensor<4> {
        #[cfg(feature = "gpu")]
        if let Some(by) = self.replaced(&feature_maps.device()) {
            let feature_maps = by.conv2d(operations, feature_maps, weight, bias, options);
            return operations.max_pool2d(feature_maps, pool);
        }
        // Rounding keeps the order of values, so it may as well come after the maximum.
        self.rounded(feature_maps, weight, |maps, weight| {
            operations.conv_max_pool2d(maps, weight, bias, options, pool)
        })
    }

    /// [`locally_connected2d`](crate::locally_connected2d).
    pub fn locally_connected2d(
        self,
        operations: Implementation,
        feature_maps: Tensor<4>,
        weight: Tensor<4>,
        bias: Tensor<1>,
        kernel: usize,
        options: Conv2d,
    ) -> Tensor<4> {
        #[cfg(feature = "gpu")]
        if let Some(by) = self.replaced(&feature_maps.device()) {
            return by.locally_connected2d(feature_maps, weight, bias, kernel, options);
        }
        self.rounded(feature_maps, weight, |maps, weight| {
            operations.locally_connected2d(maps, weight, bias, kernel, options)
        })
    }

    /// [`linear`](crate::linear).
    pub fn linear(
        self,
        operations: Implementation,
        features: Tensor<2>,
        weight: Tensor<2>,
        bias: Tensor<1>,
        finish: Finish,
    ) -> Tensor<2> {
        #[cfg(feature = "gpu")]
        if let Some(by) = self.replaced(&features.device()) {
            return by.linear(operations, features, weight, bias, finish);
        }
        self.rounded(features, weight, |features, weight| operations.linear(features, weight, bias, finish))
    }

    /// Returns the products that this precision needs on a device, if they are not those that the device would choose.
    #[cfg(feature = "gpu")]
    fn replaced(self, device: &Device) -> Option<Replaced> {
        match self {
            Self::Device | Self::Tf32 => None,
            Self::F32 => multiplies_in_tf32(device).then_some(Replaced::Exact),
            Self::Bf16 => crate::backend::is_gpu(device).then_some(Replaced::Bf16),
        }
    }

    /// Computes a layer as the device does, for bfloat16 between values that it has.
    fn rounded<const D: usize>(
        self,
        values: Tensor<D>,
        weight: Tensor<D>,
        layer: impl FnOnce(Tensor<D>, Tensor<D>) -> Tensor<D>,
    ) -> Tensor<D> {
        match self {
            Self::Bf16 => rounded(layer(rounded(values), rounded(weight))),
            Self::Device | Self::F32 | Self::Tf32 => layer(values, weight),
        }
    }
}

/// Rounds values to bfloat16, and their gradient.
fn rounded<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    values.cast(FloatDType::BF16).cast(FloatDType::F32)
}
