//! Locally connected layers.

pub(crate) mod composed;
#[cfg(feature = "flex")]
mod flex;
#[cfg(not(feature = "flex"))]
use self::composed as flex;

use burn::tensor::Tensor;

use crate::backend::on_flex;
use crate::config::Conv2d;
use crate::shapes::check_biases;

/// A locally connected layer: a convolution whose kernels differ by position.
///
/// # Shapes
/// - `feature_maps`: `[batch, channels_in, height, width]`
/// - `weight`: `[channels_out, channels_in, kernel², positions]`; a position is an output pixel, in row-major
///   order
/// - `bias`: `[channels_out · positions]`
/// - output: same as [`conv2d`](crate::conv2d)
///
/// # Panics
/// If the shapes do not agree, or there are groups.
///
/// # Source
/// cuda-convnet's `local` layers.
pub fn locally_connected2d(
    feature_maps: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    kernel: usize,
    options: Conv2d,
) -> Tensor<4> {
    let [filters, .., positions] = weight.dims();
    check_biases(&bias, filters * positions);
    if on_flex(&feature_maps) {
        flex::locally_connected2d(feature_maps, weight, bias, kernel, options)
    } else {
        composed::locally_connected2d(feature_maps, weight, bias, kernel, options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv2d;
    use crate::testing::{device, values};
    use crate::{ConvMethod, Padding};
    use burn::tensor::TensorData;

    fn numbers<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        let values: Vec<f32> = (0..shape.iter().product()).map(|i| ((i * 37 % 19) as f32) - 9.0).collect();
        Tensor::from_data(TensorData::new(values, shape), &device())
    }

    #[test]
    fn with_the_same_kernels_everywhere_a_local_layer_is_a_convolution() {
        let padding = Padding { top: 1, left: 2, bottom: 0, right: 1 };
        for (stride, relu) in [(1, false), (2, true)] {
            let options = Conv2d { stride, padding, groups: 1, relu, method: ConvMethod::default() };
            let (weight, bias) = (numbers([4, 3, 3, 3]), numbers([4]));
            let feature_maps = numbers([2, 3, 6, 5]);
            let shared = conv2d(feature_maps.clone(), weight.clone(), bias.clone(), options);
            let [_, _, height, width] = shared.dims();
            let positions = height * width;
            let weight = weight.reshape([4, 3, 9, 1]).repeat_dim(3, positions);
            let bias = bias.reshape([4, 1]).repeat_dim(1, positions).reshape([4 * positions]);
            let local = locally_connected2d(feature_maps, weight, bias, 3, options);
            // Small integers make the sums exact.
            assert_eq!(values(local), values(shared));
        }
    }

    #[test]
    fn each_place_has_kernels_of_its_own() {
        // With one channel and 1 × 1 kernels, the output is the input times the weight at each position.
        let options = Conv2d {
            stride: 1,
            padding: Padding::same(0),
            groups: 1,
            relu: false,
            method: ConvMethod::default(),
        };
        let weight = numbers([1, 1, 1, 12]);
        let out = locally_connected2d(numbers([1, 1, 3, 4]), weight, numbers([12]), 1, options);
        let expected: Vec<f32> = values(numbers([12])).iter().map(|v| v * v + v).collect();
        assert_eq!(values(out), expected);
    }
}
