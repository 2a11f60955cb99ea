//! The updates of a network's parameters, gathered and made together.

use std::collections::VecDeque;

use burn::backend::DispatchTensor;
use burn::tensor::{Device, Tensor};

#[cfg(feature = "gpu")]
use super::cube::update_all;
use crate::backend::on_gpu;
use crate::config::SgdStep;

/// Updates of parameters of any shapes, in one launch a device.
#[derive(Debug, Default)]
pub struct SgdSteps {
    devices: Vec<OnDevice>,
}

#[derive(Debug)]
struct OnDevice {
    device: Device,
    /// `[weight, gradient, velocity]` each.
    waiting: Vec<([DispatchTensor; 3], SgdStep)>,
    /// `[weight, velocity]` each.
    made: VecDeque<[DispatchTensor; 2]>,
}

impl SgdSteps {
    /// Returns whether a parameter is faster updated together with others: on a GPU, where each launch takes time.
    pub fn takes<const D: usize>(weight: &Tensor<D>) -> bool {
        on_gpu(weight)
    }

    /// Adds the [`sgd_step`](crate::sgd_step) of a parameter that it [`takes`](Self::takes).
    pub fn add<const D: usize>(
        &mut self,
        weight: Tensor<D>,
        gradient: Tensor<D>,
        velocity: Option<Tensor<D>>,
        step: SgdStep,
    ) {
        let device = weight.device();
        let velocity = velocity.unwrap_or_else(|| gradient.zeros_like());
        let update = ([weight, gradient, velocity].map(Tensor::into_dispatch), step);
        match self.devices.iter_mut().find(|of| of.device == device) {
            Some(of) => of.waiting.push(update),
            None => self.devices.push(OnDevice { device, waiting: vec![update], made: VecDeque::new() }),
        }
    }

    /// Makes the updates that were added.
    pub fn make(&mut self) {
        for of in &mut self.devices {
            of.made.extend(update_all(std::mem::take(&mut of.waiting)));
        }
    }

    /// Returns the new weight and velocity of the next parameter on `device`, in the order in which they were added.
    pub fn take<const D: usize>(&mut self, device: &Device) -> Option<(Tensor<D>, Tensor<D>)> {
        let of = self.devices.iter_mut().find(|of| of.device == *device)?;
        let [weight, velocity] = of.made.pop_front()?;
        Some((Tensor::from_dispatch(weight), Tensor::from_dispatch(velocity)))
    }
}

/// No tensor is on a GPU.
#[cfg(not(feature = "gpu"))]
fn update_all(_: Vec<([DispatchTensor; 3], SgdStep)>) -> Vec<[DispatchTensor; 2]> {
    Vec::new()
}
