//! Whether the values of many tensors are finite.

#[cfg(feature = "gpu")]
mod cube;

use burn::backend::DispatchTensor;
use burn::tensor::{Device, Tensor};

#[cfg(feature = "gpu")]
use self::cube::not_finite;
use crate::backend::on_gpu;

/// A check of tensors of any shapes. On a GPU it is one launch.
#[derive(Default)]
pub struct FiniteCheck {
    on_gpus: Vec<(Device, Vec<DispatchTensor>)>,
    /// The sum of all values on each other device.
    sums: Vec<(Device, Tensor<1>)>,
}

impl FiniteCheck {
    /// Adds a tensor. It is read when all are added, or at once.
    pub fn add<const D: usize>(&mut self, tensor: Tensor<D>) {
        let device = tensor.device();
        if on_gpu(&tensor) {
            let tensor = tensor.into_dispatch();
            match self.on_gpus.iter_mut().find(|(other, _)| *other == device) {
                Some((_, tensors)) => tensors.push(tensor),
                None => self.on_gpus.push((device, vec![tensor])),
            }
            return;
        }
        let sum = tensor.sum();
        match self.sums.iter_mut().find(|(other, _)| *other == device) {
            Some((_, total)) => *total = total.clone() + sum,
            None => self.sums.push((device, sum)),
        }
    }

    /// Returns true if all values are finite, and else false. It may also return false where their sum overflows. Copies a number
    /// a device to the host.
    pub fn passes(self) -> bool {
        // A sum with infinity or NaN is not finite.
        let found = self.on_gpus.into_iter().map(|(_, tensors)| not_finite(tensors));
        let mut found = found.chain(self.sums.into_iter().map(|(_, sum)| sum));
        found.all(|value| value.into_data().iter::<f32>().all(f32::is_finite))
    }
}

/// No tensor is on a GPU.
#[cfg(not(feature = "gpu"))]
fn not_finite(_: Vec<DispatchTensor>) -> Tensor<1> {
    unreachable!("this build has no GPU")
}
