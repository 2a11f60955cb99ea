//! Compares the kernels with plain loops and with the composed forms.

use proptest::prelude::*;

use super::average::{averages, averages_gradient};
use super::lines::Pooling;
use super::max::{maxima, maxima_gradient};
use crate::config::{Pool, Rounding};
use crate::testing::{add, assert_close, assert_sums, cases, numbers, with_gradients};
use crate::{avg_pool2d, composed, max_pool2d};

proptest! {
    #![proptest_config(cases())]

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
            let shape = Pooling::new(input, pool);
            // Few distinct values cause ties.
            let feature_maps: Vec<f32> =
                numbers(planes * input[0] * input[1], seed).iter().map(|v| (v * 3.0).round()).collect();
            let (most, argmax) = maxima(&feature_maps, &shape);
            let gradient = numbers(most.len(), seed + 1);
            let mut to_input = vec![0.0; feature_maps.len()];
            for (pixel, maximum) in most.iter().enumerate() {
                let [rows, columns] = shape.output;
                let (plane, row) = (pixel / (rows * columns), pixel / columns % rows);
                let column = pixel % columns;
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
                    if first.is_none_or(|first| feature_maps[at] > feature_maps[first]) {
                        first = Some(at);
                    }
                }
                let first = first.expect("a window that sees the plane");
                assert_eq!(*maximum, feature_maps[first]);
                to_input[first] += gradient[pixel];
            }
            assert_eq!(maxima_gradient(&gradient, &argmax, &shape), to_input);
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
            let shape = Pooling::new(input, pool);
            let feature_maps = numbers(planes * input[0] * input[1], seed);
            let [rows, columns] = shape.output;
            let gradient = numbers(planes * rows * columns, seed + 1);
            let mut out = vec![(0.0, 0.0); gradient.len()];
            let mut to_input = vec![(0.0, 0.0); feature_maps.len()];
            for (pixel, out) in out.iter_mut().enumerate() {
                let (plane, row) = (pixel / (rows * columns), pixel / columns % rows);
                let column = pixel % columns;
                let window = |at: usize, side: usize| {
                    let first = at * stride;
                    first.saturating_sub(pool.padding)..(first + size).saturating_sub(pool.padding).min(side)
                };
                let (tall, wide) = (window(row, input[0]), window(column, input[1]));
                let share = 1.0 / (tall.len() * wide.len()) as f64;
                for (y, x) in tall.flat_map(|y| wide.clone().map(move |x| (y, x))) {
                    let at = (plane * input[0] + y) * input[1] + x;
                    add(out, f64::from(feature_maps[at]) * share);
                    add(&mut to_input[at], f64::from(gradient[pixel]) * share);
                }
            }
            assert_sums("averages", &averages(&feature_maps, &shape), &out, size * size);
            let ours = averages_gradient(&gradient, &shape);
            assert_sums("their gradient", &ours, &to_input, size * size + 1);
        }
    }
}

#[test]
fn what_is_no_number_passes_through() {
    let pool = Pool { size: 2, stride: 1, padding: 0, rounding: Rounding::Floor };
    let single = Pooling::new([1, 4], Pool { size: 1, ..pool });
    let (most, _) = maxima(&[1.0, f32::NAN, 5.0, f32::NEG_INFINITY], &single);
    assert!(most[1].is_nan() && most[3] == f32::NEG_INFINITY);
    let (most, argmax) = maxima(&[f32::NAN, 1.0, 2.0, 3.0], &Pooling::new([2, 2], pool));
    assert!(most[0].is_nan() && argmax == [0]);
}

#[test]
fn kernels_and_composed_forms_agree_through_automatic_differentiation() {
    let input = || [(numbers(2 * 7 * 5 * 6, 4).iter().map(|v| v * 40.0).collect(), [2, 7, 5, 6])];
    let pool = Pool { size: 3, stride: 2, padding: 1, rounding: Rounding::Ceil };
    assert_close(
        &with_gradients(input(), |x| max_pool2d(x[0].clone(), &pool)),
        &with_gradients(input(), |x| composed::max_pool2d(x[0].clone(), &pool)),
    );
    assert_close(
        &with_gradients(input(), |x| avg_pool2d(x[0].clone(), &pool)),
        &with_gradients(input(), |x| composed::avg_pool2d(x[0].clone(), &pool)),
    );
}
