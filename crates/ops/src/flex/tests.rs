//! Compares the kernels with plain loops in f64 and with their composed forms.

use burn::tensor::{Device, Tensor, TensorData};
use proptest::prelude::*;

use super::*;
use crate::{AlphaConvention, DropoutMask, Key, Padding, Rounding, composed, conv_max_pool2d};
use rand_chacha::rand_core::Rng;

/// Numbers in ±1 that depend only on `seed`.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = Key::new([seed, 0, 0, 0]).rng();
    (0..count).map(|_| (f64::from(rng.next_u32()) / f64::from(u32::MAX) * 2.0 - 1.0) as f32).collect()
}

/// Visits every product of a convolution, with the flat indices of its input, weight and output.
fn products(shape: &conv::Geometry, mut product: impl FnMut(usize, usize, usize)) {
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

/// Checks sums of products in f32. Each must be within its own rounding bound, and all together within 1e-5
/// unless they cancel. `exact` holds the f64 sums of the products and of their magnitudes.
fn assert_sums(name: &str, ours: &[f32], exact: &[(f64, f64)], terms: usize) {
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

fn add((sum, magnitude): &mut (f64, f64), product: f64) {
    *sum += product;
    *magnitude += product.abs();
}

fn assert_convolution(shape: &conv::Geometry, seed: u64) {
    let size = |channels: usize, [height, width]: [usize; 2]| shape.batch * channels * height * width;
    let maps = numbers(size(shape.channels, shape.input), seed);
    let taps = shape.channels / shape.groups * shape.kernel[0] * shape.kernel[1];
    let weight = numbers(shape.filters * taps, seed + 1);
    let bias = numbers(shape.filters, seed + 2);
    let gradient = numbers(size(shape.filters, shape.output), seed + 3);
    let pixels = shape.output[0] * shape.output[1];

    let mut out = vec![(0.0, 0.0); gradient.len()];
    let mut to_maps = vec![(0.0, 0.0); maps.len()];
    let mut to_weight = vec![(0.0, 0.0); weight.len()];
    let mut to_bias = vec![(0.0, 0.0); bias.len()];
    for (index, out) in out.iter_mut().enumerate() {
        add(out, f64::from(bias[index / pixels % shape.filters]));
        add(&mut to_bias[index / pixels % shape.filters], f64::from(gradient[index]));
    }
    products(shape, |input, tap, output| {
        let [x, w, g] = [maps[input], weight[tap], gradient[output]].map(f64::from);
        add(&mut out[output], x * w);
        add(&mut to_maps[input], g * w);
        add(&mut to_weight[tap], g * x);
    });
    assert_sums("output", &conv::forward(&maps, &weight, &bias, false, shape), &out, taps + 1);
    let ours = conv::input_gradient(Images::Whole(&gradient), &weight, shape);
    assert_sums(
        "input gradient",
        &ours,
        &to_maps,
        shape.filters / shape.groups * shape.kernel[0] * shape.kernel[1],
    );
    let ours = conv::weight_gradient(&maps, Images::Whole(&gradient), shape);
    assert_sums("weight gradient", &ours, &to_weight, shape.batch * pixels);
    let ours = conv::bias_gradient(&gradient, shape.filters, pixels);
    assert_sums("bias gradient", &ours, &to_bias, shape.batch * pixels);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

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
        let (maps, weight) = ([batch, channels * groups, height, width], [filters * groups, channels, kernel[0], kernel[1]]);
        if let Some(shape) = conv::Geometry::new(maps, weight, stride, padding, groups) {
            assert_convolution(&shape, seed);
        }
    }

    #[test]
    fn a_fully_connected_layer_is_the_sum_it_should_be(
        (batch, inputs, outputs) in (0usize..40, 1usize..90, 1usize..70),
        seed in 0u64..1000,
    ) {
        let shape = linear::Shape { batch, inputs, outputs };
        let (units, weight) = (numbers(batch * inputs, seed), numbers(inputs * outputs, seed + 1));
        let (bias, gradient) = (numbers(outputs, seed + 2), numbers(batch * outputs, seed + 3));
        let mut out = vec![(0.0, 0.0); batch * outputs];
        let (mut to_units, mut to_weight) = (vec![(0.0, 0.0); units.len()], vec![(0.0, 0.0); weight.len()]);
        let mut to_bias = vec![(0.0, 0.0); outputs];
        for row in 0..batch {
            for output in 0..outputs {
                let g = f64::from(gradient[row * outputs + output]);
                add(&mut out[row * outputs + output], f64::from(bias[output]));
                add(&mut to_bias[output], g);
                for input in 0..inputs {
                    let [x, w] = [units[row * inputs + input], weight[input * outputs + output]].map(f64::from);
                    add(&mut out[row * outputs + output], x * w);
                    add(&mut to_units[row * inputs + input], g * w);
                    add(&mut to_weight[input * outputs + output], g * x);
                }
            }
        }
        assert_sums("output", &linear::forward(&units, &weight, &bias, &Finish::Plain, shape), &out, inputs + 1);
        assert_sums("units' gradient", &linear::unit_gradient(&gradient, &weight, shape), &to_units, outputs);
        assert_sums("weight gradient", &linear::weight_gradient(&gradient, &units, shape), &to_weight, batch);
        assert_sums("bias gradient", &linear::bias_gradient(&gradient, outputs), &to_bias, batch);
    }

    #[test]
    fn normalization_is_the_formula_and_its_derivative(
        (batch, channels, pixels) in (1usize..3, 1usize..12, 1usize..140),
        (size, mean) in (1usize..9, any::<bool>()),
        constants in 0usize..4,
        seed in 0u64..1000,
    ) {
        // Inputs in ±40 make alpha · S of the order of k.
        let (alpha, beta, k) = [(1e-4, 0.75, 2.0), (5e-4, 0.75, 1.0), (0.01, 0.5, 0.5), (1e-3, 1.0, 1.0)][constants];
        let convention = if mean { AlphaConvention::Mean } else { AlphaConvention::Sum };
        let lrn = Lrn { size, alpha, beta, k, convention };
        let maps: Vec<f32> = numbers(batch * channels * pixels, seed).iter().map(|v| v * 40.0).collect();
        let gradient = numbers(maps.len(), seed + 1);
        let (below, above) = (size / 2, size - 1 - size / 2);
        let window = |channel: usize| channel.saturating_sub(below)..(channel + above + 1).min(channels);
        let (mut out, mut to_maps) = (vec![], vec![]);
        for image in 0..batch {
            let at = |channel: usize, pixel: usize| (image * channels + channel) * pixels + pixel;
            let value = |channel, pixel| f64::from(maps[at(channel, pixel)]);
            let scale = |channel, pixel| {
                k + lrn.coefficient() * window(channel).map(|j| value(j, pixel).powi(2)).sum::<f64>()
            };
            for channel in 0..channels {
                for pixel in 0..pixels {
                    out.push(value(channel, pixel) * scale(channel, pixel).powf(-beta));
                    let g = |channel| f64::from(gradient[at(channel, pixel)]);
                    let others = (0..channels).filter(|&j| window(j).contains(&channel));
                    let others: f64 =
                        others.map(|j| g(j) * value(j, pixel) * scale(j, pixel).powf(-beta - 1.0)).sum();
                    to_maps.push(
                        g(channel) * scale(channel, pixel).powf(-beta)
                            - 2.0 * lrn.coefficient() * beta * value(channel, pixel) * others,
                    );
                }
            }
        }
        let close = |ours: &[f32], exact: &[f64]| {
            for (ours, exact) in ours.iter().zip(exact) {
                // Tolerance: a few roundings of values up to 40 and gradients up to 1.
                assert!((f64::from(*ours) - exact).abs() <= 2e-6 * exact.abs() + 1e-6, "{ours} {exact}");
            }
        };
        close(&lrn::forward(&maps, [channels, pixels], &lrn), &out);
        close(&lrn::gradient(&maps, &gradient, [channels, pixels], &lrn), &to_maps);
    }

    #[test]
    fn pooling_finds_the_first_maximum(
        (planes, input) in (1usize..4, [1usize..14, 1..14]),
        (size, stride, padding) in (1usize..5, 1usize..5, 0usize..3),
        ceil in any::<bool>(),
        seed in 0u64..1000,
    ) {
        let rounding = if ceil { Rounding::Ceil } else { Rounding::Floor };
        let pool = Pool { size, stride, padding: padding.min(size / 2), rounding };
        if pool.output_side(input[0]).is_some() && pool.output_side(input[1]).is_some() {
            let shape = pooling(input, pool);
            // Few distinct values cause ties.
            let maps: Vec<f32> =
                numbers(planes * input[0] * input[1], seed).iter().map(|v| (v * 3.0).round()).collect();
            let (maxima, places) = pool::maxima(&maps, &shape);
            let gradient = numbers(maxima.len(), seed + 1);
            let mut to_maps = vec![0.0; maps.len()];
            for (pixel, maximum) in maxima.iter().enumerate() {
                let [rows, columns] = shape.output;
                let (plane, row, column) = (pixel / (rows * columns), pixel / columns % rows, pixel % columns);
                let inside = |at: usize, place: usize, side: usize| {
                    (at * stride + place).checked_sub(pool.padding).filter(|&at| at < side)
                };
                let window = (0..size * size).filter_map(|place| {
                    let line = inside(row, place / size, input[0])?;
                    let at = inside(column, place % size, input[1])?;
                    Some((plane * input[0] + line) * input[1] + at)
                });
                let mut first: Option<usize> = None;
                for at in window {
                    if first.is_none_or(|first| maps[at] > maps[first]) {
                        first = Some(at);
                    }
                }
                let first = first.expect("a window that sees the plane");
                assert_eq!(*maximum, maps[first]);
                to_maps[first] += gradient[pixel];
            }
            assert_eq!(pool::maxima_gradient(&gradient, &places, &shape), to_maps);
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
        let how = Conv2d { stride, padding: Padding::same(1), groups, relu };
        let pool = Pool { size, stride: step, padding: size / 2, rounding: Rounding::Ceil };
        let shape = how.geometry(
            [batch, channels, input[0], input[1]],
            [filters, channels / groups, kernel, kernel],
        );
        if pool.output_side(shape.output[0]).is_some() && pool.output_side(shape.output[1]).is_some() {
            let pooled = pooling(shape.output, pool);
            let maps = numbers(batch * channels * input[0] * input[1], seed);
            let weight = numbers(filters * channels / groups * kernel * kernel, seed + 1);
            let bias = numbers(filters, seed + 2);
            let out = conv::forward(&maps, &weight, &bias, relu, &shape);
            let (maxima, places) = pool::maxima(&out, &pooled);
            let ours = conv::forward_pooled(&maps, &weight, &bias, relu, &shape, &pooled);
            assert_eq!(ours, (maxima.clone(), places.clone()));
            let gradient = numbers(maxima.len(), seed + 3);
            let between = pool::maxima_gradient(&gradient, &places, &pooled);
            let scatter = pool::Scatter::new(pooled);
            let images = Images::Pooled { gradient: &gradient, places: &places, scatter: &scatter };
            let whole = Images::Whole(&between);
            assert_eq!(
                conv::input_gradient(images, &weight, &shape),
                conv::input_gradient(whole, &weight, &shape)
            );
            assert_eq!(
                conv::weight_gradient(&maps, images, &shape),
                conv::weight_gradient(&maps, whole, &shape)
            );
        }
    }

    #[test]
    fn lrn_with_the_pooling_after_it_is_one_after_the_other(
        (batch, channels, input) in (1usize..4, 1usize..20, [1usize..14, 1..14]),
        (size, stride, padding, n) in (1usize..4, 1usize..4, 0usize..2, 1usize..6),
        seed in 0u64..1000,
    ) {
        let pool = Pool { size, stride, padding: padding.min(size / 2), rounding: Rounding::Ceil };
        let lrn = Lrn { size: n, alpha: 0.5, beta: 0.75, k: 1.0, convention: AlphaConvention::Sum };
        if pool.output_side(input[0]).is_some() && pool.output_side(input[1]).is_some() {
            let (shape, pixels) = (pooling(input, pool), input[0] * input[1]);
            let maps = numbers(batch * channels * pixels, seed);
            let normalized = lrn::forward(&maps, [channels, pixels], &lrn);
            let (maxima, places) = pool::maxima(&normalized, &shape);
            assert_eq!(lrn_pool::forward(&maps, channels, &lrn, &shape), (maxima.clone(), places.clone()));
            let gradient = numbers(maxima.len(), seed + 1);
            let between = pool::maxima_gradient(&gradient, &places, &shape);
            let expected = lrn::gradient(&maps, &between, [channels, pixels], &lrn);
            assert_eq!(lrn_pool::gradient(&maps, &gradient, &places, channels, &lrn, &shape), expected);
        }
    }

    #[test]
    fn average_pooling_is_the_mean_it_should_be(
        (planes, input) in (1usize..20, [1usize..14, 1..30]),
        (size, stride, padding) in (1usize..5, 1usize..5, 0usize..3),
        ceil in any::<bool>(),
        seed in 0u64..1000,
    ) {
        let rounding = if ceil { Rounding::Ceil } else { Rounding::Floor };
        let pool = Pool { size, stride, padding: padding.min(size / 2), rounding };
        if pool.output_side(input[0]).is_some() && pool.output_side(input[1]).is_some() {
            let shape = pooling(input, pool);
            let maps = numbers(planes * input[0] * input[1], seed);
            let [rows, columns] = shape.output;
            let gradient = numbers(planes * rows * columns, seed + 1);
            let (mut out, mut to_maps) = (vec![(0.0, 0.0); gradient.len()], vec![(0.0, 0.0); maps.len()]);
            for (pixel, out) in out.iter_mut().enumerate() {
                let (plane, row, column) = (pixel / (rows * columns), pixel / columns % rows, pixel % columns);
                let window = |at: usize, side: usize| {
                    let first = at * stride;
                    first.saturating_sub(pool.padding)..(first + size).saturating_sub(pool.padding).min(side)
                };
                let (tall, wide) = (window(row, input[0]), window(column, input[1]));
                let share = 1.0 / (tall.len() * wide.len()) as f64;
                for (y, x) in tall.flat_map(|y| wide.clone().map(move |x| (y, x))) {
                    let at = (plane * input[0] + y) * input[1] + x;
                    add(out, f64::from(maps[at]) * share);
                    add(&mut to_maps[at], f64::from(gradient[pixel]) * share);
                }
            }
            assert_sums("averages", &pool::averages(&maps, &shape), &out, size * size);
            assert_sums("their gradient", &pool::averages_gradient(&gradient, &shape), &to_maps, size * size + 1);
        }
    }

    #[test]
    fn spatial_lrn_and_its_gradient_follow_the_formula(
        (planes, height, width) in (1usize..20, 1usize..9, 1usize..20),
        size in 1usize..7,
        constants in 0usize..3,
        mean in any::<bool>(),
        seed in 0u64..1000,
    ) {
        let (alpha, beta, k) = [(1e-4, 0.75, 2.0), (0.01, 0.5, 0.5), (1e-3, 1.0, 1.0)][constants];
        let convention = if mean { AlphaConvention::Mean } else { AlphaConvention::Sum };
        let lrn = Lrn { size, alpha, beta, k, convention };
        let coefficient = if mean { alpha / (size * size) as f64 } else { alpha };
        let maps: Vec<f32> = numbers(planes * height * width, seed).iter().map(|v| v * 40.0).collect();
        let gradient = numbers(maps.len(), seed + 1);
        let (before, after) = (size / 2, size - 1 - size / 2);
        let near = |from: usize, to: usize| to + before >= from && to <= from + after;
        // Returns whether the window of pixel `from` contains pixel `to`.
        let holds = |from: usize, to: usize| {
            let place = |at: usize| (at / (height * width), at / width % height, at % width);
            let ((plane, y, x), (other, line, column)) = (place(from), place(to));
            plane == other && near(y, line) && near(x, column)
        };
        let value = |at: usize| f64::from(maps[at]);
        let plane = |at: usize| at / (height * width) * height * width..(at / (height * width) + 1) * height * width;
        let scale: Vec<f64> = (0..maps.len())
            .map(|at| k + coefficient * plane(at).filter(|&j| holds(at, j)).map(|j| value(j).powi(2)).sum::<f64>())
            .collect();
        let (out, to_maps) = (spatial_lrn::forward(&maps, [height, width], &lrn), spatial_lrn::gradient(&maps, &gradient, [height, width], &lrn));
        for at in 0..maps.len() {
            let g = |at: usize| f64::from(gradient[at]);
            let others: f64 = plane(at).filter(|&j| holds(j, at)).map(|j| g(j) * value(j) * scale[j].powf(-beta - 1.0)).sum();
            let exact = [value(at) * scale[at].powf(-beta), g(at) * scale[at].powf(-beta) - 2.0 * coefficient * beta * value(at) * others];
            for (ours, exact) in [out[at], to_maps[at]].into_iter().zip(exact) {
                // Tolerance: a few roundings of values up to 40 and gradients up to 1.
                assert!((f64::from(ours) - exact).abs() <= 2e-6 * exact.abs() + 2e-6, "{ours} {exact}");
            }
        }
    }
}

/// Tests the paper's layers with a few images. These sizes need several tiles and partial sums.
#[test]
fn convolution_is_right_at_the_sizes_of_the_networks() {
    for (maps, weight, stride, padding) in [
        ([3, 3, 64, 64], [8, 3, 11, 11], 4, 2),
        ([2, 12, 27, 27], [10, 12, 5, 5], 1, 2),
        ([37, 9, 13, 13], [11, 9, 3, 3], 1, 1),
    ] {
        let shape = conv::Geometry::new(maps, weight, stride, Padding::same(padding), 1).unwrap();
        assert_convolution(&shape, 7);
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let shape = conv::Geometry::new([19, 7, 15, 15], [9, 7, 3, 3], 1, Padding::same(1), 1).unwrap();
    let (maps, weight) = (numbers(19 * 7 * 225, 1), numbers(9 * 7 * 9, 2));
    let (bias, gradient) = (numbers(9, 3), numbers(19 * 9 * 225, 4));
    let lrn = Lrn { size: 5, alpha: 0.1, beta: 0.75, k: 2.0, convention: AlphaConvention::Sum };
    let layer = linear::Shape { batch: 37, inputs: 700, outputs: 333 };
    let (units, matrix) = (numbers(37 * 700, 5), numbers(700 * 333, 6));
    let (biases, to_units) = (numbers(333, 7), numbers(37 * 333, 8));
    let results = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            [
                conv::forward(&maps, &weight, &bias, true, &shape),
                conv::input_gradient(Images::Whole(&gradient), &weight, &shape),
                conv::weight_gradient(&maps, Images::Whole(&gradient), &shape),
                conv::bias_gradient(&gradient, 9, 225),
                lrn::forward(&maps, [7, 225], &lrn),
                lrn::gradient(&maps, &maps, [7, 225], &lrn),
                linear::forward(&units, &matrix, &biases, &Finish::Relu, layer),
                linear::unit_gradient(&to_units, &matrix, layer),
                linear::weight_gradient(&to_units, &units, layer),
            ]
        })
    };
    let one = results(1);
    for threads in [2, 3, 7] {
        assert!(one == results(threads), "{threads} threads");
    }
}

#[test]
fn what_is_no_number_passes_through() {
    let shape = conv::Geometry::new([1, 1, 3, 5], [1, 1, 3, 3], 1, Padding::same(1), 1).unwrap();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut maps = numbers(15, 1);
        maps[0] = bad;
        // No kernel weight is zero, so every output that reads the value is not finite.
        let out = conv::forward(&maps, &[1.0; 9], &[0.0], false, &shape);
        let seen: Vec<bool> = out.iter().map(|v| !v.is_finite()).collect();
        let expected: Vec<bool> = (0..15).map(|at| at / 5 < 2 && at % 5 < 2).collect();
        assert_eq!(seen, expected, "{bad}");
    }
    let mut gradient = [3.0; 5];
    let outputs = [f32::NAN, 1.0, 0.0, f32::INFINITY, -0.0];
    sweep::rectify_gradient(&mut gradient, &outputs, 2.0);
    assert_eq!(gradient, [6.0, 6.0, 0.0, 6.0, 0.0]);
    assert!(sweep::rectified(f32::NAN).is_nan());
    let lrn = Lrn { size: 3, alpha: 1.0, beta: 0.75, k: 1.0, convention: AlphaConvention::Sum };
    let out = lrn::forward(&[1.0, f32::NAN, 1.0, 1.0, 1.0], [5, 1], &lrn);
    assert_eq!(out.iter().map(|v| v.is_nan()).collect::<Vec<_>>(), [true, true, true, false, false]);
    let pool = Pool { size: 2, stride: 1, padding: 0, rounding: Rounding::Floor };
    let (maxima, _) =
        pool::maxima(&[1.0, f32::NAN, 5.0, f32::NEG_INFINITY], &pooling([1, 4], Pool { size: 1, ..pool }));
    assert!(maxima[1].is_nan() && maxima[3] == f32::NEG_INFINITY);
    let (maxima, places) = pool::maxima(&[f32::NAN, 1.0, 2.0, 3.0], &pooling([2, 2], pool));
    assert!(maxima[0].is_nan() && places == [0]);
}

/// Returns the output and the gradients of its weighted sum, for input tensors that are views of others.
fn with_gradients<const N: usize>(
    inputs: [(Vec<f32>, [usize; 4]); N],
    forward: impl Fn(&[Tensor<4>]) -> Tensor<4>,
) -> Vec<Vec<f32>> {
    let device = Device::flex().autodiff();
    let leaves: Vec<Tensor<4>> = inputs
        .into_iter()
        // Stored with height and width swapped, so swapping back gives a non-contiguous tensor.
        .map(|(values, [a, b, c, d])| Tensor::from_data(TensorData::new(values, [a, b, d, c]), &device))
        .map(Tensor::require_grad)
        .collect();
    let views: Vec<Tensor<4>> = leaves.iter().map(|leaf| leaf.clone().swap_dims(2, 3)).collect();
    let out = forward(&views);
    let weights = numbers(out.dims().iter().product(), 99);
    let weights = Tensor::from_data(TensorData::new(weights, out.dims()), &device);
    let gradients = (out.clone() * weights).sum().backward();
    let values = |tensor: Tensor<4>| tensor.into_data().try_to_vec::<f32>().unwrap();
    let gradients = leaves.iter().map(|leaf| values(leaf.grad(&gradients).unwrap()));
    std::iter::once(values(out.inner())).chain(gradients).collect()
}

fn assert_close(ours: &[Vec<f32>], composed: &[Vec<f32>]) {
    assert_eq!(ours.len(), composed.len());
    for (ours, composed) in ours.iter().zip(composed) {
        let square =
            |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v * v)).sum::<f64>().sqrt();
        let difference = square(&mut ours.iter().zip(composed).map(|(a, b)| a - b));
        // Tolerance: two summation orders in f32.
        assert!(difference <= 1e-5 * square(&mut composed.iter().copied()), "{difference}");
    }
}

#[test]
fn kernels_and_composed_forms_agree_through_automatic_differentiation() {
    let padding = Padding { top: 1, left: 2, bottom: 0, right: 1 };
    let bias = |device: &Device| Tensor::<1>::from_data(TensorData::new(numbers(4, 3), [4]), device);
    for (groups, relu) in [(1, false), (1, true), (2, true)] {
        let weight = [4, 6 / groups, 3, 3];
        let inputs =
            || [(numbers(2 * 6 * 7 * 6, 1), [2, 6, 7, 6]), (numbers(weight.iter().product(), 2), weight)];
        let how = Conv2d { stride: 2, padding, groups, relu };
        let ours = |x: &[Tensor<4>]| conv2d(x[0].clone(), x[1].clone(), bias(&x[0].device()), how);
        let burns = |x: &[Tensor<4>]| composed::conv2d(x[0].clone(), x[1].clone(), bias(&x[0].device()), how);
        assert_close(&with_gradients(inputs(), ours), &with_gradients(inputs(), burns));
    }

    let keys: Vec<Key> = (0..9).map(|sample| Key::new([1, 2, sample, 0])).collect();
    let mask = DropoutMask::draw(&keys, "fc6", 11, 0.4, 1.5);
    for finish in [Finish::Plain, Finish::Relu, Finish::ReluDropout(mask)] {
        // Layers take 2-D tensors; the helper provides 4-D views.
        let inputs = || [(numbers(9 * 70, 6), [9, 1, 7, 10]), (numbers(70 * 11, 7), [70, 1, 11, 1])];
        let bias = |device: &Device| Tensor::<1>::from_data(TensorData::new(numbers(11, 8), [11]), device);
        let layer = |linear: fn(Tensor<2>, Tensor<2>, Tensor<1>, Finish) -> Tensor<2>| {
            let finish = finish.clone();
            move |x: &[Tensor<4>]| {
                let (units, weight) = (x[0].clone().flatten(1, 3), x[1].clone().flatten(1, 3));
                linear(units, weight, bias(&x[0].device()), finish.clone()).reshape([9, 1, 11, 1])
            }
        };
        let ours = with_gradients(inputs(), layer(crate::linear));
        assert_close(&ours, &with_gradients(inputs(), layer(composed::linear)));
    }

    let maps = || [(numbers(2 * 7 * 5 * 6, 4).iter().map(|v| v * 40.0).collect(), [2, 7, 5, 6])];
    for size in [2, 5] {
        let config = Lrn { size, alpha: 1e-3, beta: 0.75, k: 2.0, convention: AlphaConvention::Sum };
        assert_close(
            &with_gradients(maps(), |x| crate::lrn(x[0].clone(), &config)),
            &with_gradients(maps(), |x| composed::lrn(x[0].clone(), &config)),
        );
    }
    let pool = Pool { size: 3, stride: 2, padding: 1, rounding: Rounding::Ceil };
    assert_close(
        &with_gradients(maps(), |x| max_pool2d(x[0].clone(), &pool)),
        &with_gradients(maps(), |x| composed::max_pool2d(x[0].clone(), &pool)),
    );
    assert_close(
        &with_gradients(maps(), |x| avg_pool2d(x[0].clone(), &pool)),
        &with_gradients(maps(), |x| composed::avg_pool2d(x[0].clone(), &pool)),
    );
    let config = Lrn { size: 3, alpha: 1e-3, beta: 0.75, k: 1.0, convention: AlphaConvention::Mean };
    assert_close(
        &with_gradients(maps(), |x| spatial_lrn(x[0].clone(), &config)),
        &with_gradients(maps(), |x| composed::spatial_lrn(x[0].clone(), &config)),
    );
    let values = || [(numbers(2 * 3 * 5 * 6, 5).iter().map(|v| v * 4.0).collect(), [2, 3, 5, 6])];
    assert_close(
        &with_gradients(values(), |x| crate::tanh(x[0].clone())),
        &with_gradients(values(), |x| x[0].clone().tanh()),
    );
}

#[test]
fn the_bias_and_only_what_asks_gets_a_gradient() {
    let device = Device::flex().autodiff();
    let maps = Tensor::<4>::ones([2, 1, 3, 3], &device);
    let weight = Tensor::<4>::ones([2, 1, 2, 2], &device).require_grad();
    let bias = Tensor::<1>::ones([2], &device).require_grad();
    let how = Conv2d { stride: 1, padding: Padding::same(0), groups: 1, relu: false };
    let out = conv2d(maps.clone(), weight.clone(), bias.clone(), how);
    let gradients = out.sum().backward();
    let values = |tensor: Tensor<1>| tensor.into_data().try_to_vec::<f32>().unwrap();
    assert_eq!(values(bias.grad(&gradients).unwrap()), [8.0, 8.0]);
    assert_eq!(values(weight.grad(&gradients).unwrap().flatten(0, 3)), [8.0; 8]);
    assert!(maps.grad(&gradients).is_none());
}

/// A convolution and LRN with fused pooling have the gradients of the composed forms, including the ReLU.
#[test]
fn what_is_pooled_at_once_has_the_gradients_of_one_after_the_other() {
    let device = Device::flex().autodiff();
    let pool = Pool { size: 3, stride: 2, padding: 0, rounding: Rounding::Ceil };
    let lrn = Lrn { size: 3, alpha: 0.5, beta: 0.75, k: 1.0, convention: AlphaConvention::Sum };
    let values = |tensor: Tensor<1>| tensor.into_data().try_to_vec::<f32>().unwrap();
    for relu in [false, true] {
        let how = Conv2d { stride: 1, padding: Padding::same(1), groups: 1, relu };
        let gradients = |fast: bool| -> Vec<Vec<f32>> {
            let tensor = |shape: [usize; 4], seed| {
                let data = TensorData::new(numbers(shape.iter().product(), seed), shape);
                Tensor::<4>::from_data(data, &device).require_grad()
            };
            let (maps, weight) = (tensor([9, 2, 7, 6], 1), tensor([4, 2, 3, 3], 2));
            let bias = Tensor::<1>::from_data(TensorData::new(numbers(4, 3), [4]), &device).require_grad();
            let out = match fast {
                true => conv_max_pool2d(maps.clone(), weight.clone(), bias.clone(), how, &pool),
                false => {
                    let out = composed::conv2d(maps.clone(), weight.clone(), bias.clone(), how);
                    composed::max_pool2d(out, &pool)
                }
            };
            let out = match fast {
                true => crate::lrn_max_pool2d(out, &lrn, &pool),
                false => composed::max_pool2d(composed::lrn(out, &lrn), &pool),
            };
            let [a, b, c, d] = out.dims();
            let factors = TensorData::new(numbers(a * b * c * d, 4), [a, b, c, d]);
            let gradients = (out * Tensor::from_data(factors, &device)).sum().backward();
            vec![
                values(maps.grad(&gradients).unwrap().flatten(0, 3)),
                values(weight.grad(&gradients).unwrap().flatten(0, 3)),
                values(bias.grad(&gradients).unwrap()),
            ]
        };
        for (ours, composed) in gradients(true).iter().zip(gradients(false)) {
            // Tolerance: sums of some hundred terms around 1, in another order.
            let error = ours.iter().zip(&composed).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(error < 1e-4, "{error}");
            assert!(composed.iter().any(|value| value.abs() > 0.1), "no gradient to compare");
        }
    }
}

#[test]
fn no_images_give_no_maps() {
    let device = Device::flex();
    let maps = Tensor::<4>::zeros([0, 2, 5, 5], &device);
    let how = Conv2d { stride: 1, padding: Padding::same(1), groups: 1, relu: true };
    let out = conv2d(maps, Tensor::ones([3, 2, 3, 3], &device), Tensor::zeros([3], &device), how);
    assert_eq!(out.dims(), [0, 3, 5, 5]);
    let units = Tensor::<2>::zeros([0, 4], &device);
    let weight = Tensor::<2>::ones([4, 3], &device);
    let out = crate::linear(units, weight, Tensor::zeros([3], &device), Finish::Relu);
    assert_eq!(out.dims(), [0, 3]);
}

/// The update writes into the memory of the gradient and the velocity, unless someone else also holds it.
#[test]
fn an_update_has_the_composed_forms_bits_and_leaves_what_others_hold() {
    let device = Device::flex();
    let tensor = |seed| Tensor::<1>::from_data(TensorData::new(numbers(40_000, seed), [40_000]), &device);
    let how = SgdStep { learning_rate: 0.01, momentum: 0.9, weight_decay: 5e-4 };
    let values = |tensor: Tensor<1>| tensor.into_data().try_to_vec::<f32>().unwrap();
    let (weight, gradient, velocity) = (tensor(1), tensor(2), tensor(3));
    let ours = crate::sgd_step(weight.clone(), gradient.clone(), Some(velocity.clone()), how);
    assert_eq!(
        [1, 2, 3].map(|seed| numbers(40_000, seed)),
        [&weight, &gradient, &velocity].map(|t| values(t.clone()))
    );
    let composed = composed::sgd_step(weight, gradient, velocity, how);
    assert_eq!([values(ours.0), values(ours.1)], [values(composed.0), values(composed.1)]);
    let first = crate::sgd_step(tensor(1), tensor(2), None, how);
    let composed = composed::sgd_step(tensor(1), tensor(2), Tensor::zeros([40_000], &device), how);
    assert_eq!([values(first.0), values(first.1)], [values(composed.0), values(composed.1)]);
}
