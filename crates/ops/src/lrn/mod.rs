//! Local response normalization across channels.

pub(crate) mod composed;
#[cfg(feature = "gpu")]
pub(crate) mod cube;
#[cfg(any(feature = "flex", feature = "gpu"))]
mod extension;
#[cfg(feature = "flex")]
pub(crate) mod flex;
#[cfg(not(any(feature = "flex", feature = "gpu")))]
use self::composed as extension;

use burn::tensor::Tensor;

use crate::backend::{on_flex, on_gpu};
use crate::config::Lrn;

/// Local response normalization across channels.
///
/// ```text
/// b[c] = a[c] / (k + alpha · Σ a[j]²)^beta
/// ```
/// where `j` runs over `size` channels around `c`, clipped at the first and last channel. If `size` is even,
/// the extra channel is the lower one, as in PyTorch and the authors' code.
///
/// # Shapes
/// Input and output: `[batch, channels, height, width]`.
///
/// # Source
/// Krizhevsky et al. 2012, §3.3; see [`AlphaConvention`](crate::AlphaConvention) for what `alpha` multiplies.
pub fn lrn(feature_maps: Tensor<4>, lrn: &Lrn) -> Tensor<4> {
    if lrn.coefficient() != 0.0 && has_kernel(&feature_maps, lrn) {
        extension::lrn(feature_maps, lrn)
    } else {
        composed::lrn(feature_maps, lrn)
    }
}

/// The longest window that GPU kernels support. They unroll the window, twice in the gradient. A driver takes
/// minutes to compile kernels of tens of thousands of terms, or crashes.
const UNROLLED: usize = 16;

/// Returns whether a kernel exists for this tensor and window.
pub(crate) fn has_kernel(feature_maps: &Tensor<4>, lrn: &Lrn) -> bool {
    on_flex(feature_maps) || (lrn.size <= UNROLLED && on_gpu(feature_maps))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AlphaConvention;
    use crate::testing::{device, devices, values};
    use burn::tensor::TensorData;

    /// The formula of §3.3 as a loop, in f64.
    fn by_the_formula(feature_maps: &[f32], [batch, channels, pixels]: [usize; 3], lrn: &Lrn) -> Vec<f32> {
        let mut out = vec![0.0; feature_maps.len()];
        for image in 0..batch {
            for pixel in 0..pixels {
                let index = |channel: usize| (image * channels + channel) * pixels + pixel;
                let at = |channel: usize| f64::from(feature_maps[index(channel)]);
                for channel in 0..channels {
                    let first = channel.saturating_sub(lrn.size / 2);
                    let last = (channel + lrn.size - lrn.size / 2).min(channels);
                    let sum: f64 = (first..last).map(|j| at(j) * at(j)).sum();
                    let alpha = match lrn.convention {
                        AlphaConvention::Sum => lrn.alpha,
                        AlphaConvention::Mean => lrn.alpha / lrn.size as f64,
                    };
                    let value = at(channel) / (lrn.k + alpha * sum).powf(lrn.beta);
                    out[index(channel)] = value as f32;
                }
            }
        }
        out
    }

    #[test]
    fn agrees_with_the_formula_where_every_constant_matters() {
        let shape = [2, 7, 6];
        // Values in the tens make alpha · S of the order of k.
        let feature_maps: Vec<f32> = (0..84).map(|i| ((i * 37 % 83) as f32 - 41.0) * 1.3).collect();
        for size in 1..=9 {
            for (alpha, beta, k) in [(1e-4, 0.75, 2.0), (5e-4, 0.75, 1.0), (1.0, 0.5, 0.5), (0.0, 0.75, 2.0)]
            {
                for convention in [AlphaConvention::Sum, AlphaConvention::Mean] {
                    let config = Lrn { size, alpha, beta, k, convention };
                    let expected = by_the_formula(&feature_maps, shape, &config);
                    for device in devices() {
                        let data = TensorData::new(feature_maps.clone(), [2, 7, 2, 3]);
                        let ours = values(lrn(Tensor::<4>::from_data(data, &device), &config));
                        for (a, b) in ours.iter().zip(&expected) {
                            // Tolerance: a few f32 roundings in a sum of nine squares and a power.
                            assert!((a - b).abs() <= 2e-6 * b.abs() + 1e-6, "{device:?} {config:?}: {a} {b}");
                        }
                    }
                }
            }
        }
    }

    /// GPUs have no kernels for long windows, so the composed form runs there.
    #[test]
    fn long_windows_agree_with_the_formula() {
        let feature_maps: Vec<f32> = (0..84).map(|i| ((i * 37 % 83) as f32 - 41.0) * 1.3).collect();
        for size in [17, 255] {
            let config = Lrn { size, alpha: 1e-4, beta: 0.75, k: 2.0, convention: AlphaConvention::Sum };
            let expected = by_the_formula(&feature_maps, [2, 7, 6], &config);
            for form in [lrn, composed::lrn] {
                let data = TensorData::new(feature_maps.clone(), [2, 7, 2, 3]);
                let ours = values(form(Tensor::<4>::from_data(data, &device()), &config));
                assert!(ours.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 2e-6 * b.abs() + 1e-6));
            }
        }
    }

    /// Runs on each backend, so that every kernel's gradient is compared with one from Burn's own
    /// differentiation.
    #[test]
    fn the_gradient_is_that_of_the_composed_form() {
        let feature_maps: Vec<f32> = (0..2 * 7 * 6).map(|i| ((i * 37 % 83) as f32 - 41.0) * 1.3).collect();
        let upstream: Vec<f32> = (0..2 * 7 * 6).map(|i| (i * 29 % 31) as f32 / 15.0 - 1.0).collect();
        for device in devices() {
            let device = device.autodiff();
            let tensor = |values: &[f32]| {
                Tensor::<4>::from_data(TensorData::new(values.to_vec(), [2, 7, 2, 3]), &device)
            };
            for (size, beta) in [(5, 0.75), (4, 0.75), (3, 0.5)] {
                let config = Lrn { size, alpha: 1e-3, beta, k: 2.0, convention: AlphaConvention::Sum };
                let gradient = |lrn: &dyn Fn(Tensor<4>) -> Tensor<4>| {
                    let feature_maps = tensor(&feature_maps).require_grad();
                    let gradients = (lrn(feature_maps.clone()) * tensor(&upstream)).sum().backward();
                    values(feature_maps.grad(&gradients).expect("the feature maps have a gradient"))
                };
                let ours = gradient(&|feature_maps| lrn(feature_maps, &config));
                let composed = gradient(&|feature_maps| composed::lrn(feature_maps, &config));
                for (a, b) in ours.iter().zip(composed) {
                    // Tolerance: two summation orders, terms of up to 2.
                    assert!((a - b).abs() <= 5e-6, "{device:?} {config:?}: {a} {b}");
                }
            }
        }
    }
}
