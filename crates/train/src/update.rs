use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use alexnet_ops::{Implementation, SgdStep, SgdSteps};
use burn::optim::{LearningRate, Optimizer, RecordState};
use burn::tensor::{Device, Tensor};

use crate::updater::{Phase, Together};

/// The update of Krizhevsky et al. 2012, §5:
///
/// ```text
/// v ← momentum · v − weight_decay · ε · w − ε · g
/// w ← w + v
/// ```
///
/// The learning rate ε is inside the velocity, so a drop takes about ten steps to take effect. In PyTorch's
/// and Burn's SGD, ε multiplies the velocity, and a drop takes effect at once.
#[derive(Debug, Clone)]
pub struct PaperSgd {
    /// The momentum.
    pub momentum: f64,
    /// The weight decay, including the layer's multiplier.
    pub weight_decay: f64,
    /// The layer's multiplier of the learning rate.
    pub rate: f64,
    /// The fraction of the run after which the layer is frozen, if it is.
    pub frozen_from: Option<f64>,
    /// The completed fraction of the run.
    pub elapsed: Elapsed,
    /// The form of the operation.
    pub operations: Implementation,
    /// The updates of one step that are made together.
    pub together: Together,
}

/// The completed fraction of a run's steps. The loop sets it, and the updates of layers that freeze late read
/// it.
#[derive(Debug, Clone, Default)]
pub struct Elapsed(Arc<AtomicU64>);

impl Elapsed {
    pub(crate) fn set(&self, share: f64) {
        self.0.store(share.to_bits(), Ordering::SeqCst);
    }

    pub(crate) fn has_reached(&self, share: Option<f64>) -> bool {
        share.is_some_and(|share| f64::from_bits(self.0.load(Ordering::SeqCst)) >= share)
    }
}

/// The velocity of one parameter, with the parameter's shape.
#[derive(RecordState, Clone)]
pub struct Velocity<const D: usize> {
    /// `v`.
    pub velocity: Tensor<D>,
}

impl Optimizer for PaperSgd {
    type State<const D: usize> = Velocity<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        weight: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        if self.elapsed.has_reached(self.frozen_from) {
            return (weight, state);
        }
        let step = SgdStep {
            learning_rate: rate * self.rate,
            momentum: self.momentum,
            weight_decay: self.weight_decay,
        };
        let velocity = state.map(|state| state.velocity);
        let (weight, velocity) = match &mut *self.together.phase() {
            Phase::Gathering(steps) => {
                steps.add(weight.clone(), gradient, velocity.clone(), step);
                return (weight, velocity.map(|velocity| Velocity { velocity }));
            }
            Phase::HandingOut(steps) if SgdSteps::takes(&weight) => {
                steps.take(&weight.device()).expect("every parameter on a GPU was gathered")
            }
            Phase::Alone | Phase::HandingOut(_) => self.operations.sgd_step(weight, gradient, velocity, step),
        };
        (weight, Some(Velocity { velocity }))
    }

    fn to_device<const D: usize>(mut state: Self::State<D>, device: &Device) -> Self::State<D> {
        state.velocity = state.velocity.to_device(device);
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;

    #[test]
    fn follows_a_hand_worked_sequence_where_other_sgds_differ() {
        let device = alexnet_ops::Backend::in_this_build()[0].device().unwrap();
        let elapsed = Elapsed::default();
        let sgd = PaperSgd {
            momentum: 0.9,
            weight_decay: 0.1,
            rate: 2.0,
            frozen_from: Some(0.8),
            elapsed: elapsed.clone(),
            operations: Implementation::Fast,
            together: Together::default(),
        };
        let tensor = |value: f64| Tensor::<1>::from_data(TensorData::from([value as f32]), &device);
        let (mut weight, mut state) = (tensor(1.0), None);
        // w = 1, ε = 2 · 0.05 = 0.1, decay 0.1, gradients 1, then a drop to ε = 0.01:
        // v = −0.1·1 − 0.1·0.1·1 = −0.11                               w = 0.89
        // v = 0.9·−0.11 − 0.1 − 0.0089 = −0.2079                       w = 0.6821
        // v = 0.9·−0.2079 − 0.01 − 0.01·0.1·0.6821 = −0.1977921        w = 0.4843079
        // (PyTorch's SGD would step by a tenth of its buffer there: w = 0.6537)
        for (rate, expected) in [(0.05, 0.89), (0.05, 0.6821), (0.005, 0.484_307_9)] {
            let (stepped, next) = sgd.step(rate, weight, tensor(1.0), state);
            (weight, state) = (stepped, next);
            let value: f32 = weight.clone().into_scalar();
            assert!((f64::from(value) - expected).abs() < 1e-6, "{value} is not {expected}");
        }
        // The layer freezes late, and its velocity with it.
        for (share, moves) in [(0.79, true), (0.8, false)] {
            elapsed.set(share);
            let before: f32 = weight.clone().into_scalar();
            let (stepped, next) = sgd.step(0.05, weight, tensor(1.0), state);
            (weight, state) = (stepped, next);
            let after: f32 = weight.clone().into_scalar();
            assert_eq!(before != after, moves, "{share}");
        }
    }
}
