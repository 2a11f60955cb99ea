//! Compares the kernels with plain loops in f64 and with the composed forms.

use burn::tensor::{Device, Tensor};
use proptest::prelude::*;

use super::geometry::Geometry;
use super::images::Images;
use super::kernel;
use super::weight_gradient::weight_gradient;
use crate::config::{Conv2d, ConvMethod, Padding, Pool, Rounding};
use crate::pool::flex::lines::Pooling;
use crate::pool::flex::max::{Scatter, maxima, maxima_gradient};
use crate::testing::{
    add, assert_close, assert_same_bits_on_threads, assert_sums, cases, device, numbers, tensor, values,
    with_gradients,
};
use crate::{composed, conv_max_pool2d, conv2d};

/// Visits every product of a convolution, with the flat indices of its input, weight and output.
fn products(shape: &Geometry, mut product: impl FnMut(usize, usize, usize)) {
    let ([height, width], [rows, columns], [tall, wide]) = (shape.input, shape.output, shape.kernel);
    for image in 0..shape.batch {
        for filter in 0..shape.filters {
            for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
                let out = ((image * shape.filters + filter) * rows + row) * columns + column;
                let (channels, of_group) =
                    (shape.channels / shape.groups, filter / (shape.filters / shape.groups));
                for channel in 0..channels {
                    for (y, x) in (0..tall).flat_map(|y| (0..wide).map(move |x| (y, x))) {
                        let line = (row * shape.stride + y).checked_sub(shape.padding.top);
                        let at = (column * shape.stride + x).checked_sub(shape.padding.left);
                        if let (Some(line), Some(at)) =
                            (line.filter(|&line| line < height), at.filter(|&at| at < width))
                        {
                            let plane = image * shape.channels + of_group * channels + channel;
                            let input = (plane * height + line) * width + at;
                            let weight = ((filter * channels + channel) * tall + y) * wide + x;
                            product(input, weight, out);
                        }
                    }
                }
            }
        }
    }
}

fn assert_convolution(shape: &Geometry, seed: u64) {
    let size = |channels: usize, [height, width]: [usize; 2]| shape.batch * channels * height * width;
    let input = numbers(size(shape.channels, shape.input), seed);
    let taps = shape.channels / shape.groups * shape.kernel[0] * shape.kernel[1];
    let weight = numbers(shape.filters * taps, seed + 1);
    let bias = numbers(shape.filters, seed + 2);
    let gradient = numbers(size(shape.filters, shape.output), seed + 3);
    let pixels = shape.output[0] * shape.output[1];

    let mut out = vec![(0.0, 0.0); gradient.len()];
    let mut to_input = vec![(0.0, 0.0); input.len()];
    let mut to_weight = vec![(0.0, 0.0); weight.len()];
    let mut to_bias = vec![(0.0, 0.0); bias.len()];
    for (index, out) in out.iter_mut().enumerate() {
        add(out, f64::from(bias[index / pixels % shape.filters]));
        add(&mut to_bias[index / pixels % shape.filters], f64::from(gradient[index]));
    }
    products(shape, |at, tap, output| {
        let [x, w, g] = [input[at], weight[tap], gradient[output]].map(f64::from);
        add(&mut out[output], x * w);
        add(&mut to_input[at], g * w);
        add(&mut to_weight[tap], g * x);
    });
    assert_sums("output", &kernel::forward(&input, &weight, &bias, false, shape), &out, taps + 1);
    let ours = kernel::input_gradient(Images::Whole(&gradient), &weight, shape);
    assert_sums(
        "input gradient",
        &ours,
        &to_input,
        shape.filters / shape.groups * shape.kernel[0] * shape.kernel[1],
    );
    let ours = weight_gradient(&input, Images::Whole(&gradient), shape);
    assert_sums("weight gradient", &ours, &to_weight, shape.batch * pixels);
    let ours = kernel::bias_gradient(&gradient, shape.filters, pixels);
    assert_sums("bias gradient", &ours, &to_bias, shape.batch * pixels);
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn convolution_is_the_sum_it_should_be(
        (batch, channels, filters, groups) in (0usize..12, 1usize..5, 1usize..12, 1usize..5),
        (input, kernel) in ([1usize..20, 1..20], [1usize..6, 1..6]),
        stride in 1usize..5,
        sides in [0usize..7, 0..7, 0..7, 0..7],
        seed in 0u64..1000,
    ) {
        let padding = Padding { top: sides[0], left: sides[1], bottom: sides[2], right: sides[3] };
        let [height, width] = input;
        let input = [batch, channels * groups, height, width];
        let weight = [filters * groups, channels, kernel[0], kernel[1]];
        if let Some(shape) = Geometry::new(input, weight, stride, padding, groups) {
            assert_convolution(&shape, seed);
        }
    }

    #[test]
    fn a_convolution_with_the_pooling_after_it_is_one_after_the_other(
        (batch, groups, input) in (8usize..11, 1usize..3, [3usize..12, 3..12]),
        (kernel, stride, size, step) in (1usize..4, 1usize..3, 1usize..4, 1usize..3),
        relu in any::<bool>(),
        seed in 0u64..1000,
    ) {
        let (channels, filters) = (2 * groups, 3 * groups);
        let options = Conv2d { stride, padding: Padding::same(1), groups, relu, method: ConvMethod::default() };
        let pool = Pool { size, stride: step, padding: size / 2, rounding: Rounding::Ceil };
        let shape = options.geometry(
            [batch, channels, input[0], input[1]],
            [filters, channels / groups, kernel, kernel],
        );
        if pool.output_side(shape.output[0]).is_some() && pool.output_side(shape.output[1]).is_some() {
            let pooled = Pooling::new(shape.output, pool);
            let feature_maps = numbers(batch * channels * input[0] * input[1], seed);
            let weight = numbers(filters * channels / groups * kernel * kernel, seed + 1);
            let bias = numbers(filters, seed + 2);
            let out = kernel::forward(&feature_maps, &weight, &bias, relu, &shape);
            let (most, argmax) = maxima(&out, &pooled);
            let ours = kernel::forward_pooled(&feature_maps, &weight, &bias, relu, &shape, &pooled);
            assert_eq!(ours, (most.clone(), argmax.clone()));
            let gradient = numbers(most.len(), seed + 3);
            let between = maxima_gradient(&gradient, &argmax, &pooled);
            let scatter = Scatter::new(pooled);
            let images = Images::Pooled { gradient: &gradient, argmax: &argmax, scatter: &scatter };
            let whole = Images::Whole(&between);
            assert_eq!(
                kernel::input_gradient(images, &weight, &shape),
                kernel::input_gradient(whole, &weight, &shape)
            );
            assert_eq!(
                weight_gradient(&feature_maps, images, &shape),
                weight_gradient(&feature_maps, whole, &shape)
            );
        }
    }
}

/// Tests the paper's layers with a few images. These sizes need several tiles and partial sums.
#[test]
fn convolution_is_right_at_the_sizes_of_the_networks() {
    for (input, weight, stride, padding) in [
        ([3, 3, 64, 64], [8, 3, 11, 11], 4, 2),
        ([2, 12, 27, 27], [10, 12, 5, 5], 1, 2),
        ([37, 9, 13, 13], [11, 9, 3, 3], 1, 1),
    ] {
        let shape = Geometry::new(input, weight, stride, Padding::same(padding), 1).unwrap();
        assert_convolution(&shape, 7);
    }
}

/// Many images; an image whose planes threads share; and images of few planes, whose rows they share, with more threads
/// than rows as well.
#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let uneven = Padding { top: 0, left: 2, ..Padding::same(1) };
    for (input, filters, stride, padding) in [
        ([19, 7, 15, 15], 9, 1, Padding::same(1)),
        ([1, 7, 15, 15], 150, 1, Padding::same(1)),
        ([2, 3, 31, 33], 9, 1, Padding::same(1)),
        ([1, 3, 81, 79], 9, 3, uneven),
        ([1, 3, 2, 400], 9, 1, Padding::same(1)),
    ] {
        let shape = Geometry::new(input, [filters, input[1], 3, 3], stride, padding, 1).unwrap();
        let [rows, columns] = shape.output;
        let (feature_maps, weight) = (numbers(input.iter().product(), 1), numbers(filters * input[1] * 9, 2));
        let (bias, gradient) = (numbers(filters, 3), numbers(input[0] * filters * rows * columns, 4));
        assert_same_bits_on_threads(|| {
            vec![
                kernel::forward(&feature_maps, &weight, &bias, true, &shape),
                kernel::input_gradient(Images::Whole(&gradient), &weight, &shape),
                weight_gradient(&feature_maps, Images::Whole(&gradient), &shape),
                kernel::bias_gradient(&gradient, filters, rows * columns),
            ]
        });
    }
}

#[test]
fn what_is_no_number_passes_through() {
    let shape = Geometry::new([1, 1, 3, 5], [1, 1, 3, 3], 1, Padding::same(1), 1).unwrap();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut feature_maps = numbers(15, 1);
        feature_maps[0] = bad;
        // No kernel weight is zero, so every output that reads the value is not finite.
        let out = kernel::forward(&feature_maps, &[1.0; 9], &[0.0], false, &shape);
        let seen: Vec<bool> = out.iter().map(|v| !v.is_finite()).collect();
        let expected: Vec<bool> = (0..15).map(|at| at / 5 < 2 && at % 5 < 2).collect();
        assert_eq!(seen, expected, "{bad}");
    }
}

#[test]
fn kernels_and_composed_forms_agree_through_automatic_differentiation() {
    let padding = Padding { top: 1, left: 2, bottom: 0, right: 1 };
    let bias = |device: &Device| tensor([4], 3, device);
    for (groups, relu) in [(1, false), (1, true), (2, true)] {
        let weight = [4, 6 / groups, 3, 3];
        let inputs =
            || [(numbers(2 * 6 * 7 * 6, 1), [2, 6, 7, 6]), (numbers(weight.iter().product(), 2), weight)];
        let options = Conv2d { stride: 2, padding, groups, relu, method: ConvMethod::default() };
        let ours = |x: &[Tensor<4>]| conv2d(x[0].clone(), x[1].clone(), bias(&x[0].device()), options);
        let burns =
            |x: &[Tensor<4>]| composed::conv2d(x[0].clone(), x[1].clone(), bias(&x[0].device()), options);
        assert_close(&with_gradients(inputs(), ours), &with_gradients(inputs(), burns));
    }
}

#[test]
fn the_bias_and_only_what_asks_gets_a_gradient() {
    let device = device().autodiff();
    let feature_maps = Tensor::<4>::ones([2, 1, 3, 3], &device);
    let weight = Tensor::<4>::ones([2, 1, 2, 2], &device).require_grad();
    let bias = Tensor::<1>::ones([2], &device).require_grad();
    let options = Conv2d {
        stride: 1,
        padding: Padding::same(0),
        groups: 1,
        relu: false,
        method: ConvMethod::default(),
    };
    let out = conv2d(feature_maps.clone(), weight.clone(), bias.clone(), options);
    let gradients = out.sum().backward();
    assert_eq!(values(bias.grad(&gradients).unwrap()), [8.0, 8.0]);
    assert_eq!(values(weight.grad(&gradients).unwrap()), [8.0; 8]);
    assert!(feature_maps.grad(&gradients).is_none());
}

/// The fused convolution and pooling has the gradients of the composed forms, including the ReLU.
#[test]
fn what_is_pooled_at_once_has_the_gradients_of_one_after_the_other() {
    type Form = fn(Tensor<4>, Tensor<4>, Tensor<1>, Conv2d, &Pool) -> Tensor<4>;
    let device = device().autodiff();
    let pool = Pool { size: 3, stride: 2, padding: 0, rounding: Rounding::Ceil };
    for relu in [false, true] {
        let options =
            Conv2d { stride: 1, padding: Padding::same(1), groups: 1, relu, method: ConvMethod::default() };
        let gradients = |form: Form| -> Vec<Vec<f32>> {
            let feature_maps = tensor([9, 2, 7, 6], 1, &device).require_grad();
            let weight = tensor([4, 2, 3, 3], 2, &device).require_grad();
            let bias = tensor([4], 3, &device).require_grad();
            let out = form(feature_maps.clone(), weight.clone(), bias.clone(), options, &pool);
            let factors = tensor(out.dims(), 4, &device);
            let gradients = (out * factors).sum().backward();
            vec![
                values(feature_maps.grad(&gradients).unwrap()),
                values(weight.grad(&gradients).unwrap()),
                values(bias.grad(&gradients).unwrap()),
            ]
        };
        for (ours, composed) in gradients(conv_max_pool2d).iter().zip(gradients(composed::conv_max_pool2d)) {
            // Tolerance: sums of some hundred terms around 1, in another order.
            for (a, b) in ours.iter().zip(&composed) {
                assert!((a - b).abs() < 1e-4, "{a} and {b}");
            }
            assert!(composed.iter().any(|value| value.abs() > 0.1), "no gradient to compare");
        }
    }
}

#[test]
fn no_images_give_no_maps() {
    let device = device();
    let feature_maps = Tensor::<4>::zeros([0, 2, 5, 5], &device);
    let options =
        Conv2d { stride: 1, padding: Padding::same(1), groups: 1, relu: true, method: ConvMethod::default() };
    let out = conv2d(feature_maps, Tensor::ones([3, 2, 3, 3], &device), Tensor::zeros([3], &device), options);
    assert_eq!(out.dims(), [0, 3, 5, 5]);
}
