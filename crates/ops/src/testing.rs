//! Devices, numbers and comparisons for the tests of several operations.

#![cfg_attr(not(feature = "flex"), allow(dead_code))] // most of them serve the tests of the kernels

use burn::tensor::{Device, Tensor, TensorData};
use proptest::prelude::ProptestConfig;
use rand_chacha::rand_core::Rng;

use crate::Key;

/// The devices of all backends in this build.
pub(crate) fn devices() -> Vec<Device> {
    let backends = crate::Backend::in_this_build().into_iter();
    backends.map(|backend| backend.device().expect("a test backend has a device")).collect()
}

/// The device of most unit tests: that of this build's first backend, which is Flex where it is compiled in.
pub(crate) fn device() -> Device {
    devices().swap_remove(0)
}

/// The values of a tensor in row-major order.
pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("an f32 tensor")
}

/// Numbers in ±1 that depend only on `seed`.
pub(crate) fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = Key::new([seed, 0, 0, 0]).rng();
    (0..count).map(|_| (f64::from(rng.next_u32()) / f64::from(u32::MAX) * 2.0 - 1.0) as f32).collect()
}

/// A tensor of [`numbers`].
pub(crate) fn tensor<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(numbers(shape.iter().product(), seed), shape), device)
}

/// The settings of property tests.
pub(crate) fn cases() -> ProptestConfig {
    ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() }
}

/// Adds a product to an exact sum and its magnitude to the sum of magnitudes.
pub(crate) fn add((sum, magnitude): &mut (f64, f64), product: f64) {
    *sum += product;
    *magnitude += product.abs();
}

/// Checks sums of products in f32. Each must be within its own rounding bound, and all together within 1e-5
/// unless they cancel. `exact` holds the f64 sums of the products and of their magnitudes.
pub(crate) fn assert_sums(name: &str, ours: &[f32], exact: &[(f64, f64)], terms: usize) {
    assert_eq!(ours.len(), exact.len(), "{name}");
    let (mut difference, mut norm, mut scale) = (0.0, 0.0, 0.0);
    for (index, (ours, (sum, magnitude))) in ours.iter().zip(exact).enumerate() {
        let error = (f64::from(*ours) - sum).abs();
        // Adding n products in any order gives at most about (n + 1) roundings of the sum of magnitudes.
        let bound = (terms + 2) as f64 * f64::from(f32::EPSILON) * magnitude;
        assert!(error <= bound, "{name} {index}: {ours} is not {sum} (± {bound:e})");
        difference += error * error;
        norm += sum * sum;
        scale += magnitude * magnitude;
    }
    if norm.sqrt() > 0.05 * scale.sqrt() {
        assert!(difference.sqrt() <= 1e-5 * norm.sqrt(), "{name}: {difference:e} of {norm:e}");
    }
}

/// Checks that any number of threads gives the same bits.
pub(crate) fn assert_same_bits_on_threads(results: impl Fn() -> Vec<Vec<f32>> + Sync) {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(&results)
    };
    let one = on(1);
    for threads in [2, 3, 7] {
        assert!(one == on(threads), "{threads} threads");
    }
}

/// Returns the output and the gradients of its weighted sum, for input tensors that are views of others.
pub(crate) fn with_gradients<const N: usize>(
    inputs: [(Vec<f32>, [usize; 4]); N],
    forward: impl Fn(&[Tensor<4>]) -> Tensor<4>,
) -> Vec<Vec<f32>> {
    with_gradients_on(&device(), inputs, forward)
}

/// [`with_gradients`] on a device.
pub(crate) fn with_gradients_on<const N: usize>(
    device: &Device,
    inputs: [(Vec<f32>, [usize; 4]); N],
    forward: impl Fn(&[Tensor<4>]) -> Tensor<4>,
) -> Vec<Vec<f32>> {
    let device = device.clone().autodiff();
    let leaves: Vec<Tensor<4>> = inputs
        .into_iter()
        // Stored with height and width swapped, so swapping back gives a non-contiguous tensor.
        .map(|(values, [a, b, c, d])| Tensor::from_data(TensorData::new(values, [a, b, d, c]), &device))
        .map(Tensor::require_grad)
        .collect();
    let views: Vec<Tensor<4>> = leaves.iter().map(|leaf| leaf.clone().swap_dims(2, 3)).collect();
    let out = forward(&views);
    let weights = tensor(out.dims(), 99, &device);
    let gradients = (out.clone() * weights).sum().backward();
    let gradients = leaves.iter().map(|leaf| values(leaf.grad(&gradients).unwrap()));
    std::iter::once(values(out.inner())).chain(gradients).collect()
}

/// Checks that the results of [`with_gradients`] agree.
pub(crate) fn assert_close(ours: &[Vec<f32>], composed: &[Vec<f32>]) {
    let distance = distance(ours, composed);
    assert!(distance <= ROUNDING, "{distance}");
}

/// The largest distance of results that differ in the order of their sums.
pub(crate) const ROUNDING: f64 = 1e-5;

/// The largest of the norms of the differences, divided by the norms of the second.
pub(crate) fn distance(ours: &[Vec<f32>], composed: &[Vec<f32>]) -> f64 {
    assert_eq!(ours.len(), composed.len());
    let square = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v * v)).sum::<f64>().sqrt();
    let distances = ours.iter().zip(composed).map(|(ours, composed)| {
        assert_eq!(ours.len(), composed.len());
        let difference = square(&mut ours.iter().zip(composed).map(|(a, b)| a - b));
        if difference == 0.0 { 0.0 } else { difference / square(&mut composed.iter().copied()) }
    });
    // `f64::max` would pass over what is no number.
    distances.fold(
        0.0,
        |largest: f64, distance| {
            if largest.is_nan() || distance <= largest { largest } else { distance }
        },
    )
}

#[test]
fn what_is_no_number_is_not_close() {
    let (good, bad) = (vec![1.0], vec![f32::NAN]);
    for ours in [[bad.clone(), good.clone()], [good.clone(), bad]] {
        assert!(distance(&ours, &[good.clone(), good.clone()]).is_nan());
    }
}
