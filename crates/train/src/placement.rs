//! The placement of a network on devices.

use alexnet_model::{Convolution, Network, Stage};
use burn::tensor::Device;

use crate::TrainError;
#[cfg(feature = "runs")]
use crate::classifier::Classifier;
use crate::config::Recipe;
use crate::mixing::Mixing;

/// The devices of a training. They affect the result only by rounding, and a run can resume on other devices.
#[derive(Debug, Clone)]
pub enum Placement {
    /// Each tower on its own device, in turn. Usually, one device holds all towers (Krizhevsky et al. 2012,
    /// §3.2).
    Towers(Vec<Device>),
    /// The whole network on each device. Each device processes its part of every batch.
    DataParallel(Vec<Device>, Reduction),
}

/// The method that sums the gradients of a batch's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// The first device sums them, updates the weights and copies them to the others. The backends may
    /// differ.
    First,
    /// All devices sum them in the backward pass, with Burn's collective operations for distributed data
    /// parallel training. CUDA devices use NCCL; other backends have none. Each device updates its own
    /// weights.
    AllReduce,
}

impl Placement {
    /// Returns the device that receives batches and computes the loss.
    ///
    /// # Panics
    /// If there is none.
    pub fn first(&self) -> &Device {
        let (Self::Towers(devices) | Self::DataParallel(devices, _)) = self;
        &devices[0]
    }

    /// Returns the devices that hold the towers of the trained weights.
    #[cfg(feature = "runs")]
    pub(crate) fn towers(&self) -> &[Device] {
        match self {
            Self::Towers(devices) => devices,
            Self::DataParallel(devices, _) => &devices[..1],
        }
    }

    /// Returns the same placement with automatic differentiation.
    pub(crate) fn autodiff(&self) -> Self {
        let tracked = |devices: &[Device]| devices.iter().map(|device| device.clone().autodiff()).collect();
        match self {
            Self::Towers(devices) => Self::Towers(tracked(devices)),
            Self::DataParallel(devices, reduction) => Self::DataParallel(tracked(devices), *reduction),
        }
    }

    /// Checks whether a network can use this placement.
    ///
    /// # Errors
    /// If there are more devices than towers, or batches would be divided and a layer normalizes over them.
    pub fn check(&self, network: &Network) -> Result<(), TrainError> {
        match self {
            Self::Towers(devices) if devices.len() > network.towers => Err(TrainError::Config {
                key: "network.towers",
                problem: format!(
                    "{} devices for {} tower(s)",
                    devices.len(),
                    network.towers
                ),
            }),
            Self::DataParallel(..) if network.conv.iter().any(normalizes_batches) => {
                Err(TrainError::Config {
                    key: "network.conv",
                    problem:
                        "batch normalization averages over whole batches, and these would be divided over devices"
                            .to_owned(),
                })
            }
            _ => Ok(()),
        }
    }

    /// Checks whether a recipe can use this placement.
    ///
    /// # Errors
    /// If batches would be divided and images are mixed within them, or a device lacks the recipe's precision.
    pub fn check_recipe(&self, recipe: &Recipe) -> Result<(), TrainError> {
        let (Self::Towers(devices) | Self::DataParallel(devices, _)) = self;
        devices
            .iter()
            .try_for_each(|device| recipe.precision.check(device))
            .map_err(|error| TrainError::Config { key: "recipe.precision", problem: error.to_string() })?;
        match self {
            Self::DataParallel(..) if recipe.mixing != Mixing::None => Err(TrainError::Config {
                key: "recipe.mixing",
                problem: "images are mixed within whole batches, and these would be divided over devices"
                    .to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// Checks that the towers of a model are on the devices of this placement. Moving a module as a whole
    /// silently puts all towers on one device.
    #[cfg(feature = "runs")]
    pub(crate) fn check_model(&self, model: &Classifier) -> Result<(), TrainError> {
        let towers = self.towers();
        let found = model.network().devices();
        let right = found.iter().enumerate().all(|(tower, device)| *device == towers[tower % towers.len()]);
        let message = || format!("towers lie on {found:?}, not on {towers:?}");
        if right { Ok(()) } else { Err(TrainError::Backend { message: message() }) }
    }
}

fn normalizes_batches(layer: &Convolution) -> bool {
    layer.stages.iter().any(|stage| matches!(stage, Stage::BatchNorm(_)))
}
