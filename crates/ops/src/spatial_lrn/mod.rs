//! Local response normalization within each feature map.

pub(crate) mod composed;
#[cfg(feature = "gpu")]
mod cube;
#[cfg(any(feature = "flex", feature = "gpu"))]
mod extension;
#[cfg(feature = "flex")]
mod flex;
#[cfg(not(any(feature = "flex", feature = "gpu")))]
use self::composed as extension;

use burn::tensor::Tensor;

use crate::backend::{on_flex, on_gpu};
use crate::config::Lrn;

/// Local response normalization within each map. `j` in [`lrn`](crate::lrn) runs over a square of
/// `size × size` pixels around each pixel, clipped at the edges. The mean is taken over `size²` pixels.
///
/// # Shapes
/// Input and output: `[batch, channels, height, width]`.
///
/// # Source
/// cuda-convnet's `rnorm`; Caffe's `WITHIN_CHANNEL`.
pub fn spatial_lrn(feature_maps: Tensor<4>, lrn: &Lrn) -> Tensor<4> {
    if on_flex(&feature_maps) || (lrn.size <= WINDOW && on_gpu(&feature_maps)) {
        extension::spatial_lrn(feature_maps, lrn)
    } else {
        composed::spatial_lrn(feature_maps, lrn)
    }
}

/// The largest window that GPU kernels take. In the gradient a unit reads the fourth power of it.
const WINDOW: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AlphaConvention;
    use crate::testing::{device, values};
    use burn::tensor::TensorData;

    #[test]
    fn within_a_map_it_agrees_with_the_formula() {
        let (height, width) = (4, 5);
        let feature_maps: Vec<f32> = (0..40).map(|i| ((i * 37 % 83) as f32 - 41.0) * 1.3).collect();
        for size in 1..=4 {
            let config = Lrn { size, alpha: 5e-4, beta: 0.75, k: 1.0, convention: AlphaConvention::Mean };
            let data = TensorData::new(feature_maps.clone(), [1, 2, 4, 5]);
            let tensor = Tensor::<4>::from_data(data, &device());
            let ours = values(spatial_lrn(tensor, &config));
            for (index, ours) in ours.iter().enumerate() {
                let (plane, row, column) = (index / 20, index / width % height, index % width);
                let around =
                    |at: usize, side: usize| at.saturating_sub(size / 2)..(at + size - size / 2).min(side);
                let mut sum = 0.0;
                for y in around(row, height) {
                    sum += around(column, width)
                        .map(|x| f64::from(feature_maps[plane * 20 + y * width + x]).powi(2))
                        .sum::<f64>();
                }
                let scale = 1.0 + 5e-4 / (size * size) as f64 * sum;
                let expected = f64::from(feature_maps[index]) / scale.powf(0.75);
                // Tolerance: a few f32 roundings.
                assert!((f64::from(*ours) - expected).abs() <= 2e-6 * expected.abs() + 1e-6);
            }
        }
    }
}
