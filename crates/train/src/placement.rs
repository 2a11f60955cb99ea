//! What of a training runs on which devices.

use alexnet_data::Batch;
use alexnet_model::{Convolution, Network, Stage};
use burn::module::Module;
use burn::optim::GradientsAccumulator;
use burn::tensor::Device;
use burn::train::TrainOutput;

use crate::TrainError;
use crate::classifier::Classifier;
use crate::score::Score;

/// The devices of a training. What is trained does not depend on it but for rounding, and a run may go on elsewhere.
#[derive(Debug, Clone)]
pub enum Placement {
    /// Each tower on a device of its own, in turn; one device for all of them is the usual (Krizhevsky et al. 2012, §3.2).
    Towers(Vec<Device>),
    /// The whole network on each device, which takes its part of every batch; gradients are averaged on the first.
    DataParallel(Vec<Device>),
}

impl Placement {
    /// All on one device.
    pub fn one(device: Device) -> Self {
        Self::Towers(vec![device])
    }

    /// The device that batches go to and that computes the loss.
    ///
    /// # Panics
    /// If there is none.
    pub fn first(&self) -> &Device {
        let (Self::Towers(devices) | Self::DataParallel(devices)) = self;
        &devices[0]
    }

    /// Where the towers of the weights that are trained lie.
    pub(crate) fn towers(&self) -> &[Device] {
        match self {
            Self::Towers(devices) => devices,
            Self::DataParallel(devices) => &devices[..1],
        }
    }

    /// With automatic differentiation.
    pub(crate) fn autodiff(&self) -> Self {
        let tracked = |devices: &[Device]| devices.iter().map(|device| device.clone().autodiff()).collect();
        match self {
            Self::Towers(devices) => Self::Towers(tracked(devices)),
            Self::DataParallel(devices) => Self::DataParallel(tracked(devices)),
        }
    }

    /// Whether a network can be placed so.
    ///
    /// # Errors
    /// If there are more devices than towers.
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
            Self::DataParallel(_) if network.conv.iter().any(normalizes_batches) => Err(TrainError::Config {
                key: "network.conv",
                problem: "batch normalization averages over whole batches, which `--data-parallel` divides; \
                          put towers on `--devices`, or use one"
                    .to_owned(),
            }),
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

/// A training step with a copy of the model on each device, on its part of the batch.
pub(crate) fn parallel_step(model: &Classifier, devices: &[Device], batch: Batch) -> TrainOutput<Score> {
    let images = batch.targets.len();
    let parts = parts(batch, devices.len());
    let outputs: Vec<TrainOutput<Score>> = std::thread::scope(|scope| {
        let started: Vec<_> = devices
            .iter()
            .zip(parts)
            .enumerate()
            .map(|(number, (device, part))| {
                let (replica, device) = (model.clone(), device.clone());
                scope.spawn(move || {
                    let share = part.targets.len() as f64 / images as f64;
                    if number == 0 {
                        return replica.part_of_step(part, share);
                    }
                    let part = Batch { images: part.images.to_device(&device), ..part };
                    replica.fork(&device).part_of_step(part, share)
                })
            })
            .collect();
        let joined = started.into_iter().map(|thread| thread.join());
        joined.map(|output| output.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    let (mut sum, mut score) = (GradientsAccumulator::new(), Score::default());
    // In the order of the devices: the same bits each time where each device gives them.
    for output in outputs {
        score.join(&output.item);
        sum.accumulate(model, output.grads.to_device(&devices[0], model));
    }
    TrainOutput { grads: sum.grads(), item: score }
}

/// A batch in parts of nearly equal size, one a device; fewer if it has fewer images.
fn parts(batch: Batch, devices: usize) -> Vec<Batch> {
    let images = batch.targets.len();
    let bounds: Vec<usize> = (0..=devices).map(|part| part * images / devices).collect();
    let parts = bounds.windows(2).filter(|bounds| bounds[0] < bounds[1]).map(|bounds| {
        let range = bounds[0]..bounds[1];
        Batch {
            images: batch.images.clone().slice([range.clone()]),
            targets: batch.targets[range.clone()].to_vec(),
            keys: batch.keys[range].to_vec(),
        }
    });
    parts.collect()
}
