//! What of a training runs on which devices.

use alexnet_model::{Convolution, Network, Stage};
use burn::tensor::Device;

use crate::TrainError;
use crate::classifier::Classifier;

/// The devices of a training. What is trained does not depend on it but for rounding, and a run may go on elsewhere.
#[derive(Debug, Clone)]
pub enum Placement {
    /// Each tower on a device of its own, in turn; one device for all of them is the usual (Krizhevsky et al. 2012, §3.2).
    Towers(Vec<Device>),
    /// The whole network on each device, which takes its part of every batch.
    DataParallel(Vec<Device>, Reduction),
}

/// Who adds up the gradients of a batch's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// The first device, which alone updates weights and gives the others copies. Backends may differ.
    First,
    /// All of them in the backward pass, by the collective operations with which Burn trains distributed data parallel (NCCL
    /// between CUDA devices; other backends have none). Each updates weights of its own.
    AllReduce,
}

impl Placement {
    /// The device that batches go to and that computes the loss.
    ///
    /// # Panics
    /// If there is none.
    pub fn first(&self) -> &Device {
        let (Self::Towers(devices) | Self::DataParallel(devices, _)) = self;
        &devices[0]
    }

    /// Where the towers of the weights that are trained lie.
    pub(crate) fn towers(&self) -> &[Device] {
        match self {
            Self::Towers(devices) => devices,
            Self::DataParallel(devices, _) => &devices[..1],
        }
    }

    /// With automatic differentiation.
    pub(crate) fn autodiff(&self) -> Self {
        let tracked = |devices: &[Device]| devices.iter().map(|device| device.clone().autodiff()).collect();
        match self {
            Self::Towers(devices) => Self::Towers(tracked(devices)),
            Self::DataParallel(devices, reduction) => Self::DataParallel(tracked(devices), *reduction),
        }
    }

    /// Whether a network can be placed so.
    ///
    /// # Errors
    /// If there are more devices than towers, or batches would be divided and a layer normalizes over them.
    pub fn check(&self, network: &Network) -> Result<(), TrainError> {
        match self {
            Self::Towers(devices) if devices.len() > network.towers => Err(TrainError::Config {
                key: "network.towers",
                problem: format!(
                    "{} devices for {} tower(s); name as many at most, or divide batches with `--data-parallel`",
                    devices.len(),
                    network.towers
                ),
            }),
            Self::DataParallel(..) if network.conv.iter().any(normalizes_batches) => {
                Err(TrainError::Config {
                    key: "network.conv",
                    problem:
                        "batch normalization averages over whole batches, which `--data-parallel` divides; \
                          put towers on `--devices`, or use one"
                            .to_owned(),
                })
            }
            _ => Ok(()),
        }
    }

    /// Where the towers of a model lie, beside where they should: moving a module as a whole puts them all on one device,
    /// without a word.
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
