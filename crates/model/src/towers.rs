//! Data exchange between towers (Krizhevsky et al. 2012, §3.2).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use burn::tensor::{Device, Tensor};

use crate::config::Reads;

/// Bytes moved between devices in forward passes, in f32. Clones share the count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exchanged(Arc<AtomicU64>);

impl Exchanged {
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Returns the input of each of `receivers` towers of a layer: its own tower's output, or all outputs
/// concatenated. If the towers are on several devices, they exchange data only here.
pub(crate) fn exchange<const D: usize>(
    towers: Vec<Tensor<D>>,
    reads: Reads,
    receivers: usize,
    exchanged: &Exchanged,
) -> Vec<Tensor<D>> {
    if reads == Reads::Own || towers.len() == 1 {
        return towers;
    }
    let mut whole: Vec<Tensor<D>> = Vec::new();
    for (tower, x) in towers.iter().enumerate().take(receivers) {
        // Towers on one device share their input.
        let there = whole.iter().find(|whole| whole.device() == x.device()).cloned();
        whole.push(there.unwrap_or_else(|| {
            let device = x.device();
            let others = towers.iter().filter(|other| other.device() != device);
            let numbers: usize = others.map(|other| other.dims().iter().product::<usize>()).sum();
            exchanged.0.fetch_add(4 * numbers as u64, Ordering::Relaxed);
            side_by_side(&towers, tower)
        }));
    }
    whole
}

/// Moves a tensor to a device. A tensor already there is returned unchanged, since automatic differentiation
/// records every move.
pub(crate) fn moved<const D: usize>(x: Tensor<D>, device: &Device) -> Tensor<D> {
    if x.device() == *device { x } else { x.to_device(device) }
}

/// Concatenates all towers' outputs on the device of tower `on`.
pub(crate) fn side_by_side<const D: usize>(towers: &[Tensor<D>], on: usize) -> Tensor<D> {
    let device = towers[on].device();
    Tensor::cat(towers.iter().map(|x| moved(x.clone(), &device)).collect(), 1)
}
