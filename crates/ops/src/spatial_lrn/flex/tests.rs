//! Compares the kernels with the formula in f64 and with the composed form.

use proptest::prelude::*;

use super::kernel;
use crate::composed;
use crate::config::{AlphaConvention, Lrn};
use crate::testing::{assert_close, cases, numbers, with_gradients};

proptest! {
    #![proptest_config(cases())]

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
        let input: Vec<f32> = numbers(planes * height * width, seed).iter().map(|v| v * 40.0).collect();
        let gradient = numbers(input.len(), seed + 1);
        let (before, after) = (size / 2, size - 1 - size / 2);
        let near = |from: usize, to: usize| to + before >= from && to <= from + after;
        // Returns whether the window of pixel `from` contains pixel `to`.
        let holds = |from: usize, to: usize| {
            let place = |at: usize| (at / (height * width), at / width % height, at % width);
            let ((plane, y, x), (other, line, column)) = (place(from), place(to));
            plane == other && near(y, line) && near(x, column)
        };
        let value = |at: usize| f64::from(input[at]);
        let size = height * width;
        let plane = |at: usize| at / size * size..(at / size + 1) * size;
        let scale: Vec<f64> = (0..input.len())
            .map(|at| {
                let squares = plane(at).filter(|&j| holds(at, j)).map(|j| value(j).powi(2));
                k + coefficient * squares.sum::<f64>()
            })
            .collect();
        let out = kernel::forward(&input, [height, width], &lrn);
        let to_input = kernel::gradient(&input, &gradient, [height, width], &lrn);
        for at in 0..input.len() {
            let g = |at: usize| f64::from(gradient[at]);
            let others = plane(at).filter(|&j| holds(j, at));
            let others: f64 = others.map(|j| g(j) * value(j) * scale[j].powf(-beta - 1.0)).sum();
            let exact = [
                value(at) * scale[at].powf(-beta),
                g(at) * scale[at].powf(-beta) - 2.0 * coefficient * beta * value(at) * others,
            ];
            for (ours, exact) in [out[at], to_input[at]].into_iter().zip(exact) {
                // Tolerance: a few roundings of values up to 40 and gradients up to 1.
                assert!((f64::from(ours) - exact).abs() <= 2e-6 * exact.abs() + 2e-6, "{ours} {exact}");
            }
        }
    }
}

#[test]
fn kernels_and_composed_forms_agree_through_automatic_differentiation() {
    let input = || [(numbers(2 * 7 * 5 * 6, 4).iter().map(|v| v * 40.0).collect(), [2, 7, 5, 6])];
    let config = Lrn { size: 3, alpha: 1e-3, beta: 0.75, k: 1.0, convention: AlphaConvention::Mean };
    assert_close(
        &with_gradients(input(), |x| crate::spatial_lrn(x[0].clone(), &config)),
        &with_gradients(input(), |x| composed::spatial_lrn(x[0].clone(), &config)),
    );
}
