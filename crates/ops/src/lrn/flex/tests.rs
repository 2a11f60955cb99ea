//! Compares the kernels with the formula in f64 and with the composed form.

use proptest::prelude::*;

use super::kernel;
use crate::composed;
use crate::config::{AlphaConvention, Lrn};
use crate::testing::{assert_close, assert_same_bits_on_threads, cases, numbers, with_gradients};

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn normalization_is_the_formula_and_its_derivative(
        (batch, channels, pixels) in (1usize..3, prop_oneof![1usize..12, Just(48)], 1usize..140),
        (size, mean) in (1usize..9, any::<bool>()),
        constants in 0usize..4,
        seed in 0u64..1000,
    ) {
        // Inputs in ±40 make alpha · S of the order of k.
        let constants =
            [(1e-4, 0.75, 2.0), (5e-4, 0.75, 1.0), (0.01, 0.5, 0.5), (1e-3, 1.0, 1.0)][constants];
        let (alpha, beta, k) = constants;
        let convention = if mean { AlphaConvention::Mean } else { AlphaConvention::Sum };
        let lrn = Lrn { size, alpha, beta, k, convention };
        let input: Vec<f32> = numbers(batch * channels * pixels, seed).iter().map(|v| v * 40.0).collect();
        let gradient = numbers(input.len(), seed + 1);
        let (below, above) = (size / 2, size - 1 - size / 2);
        let window = |channel: usize| channel.saturating_sub(below)..(channel + above + 1).min(channels);
        let (mut out, mut to_input) = (vec![], vec![]);
        for image in 0..batch {
            let at = |channel: usize, pixel: usize| (image * channels + channel) * pixels + pixel;
            let value = |channel, pixel| f64::from(input[at(channel, pixel)]);
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
                    to_input.push(
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
        close(&kernel::forward(&input, [channels, pixels], &lrn), &out);
        close(&kernel::gradient(&input, &gradient, [channels, pixels], &lrn), &to_input);
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let lrn = Lrn { size: 5, alpha: 0.1, beta: 0.75, k: 2.0, convention: AlphaConvention::Sum };
    // 7 channels of an image are one task, and 48 are three.
    for channels in [7, 48] {
        let input = numbers(3 * channels * 225, 1);
        assert_same_bits_on_threads(|| {
            let shape = [channels, 225];
            vec![kernel::forward(&input, shape, &lrn), kernel::gradient(&input, &input, shape, &lrn)]
        });
    }
}

#[test]
fn what_is_no_number_passes_through() {
    let lrn = Lrn { size: 3, alpha: 1.0, beta: 0.75, k: 1.0, convention: AlphaConvention::Sum };
    let out = kernel::forward(&[1.0, f32::NAN, 1.0, 1.0, 1.0], [5, 1], &lrn);
    assert_eq!(out.iter().map(|v| v.is_nan()).collect::<Vec<_>>(), [true, true, true, false, false]);
}

#[test]
fn kernels_and_composed_forms_agree_through_automatic_differentiation() {
    let input = || [(numbers(2 * 7 * 5 * 6, 4).iter().map(|v| v * 40.0).collect(), [2, 7, 5, 6])];
    for size in [2, 5] {
        let config = Lrn { size, alpha: 1e-3, beta: 0.75, k: 2.0, convention: AlphaConvention::Sum };
        assert_close(
            &with_gradients(input(), |x| crate::lrn(x[0].clone(), &config)),
            &with_gradients(input(), |x| composed::lrn(x[0].clone(), &config)),
        );
    }
}
