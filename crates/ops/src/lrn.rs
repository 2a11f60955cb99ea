use burn::tensor::Tensor;

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
pub fn lrn(maps: Tensor<4>, lrn: &Lrn) -> Tensor<4> {
    #[cfg(any(feature = "flex", feature = "gpu"))]
    if lrn.coefficient() != 0.0 && crate::normalize::takes(&maps, lrn) {
        return crate::normalize::lrn(maps, lrn);
    }
    crate::composed::lrn(maps, lrn)
}

/// Local response normalization within each map. `j` in [`lrn`] runs over a square of `size × size` pixels
/// around each pixel, clipped at the edges. The mean is taken over `size²` pixels.
///
/// # Shapes
/// Input and output: `[batch, channels, height, width]`.
///
/// # Source
/// cuda-convnet's `rnorm`; Caffe's `WITHIN_CHANNEL`.
pub fn spatial_lrn(maps: Tensor<4>, lrn: &Lrn) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if crate::backend::on_flex(&maps) {
        return crate::flex::spatial_lrn(maps, lrn);
    }
    crate::composed::spatial_lrn(maps, lrn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AlphaConvention;
    use crate::testing::{device, devices, values};
    use burn::tensor::TensorData;

    /// The formula of §3.3 as a loop, in f64.
    fn by_the_formula(maps: &[f32], [batch, channels, pixels]: [usize; 3], lrn: &Lrn) -> Vec<f32> {
        let mut out = vec![0.0; maps.len()];
        for image in 0..batch {
            for pixel in 0..pixels {
                let at = |channel: usize| f64::from(maps[(image * channels + channel) * pixels + pixel]);
                for channel in 0..channels {
                    let first = channel.saturating_sub(lrn.size / 2);
                    let last = (channel + lrn.size - lrn.size / 2).min(channels);
                    let sum: f64 = (first..last).map(|j| at(j) * at(j)).sum();
                    let alpha = match lrn.convention {
                        AlphaConvention::Sum => lrn.alpha,
                        AlphaConvention::Mean => lrn.alpha / lrn.size as f64,
                    };
                    let value = at(channel) / (lrn.k + alpha * sum).powf(lrn.beta);
                    out[(image * channels + channel) * pixels + pixel] = value as f32;
                }
            }
        }
        out
    }

    #[test]
    fn agrees_with_the_formula_where_every_constant_matters() {
        let shape = [2, 7, 6];
        // Values in the tens make alpha · S of the order of k.
        let maps: Vec<f32> = (0..84).map(|i| ((i * 37 % 83) as f32 - 41.0) * 1.3).collect();
        for size in 1..=9 {
            for (alpha, beta, k) in [(1e-4, 0.75, 2.0), (5e-4, 0.75, 1.0), (1.0, 0.5, 0.5), (0.0, 0.75, 2.0)]
            {
                for convention in [AlphaConvention::Sum, AlphaConvention::Mean] {
                    let config = Lrn { size, alpha, beta, k, convention };
                    let expected = by_the_formula(&maps, shape, &config);
                    for device in devices() {
                        let data = TensorData::new(maps.clone(), [2, 7, 2, 3]);
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
        let maps: Vec<f32> = (0..84).map(|i| ((i * 37 % 83) as f32 - 41.0) * 1.3).collect();
        for size in [17, 255] {
            let config = Lrn { size, alpha: 1e-4, beta: 0.75, k: 2.0, convention: AlphaConvention::Sum };
            let expected = by_the_formula(&maps, [2, 7, 6], &config);
            for form in [lrn, crate::composed::lrn] {
                let data = TensorData::new(maps.clone(), [2, 7, 2, 3]);
                let ours = values(form(Tensor::<4>::from_data(data, &device()), &config));
                assert!(ours.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 2e-6 * b.abs() + 1e-6));
            }
        }
    }

    /// Runs on each backend, so that every kernel's gradient is compared with one from Burn's own
    /// differentiation.
    #[test]
    fn the_gradient_is_that_of_the_composed_form() {
        let maps: Vec<f32> = (0..2 * 7 * 6).map(|i| ((i * 37 % 83) as f32 - 41.0) * 1.3).collect();
        let upstream: Vec<f32> = (0..2 * 7 * 6).map(|i| (i * 29 % 31) as f32 / 15.0 - 1.0).collect();
        for device in devices() {
            let device = device.autodiff();
            let tensor = |values: &[f32]| {
                Tensor::<4>::from_data(TensorData::new(values.to_vec(), [2, 7, 2, 3]), &device)
            };
            for (size, beta) in [(5, 0.75), (4, 0.75), (3, 0.5)] {
                let config = Lrn { size, alpha: 1e-3, beta, k: 2.0, convention: AlphaConvention::Sum };
                let gradient = |lrn: &dyn Fn(Tensor<4>) -> Tensor<4>| {
                    let maps = tensor(&maps).require_grad();
                    let gradients = (lrn(maps.clone()) * tensor(&upstream)).sum().backward();
                    values(maps.grad(&gradients).expect("the maps have a gradient"))
                };
                let ours = gradient(&|maps| lrn(maps, &config));
                let composed = gradient(&|maps| crate::composed::lrn(maps, &config));
                for (a, b) in ours.iter().zip(composed) {
                    // Tolerance: two summation orders, terms of up to 2.
                    assert!((a - b).abs() <= 5e-6, "{device:?} {config:?}: {a} {b}");
                }
            }
        }
    }

    #[test]
    fn within_a_map_it_agrees_with_the_formula() {
        let (height, width) = (4, 5);
        let maps: Vec<f32> = (0..40).map(|i| ((i * 37 % 83) as f32 - 41.0) * 1.3).collect();
        for size in 1..=4 {
            let config = Lrn { size, alpha: 5e-4, beta: 0.75, k: 1.0, convention: AlphaConvention::Mean };
            let tensor = Tensor::<4>::from_data(TensorData::new(maps.clone(), [1, 2, 4, 5]), &device());
            let ours = values(spatial_lrn(tensor, &config));
            for (index, ours) in ours.iter().enumerate() {
                let (plane, row, column) = (index / 20, index / width % height, index % width);
                let around =
                    |at: usize, side: usize| at.saturating_sub(size / 2)..(at + size - size / 2).min(side);
                let mut sum = 0.0;
                for y in around(row, height) {
                    sum += around(column, width)
                        .map(|x| f64::from(maps[plane * 20 + y * width + x]).powi(2))
                        .sum::<f64>();
                }
                let scale = 1.0 + 5e-4 / (size * size) as f64 * sum;
                let expected = f64::from(maps[index]) / scale.powf(0.75);
                // Tolerance: a few f32 roundings.
                assert!((f64::from(*ours) - expected).abs() <= 2e-6 * expected.abs() + 1e-6);
            }
        }
    }
}
