//! Batch normalization with the statistics of the batch (Ioffe & Szegedy 2015).

pub(crate) mod composed;
#[cfg(feature = "flex")]
mod flex;
#[cfg(not(feature = "flex"))]
use self::composed as flex;

use burn::tensor::Tensor;

use crate::backend::on_flex;

/// Normalized feature maps, and the statistics of the batch, which have no gradient.
#[derive(Debug, Clone)]
pub struct BatchNormalized {
    /// `[batch, channels, height, width]`.
    pub output: Tensor<4>,
    /// The mean of each channel, `[channels]`.
    pub mean: Tensor<1>,
    /// The biased variance of each channel, `[channels]`.
    pub variance: Tensor<1>,
}

/// `(x − mean) / √(variance + epsilon) · gain + shift`, with the mean and the variance of each channel over the batch and
/// its pixels. Gradients go through the statistics.
///
/// # Shapes
/// - `feature_maps`: `[batch, channels, height, width]`
/// - `gain`, `shift`: `[channels]`
pub fn batch_norm(
    feature_maps: Tensor<4>,
    gain: Tensor<1>,
    shift: Tensor<1>,
    epsilon: f64,
) -> BatchNormalized {
    if on_flex(&feature_maps) {
        flex::batch_norm(feature_maps, gain, shift, epsilon)
    } else {
        composed::batch_norm(feature_maps, gain, shift, epsilon)
    }
}

/// Group normalization (Wu & He 2018): `(x − mean) / √(variance + epsilon) · gain + shift`, with the mean and the variance of each
/// sample over the pixels of a group of channels.
///
/// # Shapes
/// - `feature_maps`: `[batch, channels, height, width]`, where `groups` divides `channels`
/// - `gain`, `shift`: `[channels]`
pub fn group_norm(
    feature_maps: Tensor<4>,
    gain: Tensor<1>,
    shift: Tensor<1>,
    groups: usize,
    epsilon: f64,
) -> Tensor<4> {
    normalized_by_group(feature_maps, gain, shift, groups, |maps, one, zero| {
        batch_norm(maps, one, zero, epsilon).output
    })
}

/// Group normalization by a batch normalization of one sample whose channels are the groups of all samples.
pub(crate) fn normalized_by_group(
    feature_maps: Tensor<4>,
    gain: Tensor<1>,
    shift: Tensor<1>,
    groups: usize,
    normalize: impl Fn(Tensor<4>, Tensor<1>, Tensor<1>) -> Tensor<4>,
) -> Tensor<4> {
    let [batch, channels, height, width] = feature_maps.dims();
    let device = feature_maps.device();
    let all = batch * groups;
    let maps = feature_maps.reshape([1, all, channels / groups * height, width]);
    let (one, zero) = (Tensor::ones([all], &device), Tensor::zeros([all], &device));
    let normal = normalize(maps, one, zero).reshape([batch, channels, height, width]);
    normal * gain.reshape([1, channels, 1, 1]) + shift.reshape([1, channels, 1, 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers, values, with_gradients};

    type Form = fn(Tensor<4>, Tensor<1>, Tensor<1>, f64) -> BatchNormalized;

    #[test]
    fn kernels_and_composed_forms_agree_through_automatic_differentiation() {
        let inputs = || {
            let [gain, shift] = [6, 7].map(|seed| (numbers(3, seed), [1, 3, 1, 1]));
            let wide = numbers(4 * 3 * 5 * 6, 5).iter().map(|v| 3.0 * v + 2.0).collect();
            [(wide, [4, 3, 5, 6]), gain, shift]
        };
        let output = |form: Form| {
            move |x: &[Tensor<4>]| {
                let [gain, shift] = [1, 2].map(|at: usize| x[at].clone().flatten(0, 3));
                form(x[0].clone(), gain, shift, 1e-5).output
            }
        };
        assert_close(
            &with_gradients(inputs(), output(batch_norm)),
            &with_gradients(inputs(), output(composed::batch_norm)),
        );
    }

    #[test]
    fn the_statistics_are_the_mean_and_the_biased_variance() {
        let device = crate::testing::device();
        let input = numbers(2 * 3 * 4, 1);
        let tensor = Tensor::<1>::from_floats(input.as_slice(), &device).reshape([2, 3, 2, 2]);
        let [gain, shift] = [Tensor::ones([3], &device), Tensor::zeros([3], &device)];
        let found = batch_norm(tensor, gain, shift, 1e-5);
        let (means, variances) = (values(found.mean), values(found.variance));
        for channel in 0..3 {
            let own: Vec<f64> =
                (0..24).filter(|i| i / 4 % 3 == channel).map(|i| f64::from(input[i])).collect();
            let mean = own.iter().sum::<f64>() / 8.0;
            let variance = own.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 8.0;
            assert!((f64::from(means[channel]) - mean).abs() < 1e-7);
            assert!((f64::from(variances[channel]) - variance).abs() < 1e-7);
        }
    }

    #[test]
    fn groups_have_the_mean_and_variance_of_their_sample_alone() {
        let maps = numbers(2 * 4 * 3 * 3, 5);
        let data = burn::tensor::TensorData::new(maps.clone(), [2, 4, 3, 3]);
        let device = crate::testing::device();
        let (gain, shift) = ([1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 0.0, -1.0]);
        let row = |values: [f32; 4]| Tensor::<1>::from_data(burn::tensor::TensorData::from(values), &device);
        let found = values(group_norm(Tensor::from_data(data, &device), row(gain), row(shift), 2, 1e-3));
        for (at, found) in found.iter().enumerate() {
            let group = &maps[at / 18 * 18..at / 18 * 18 + 18];
            let mean = group.iter().map(|value| f64::from(*value)).sum::<f64>() / 18.0;
            let variance = group.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / 18.0;
            let normal = (f64::from(maps[at]) - mean) / (variance + 1e-3).sqrt();
            let channel = at / 9 % 4;
            let expected = normal * f64::from(gain[channel]) + f64::from(shift[channel]);
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{at}: {found}, not {expected}");
        }
    }
}
