//! Compares minimal filtering with the direct method and with f64.

use super::super::geometry::Geometry;
use super::super::images::Images;
use super::super::kernel;
use super::super::weight_gradient::weight_gradient;
use crate::config::{ConvMethod, Padding};
use crate::testing::{assert_same_bits_on_threads, cases, numbers};
use proptest::prelude::*;

/// The output and the gradients of the input and of the weights.
fn all(shape: &Geometry, input: &[f32], weight: &[f32], gradient: &[f32]) -> [Vec<f32>; 3] {
    let bias = vec![0.0; shape.filters];
    [
        kernel::forward(input, weight, &bias, false, shape),
        kernel::input_gradient(Images::Whole(gradient), weight, shape),
        weight_gradient(input, Images::Whole(gradient), shape),
    ]
}

/// The sums of [`all`] in f64.
fn exact(shape: &Geometry, input: &[f32], weight: &[f32], gradient: &[f32]) -> [Vec<f64>; 3] {
    let ([height, width], [rows, columns], [tall, wide]) = (shape.input, shape.output, shape.kernel);
    let (channels, filters) = (shape.channels / shape.groups, shape.filters / shape.groups);
    let mut out = [vec![0.0; gradient.len()], vec![0.0; input.len()], vec![0.0; weight.len()]];
    let [forward, to_input, to_weight] = &mut out;
    for image in 0..shape.batch {
        for filter in 0..shape.filters {
            for channel in 0..channels {
                let plane = (image * shape.channels + filter / filters * channels + channel) * height;
                let kernel = (filter * channels + channel) * tall;
                for (y, x) in (0..tall).flat_map(|y| (0..wide).map(move |x| (y, x))) {
                    let tap = (kernel + y) * wide + x;
                    for row in 0..rows {
                        let line = row + y;
                        if line < shape.padding.top || line - shape.padding.top >= height {
                            continue;
                        }
                        for column in 0..columns {
                            let at = column + x;
                            if at < shape.padding.left || at - shape.padding.left >= width {
                                continue;
                            }
                            let from = (plane + line - shape.padding.top) * width + at - shape.padding.left;
                            let to = ((image * shape.filters + filter) * rows + row) * columns + column;
                            let [d, w, g] = [input[from], weight[tap], gradient[to]].map(f64::from);
                            forward[to] += d * w;
                            to_input[from] += g * w;
                            to_weight[tap] += g * d;
                        }
                    }
                }
            }
        }
    }
    out
}

/// The error in norm, relative to the exact values.
fn error(ours: &[f32], exact: &[f64]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let difference = norm(&mut ours.iter().zip(exact).map(|(ours, exact)| f64::from(*ours) - exact));
    difference / norm(&mut exact.iter().copied())
}

fn values(shape: &Geometry, seed: u64) -> [Vec<f32>; 3] {
    let size = |channels: usize, [height, width]: [usize; 2]| shape.batch * channels * height * width;
    let relu = |values: Vec<f32>| values.into_iter().map(|value| value.max(0.0)).collect();
    [
        relu(numbers(size(shape.channels, shape.input), seed)),
        numbers(shape.filters * shape.taps(), seed + 1),
        numbers(size(shape.filters, shape.output), seed + 2),
    ]
}

/// A convolution that the rule computes at the points.
fn shape(input: [usize; 4], weight: [usize; 4], padding: usize, groups: usize) -> Geometry {
    let shape = Geometry::new(input, weight, 1, Padding::same(padding), groups).unwrap();
    assert!(is_at_points(&shape), "{weight:?} is direct");
    shape
}

fn is_at_points(shape: &Geometry) -> bool {
    shape.forward().winograd(shape.method, shape.batch).is_some()
}

fn has_filtered_rows(shape: &Geometry) -> bool {
    shape.forward().filtered_rows(shape.method, shape.batch).is_some()
}

/// Convolutions of the presets, with fewer images: name, shapes of feature maps and weights, padding, groups.
type Layer = (&'static str, [usize; 4], [usize; 4], usize, usize);
const LAYERS: [Layer; 7] = [
    ("alexnet-2012 conv2", [8, 96, 27, 27], [256, 48, 5, 5], 2, 2),
    ("alexnet-2012 conv3", [16, 256, 13, 13], [384, 256, 3, 3], 1, 1),
    ("alexnet-2012 conv5", [16, 384, 13, 13], [256, 192, 3, 3], 1, 2),
    ("torchvision conv2", [8, 64, 27, 27], [192, 64, 5, 5], 2, 1),
    ("cifar10-18pct conv2", [16, 32, 16, 16], [32, 32, 5, 5], 2, 1),
    ("cifar10 conv3", [16, 64, 8, 8], [96, 64, 3, 3], 1, 1),
    ("cifar10 conv4", [16, 96, 8, 8], [96, 48, 3, 3], 1, 2),
];

/// The error of the layers against f64, beside that of the direct method:
/// `cargo test --workspace --lib -- winograd::tests::errors --nocapture` prints it.
#[test]
#[allow(clippy::print_stdout)] // a table for documents
fn errors_are_at_most_four_times_those_of_the_direct_method() {
    let mut worse = Vec::new();
    for (name, input, weight, padding, groups) in LAYERS {
        let shape = shape(input, weight, padding, groups);
        let [input, weight, gradient] = values(&shape, 1);
        let exact = exact(&shape, &input, &weight, &gradient);
        let ours = all(&shape, &input, &weight, &gradient);
        let direct = all(&Geometry { method: ConvMethod::Direct, ..shape }, &input, &weight, &gradient);
        let passes = ["forward", "input gradient", "weight gradient"];
        let passes = passes.into_iter().take(if has_filtered_rows(&shape) { 3 } else { 2 });
        for (at, pass) in passes.enumerate() {
            let [ours, direct] = [&ours[at], &direct[at]].map(|values| error(values, &exact[at]));
            println!("{name:20} {pass:15} {ours:.2e}, direct {direct:.2e}: {:.2} times", ours / direct);
            let is_exact_enough = ours <= 1e-5 && ours <= 4.0 * direct;
            if !is_exact_enough {
                worse.push(format!("{name} {pass}: {ours:e}, direct {direct:e}"));
            }
        }
    }
    assert!(worse.is_empty(), "{worse:#?}");
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn filtering_at_points_is_the_direct_method(
        (batch, channels, filters, groups) in (8usize..20, 32usize..36, 32usize..40, 1usize..3),
        (input, five) in ([1usize..20, 1..20], any::<bool>()),
        sides in [0usize..7, 0..7, 0..7, 0..7],
        seed in 0u64..1000,
    ) {
        let side = if five { 5 } else { 3 };
        let padding = Padding { top: sides[0], left: sides[1], bottom: sides[2], right: sides[3] };
        let input = [batch, channels * groups, input[0], input[1]];
        let weight = [filters * groups, channels, side, side];
        let shape = Geometry::new(input, weight, 1, padding, groups);
        prop_assume!(shape.as_ref().is_some_and(is_at_points));
        if let Some(shape) = shape {
            let [input, weight, gradient] = values(&shape, seed);
            let ours = all(&shape, &input, &weight, &gradient);
            let direct = all(&Geometry { method: ConvMethod::Direct, ..shape }, &input, &weight, &gradient);
            // The weight gradient of layers as small as these is direct in both.
            for (ours, direct) in ours.iter().zip(&direct).take(2) {
                let direct: Vec<f64> = direct.iter().copied().map(f64::from).collect();
                if direct.iter().any(|value| *value != 0.0) {
                    prop_assert!(error(ours, &direct) < 1e-5);
                } else {
                    // Only padding was read: transformed zeros are zeros.
                    prop_assert!(ours.iter().all(|value| *value == 0.0));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn filtering_rows_is_the_direct_weight_gradient(
        (batch, channels, filters, groups) in (8usize..12, 48usize..52, 128usize..140, 1usize..3),
        (input, five) in ([1usize..40, 1..30], any::<bool>()),
        sides in [0usize..4, 0..4, 0..4, 0..4],
        seed in 0u64..1000,
    ) {
        let side = if five { 5 } else { 3 };
        let padding = Padding { top: sides[0], left: sides[1], bottom: sides[2], right: sides[3] };
        let input = [batch, channels * groups, input[0], input[1]];
        let weight = [filters * groups, channels, side, side];
        let shape = Geometry::new(input, weight, 1, padding, groups);
        prop_assume!(shape.is_some());
        if let Some(shape) = shape {
            prop_assert!(has_filtered_rows(&shape));
            let [input, _, gradient] = values(&shape, seed);
            let images = || Images::Whole(&gradient);
            let ours = weight_gradient(&input, images(), &shape);
            let direct = weight_gradient(&input, images(), &Geometry { method: ConvMethod::Direct, ..shape });
            let direct: Vec<f64> = direct.into_iter().map(f64::from).collect();
            if direct.iter().any(|value| *value != 0.0) {
                prop_assert!(error(&ours, &direct) < 1e-5);
            } else {
                prop_assert!(ours.iter().all(|value| *value == 0.0));
            }
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    // The last two filter the weight gradient: of several images together, and of an image in bands.
    for (input, weight) in [
        ([37, 32, 9, 9], [33, 32, 3, 3]),
        ([70, 49, 10, 10], [129, 49, 3, 3]),
        ([9, 49, 40, 31], [129, 49, 3, 3]),
    ] {
        let shape = shape(input, weight, 1, 1);
        let [input, weight, gradient] = values(&shape, 3);
        assert_same_bits_on_threads(|| all(&shape, &input, &weight, &gradient).to_vec());
    }
}

/// Each image's tiles are its own: what stands beside it in the batch does not change its bits.
#[test]
fn an_image_has_the_same_outputs_whatever_stands_beside_it() {
    let shape = shape([16, 32, 9, 9], [33, 32, 5, 5], 2, 1);
    let [input, weight, _] = values(&shape, 3);
    let bias = vec![0.0; 33];
    let whole = kernel::forward(&input, &weight, &bias, false, &shape);
    let half = Geometry { batch: 8, ..shape };
    let of_half = kernel::forward(&input[input.len() / 2..], &weight, &bias, false, &half);
    assert!(whole[whole.len() / 2..] == of_half[..]);
}

#[test]
fn what_is_no_number_reaches_every_output_that_reads_it() {
    let shape = shape([8, 32, 13, 13], [32, 32, 3, 3], 1, 1);
    let [mut input, weight, _] = values(&shape, 3);
    input[0] = f32::NAN;
    let out = kernel::forward(&input, &weight, &[0.0; 32], false, &shape);
    for (at, value) in out.iter().enumerate() {
        let (image, row, column) = (at / (32 * 169), at / 13 % 13, at % 13);
        if image == 0 && row < 2 && column < 2 {
            assert!(value.is_nan());
        } else if image > 0 || row >= 4 || column >= 4 {
            // Outputs of the same tile of four by four may not be finite either.
            assert!(value.is_finite(), "{image} {row} {column}");
        }
    }
}
