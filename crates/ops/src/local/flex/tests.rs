//! Compares the kernel with plain loops in f64 and with the composed form.

use burn::tensor::Tensor;
use proptest::prelude::*;

use super::kernel::{self, Shape};
use crate::config::{Conv2d, ConvMethod, Padding};
use crate::testing::{
    add, assert_close, assert_same_bits_on_threads, assert_sums, cases, numbers, with_gradients,
};
use crate::{composed, locally_connected2d};

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_locally_connected_layer_is_the_sum_it_should_be(
        (batch, channels, filters) in (0usize..6, 1usize..10, 1usize..40),
        (height, width, kernel, stride) in (3usize..7, 3usize..7, 1usize..4, 1usize..3),
        (top, left, bottom, right) in (0usize..2, 0usize..2, 0usize..2, 0usize..2),
        seed in 0u64..1000,
    ) {
        let options =
            Conv2d { stride, padding: Padding { top, left, bottom, right }, groups: 1, relu: false, method: ConvMethod::default() };
        let rows = (height + top + bottom - kernel) / stride + 1;
        let columns = (width + left + right - kernel) / stride + 1;
        let (taps, positions) = (channels * kernel * kernel, rows * columns);
        let shape = Shape::new(
            [batch, channels, height, width], [filters, channels, kernel * kernel, positions], kernel, options,
        );
        let input = numbers(batch * channels * height * width, seed);
        let weight = numbers(filters * taps * positions, seed + 1);
        let (bias, gradient) =
            (numbers(filters * positions, seed + 2), numbers(batch * filters * positions, seed + 3));
        let mut out = vec![(0.0, 0.0); gradient.len()];
        let mut to_input = vec![(0.0, 0.0); input.len()];
        let mut to_weight = vec![(0.0, 0.0); weight.len()];
        for image in 0..batch {
            for filter in 0..filters {
                for position in 0..positions {
                    let at = (image * filters + filter) * positions + position;
                    let g = f64::from(gradient[at]);
                    add(&mut out[at], f64::from(bias[filter * positions + position]));
                    for tap in 0..taps {
                        let (channel, y, x) = (tap / kernel / kernel, tap / kernel % kernel, tap % kernel);
                        let row = (position / columns * stride + y).checked_sub(top);
                        let column = (position % columns * stride + x).checked_sub(left);
                        let (Some(row), Some(column)) = (row, column) else { continue };
                        if row >= height || column >= width {
                            continue;
                        }
                        let from = ((image * channels + channel) * height + row) * width + column;
                        let w = (filter * taps + tap) * positions + position;
                        add(&mut out[at], f64::from(input[from]) * f64::from(weight[w]));
                        add(&mut to_input[from], g * f64::from(weight[w]));
                        add(&mut to_weight[w], g * f64::from(input[from]));
                    }
                }
            }
        }
        assert_sums("output", &kernel::forward(&input, &weight, &bias, false, &shape), &out, taps + 1);
        let ours = kernel::input_gradient(&gradient, &weight, &shape);
        assert_sums("input gradient", &ours, &to_input, filters * kernel * kernel);
        let ours = kernel::weight_gradient(&gradient, &input, &shape);
        assert_sums("weight gradient", &ours, &to_weight, batch);
    }
}

const OPTIONS: Conv2d = Conv2d {
    stride: 1,
    padding: Padding { top: 1, left: 1, bottom: 1, right: 1 },
    groups: 1,
    relu: true,
    method: ConvMethod::Direct,
};

#[test]
fn kernels_and_composed_forms_agree_through_automatic_differentiation() {
    let inputs = || {
        [
            (numbers(3 * 4 * 5 * 6, 1), [3, 4, 5, 6]),
            (numbers(7 * 4 * 9 * 30, 2), [7, 4, 9, 30]),
            (numbers(7 * 30, 3), [1, 7, 30, 1]),
        ]
    };
    let layer = |form: fn(Tensor<4>, Tensor<4>, Tensor<1>, usize, Conv2d) -> Tensor<4>| {
        move |x: &[Tensor<4>]| form(x[0].clone(), x[1].clone(), x[2].clone().flatten(0, 3), 3, OPTIONS)
    };
    let ours = with_gradients(inputs(), layer(locally_connected2d));
    assert_close(&ours, &with_gradients(inputs(), layer(composed::locally_connected2d)));
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let shape = Shape::new([70, 6, 6, 6], [20, 6, 9, 36], 3, OPTIONS);
    let (input, weight) = (numbers(70 * 6 * 36, 5), numbers(20 * 6 * 9 * 36, 6));
    let (bias, gradient) = (numbers(20 * 36, 7), numbers(70 * 20 * 36, 8));
    assert_same_bits_on_threads(|| {
        vec![
            kernel::forward(&input, &weight, &bias, true, &shape),
            kernel::input_gradient(&gradient, &weight, &shape),
            kernel::weight_gradient(&gradient, &input, &shape),
        ]
    });
}
