//! Kernels that are tried out before a run, not in the middle of its first step.

use std::sync::atomic::{AtomicBool, Ordering};

use alexnet_data::Batch;
use alexnet_model::Network;
use alexnet_ops::{Implementation, Key, Precision};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use burn::train::TrainStep;

use crate::TrainError;
use crate::classifier::Classifier;
use crate::placement::Placement;
use crate::rule::{UpdateRule, optimizer};
use crate::update::Elapsed;

/// The batches whose kernels are tried out.
pub struct WarmUp<'a> {
    /// The network.
    pub network: &'a Network,
    /// Its devices, without automatic differentiation.
    pub placement: &'a Placement,
    /// The rule by which gradients change weights.
    pub rule: UpdateRule,
    /// The form of the operations.
    pub operations: Implementation,
    /// The precision of the products.
    pub precision: Precision,
    /// The sizes of training batches.
    pub training: Vec<usize>,
    /// The sizes of batches in evaluation.
    pub evaluation: Vec<usize>,
}

impl WarmUp<'_> {
    /// Trains on made-up images and evaluates them, a step for each size of batch, and discards the results. `heard` receives
    /// what comes next and the part that is done, from 0 to 1; at the end an empty text and 1.
    ///
    /// # Errors
    /// If the network's layers do not fit together, a device fails, or `stop` is set.
    pub fn run(&self, stop: &AtomicBool, heard: &dyn Fn(&str, f64)) -> Result<(), TrainError> {
        let (placements, parts) = match self.placement {
            Placement::Towers(_) => (vec![self.placement.clone()], 1),
            Placement::DataParallel(devices, _) => {
                let alone = |device: &Device| Placement::Towers(vec![device.clone()]);
                (devices.iter().map(alone).collect(), devices.len())
            }
        };
        let (training, evaluation) = (sizes(&self.training), sizes(&self.evaluation));
        let all = (placements.len() * (training.len() + evaluation.len())) as f64;
        let mut done = 0.0;
        for placement in &placements {
            let tracked = placement.autodiff();
            let model = Classifier::new_on(self.network, 0, tracked.towers())?;
            let mut model = model.with_operations(self.operations).with_precision(self.precision);
            let mut optimizer = optimizer(self.network, &self.rule, &Elapsed::default(), self.operations);
            for &size in &training {
                heard(&format!("a training step of {size} images"), done / all);
                // From the second step on there are velocities.
                for _ in 0..2 {
                    check(stop)?;
                    let batch = self.batch(size.div_ceil(parts), tracked.first());
                    let gradients = TrainStep::step(&model, batch).grads;
                    model = optimizer.step(1e-6, model, gradients);
                    wait(placement.first())?;
                }
                done += 1.0;
            }
            let model = model.valid();
            for &size in &evaluation {
                heard(&format!("an evaluation of {size} images"), done / all);
                check(stop)?;
                drop(model.logits(self.images(size, placement.first())).into_data());
                done += 1.0;
            }
        }
        heard("", 1.0);
        Ok(())
    }

    fn images(&self, size: usize, device: &Device) -> Tensor<4> {
        let input = &self.network.input;
        Tensor::ones([size, input.channels, input.size, input.size], device)
    }

    fn batch(&self, size: usize, device: &Device) -> Batch {
        let keys = (0..size).map(|image| Key::new([0, 0, image as u64, 0])).collect();
        Batch {
            images: self.images(size, device),
            targets: (0..size).map(|image| image % self.network.classes).collect(),
            keys,
        }
    }
}

/// Returns the sizes without zeros and repetitions.
fn sizes(all: &[usize]) -> Vec<usize> {
    let mut sizes: Vec<usize> = Vec::new();
    for &size in all {
        if size > 0 && !sizes.contains(&size) {
            sizes.push(size);
        }
    }
    sizes
}

fn check(stop: &AtomicBool) -> Result<(), TrainError> {
    if stop.load(Ordering::SeqCst) { Err(TrainError::InterruptedWarmUp) } else { Ok(()) }
}

fn wait(device: &Device) -> Result<(), TrainError> {
    device.sync().map_err(|error| TrainError::Backend { message: format!("{error:?}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alexnet_model::Preset;
    use alexnet_ops::Backend;
    use std::cell::RefCell;

    #[test]
    fn every_size_is_tried_once_and_a_stop_ends_it() {
        let network = Preset::load("mini").unwrap();
        let device = Backend::in_this_build()[0].device().unwrap();
        let placement = Placement::DataParallel(vec![device.clone(), device], crate::Reduction::First);
        let warm_up = WarmUp {
            network: &network,
            placement: &placement,
            rule: UpdateRule::default(),
            precision: Precision::default(),
            operations: Implementation::Fast,
            training: vec![4, 2, 4, 0],
            evaluation: vec![4],
        };
        let said = RefCell::new(Vec::new());
        let heard = |what: &str, done: f64| said.borrow_mut().push((what.to_owned(), done));
        warm_up.run(&AtomicBool::new(false), &heard).unwrap();
        let said = said.into_inner();
        assert_eq!(said.len(), 7, "{said:?}");
        assert!(
            said[0].0.contains("4 images") && said[0].1 == 0.0 && said[5].1 < 1.0 && said[6].1 == 1.0,
            "{said:?}"
        );
        let stopped = warm_up.run(&AtomicBool::new(true), &|_, _| ());
        assert!(stopped.unwrap_err().is_interruption());
    }
}
