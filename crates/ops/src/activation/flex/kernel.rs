//! The activations and their gradients, vectorized.

use crate::threads::*;
use pulp::{Simd, WithSimd};

use crate::flex::par_fill::filled;
use crate::flex::rectify::rectified;
use crate::flex::sweep::SPAN;
use crate::level::dispatch;

/// The input above which `tanh` is 1 to the last bit.
const SATURATED: f32 = 7.905_311;
/// The numerator's coefficients of x, x³, … in the rational approximation `x · P(x²) / Q(x²)`, from Eigen
/// 3.4.
const ODD: [f32; 7] = [
    4.893_524_6e-3,
    6.372_619_3e-4,
    1.485_722_4e-5,
    5.122_297e-8,
    -8.604_672e-11,
    2.000_188e-13,
    -2.760_768_5e-16,
];
/// The denominator's coefficients of 1, x², ….
const EVEN: [f32; 4] = [4.893_525e-3, 2.268_434_6e-3, 1.185_347_1e-4, 1.198_258_4e-6];

/// `tanh` to within a few units in the last place; NaN stays NaN.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    let x = x.clamp(-SATURATED, SATURATED);
    let square = x * x;
    let [p1, p3, p5, p7, p9, p11, p13] = ODD;
    let over =
        (((((p13 * square + p11) * square + p9) * square + p7) * square + p5) * square + p3) * square + p1;
    let [q0, q2, q4, q6] = EVEN;
    let under = ((q6 * square + q4) * square + q2) * square + q0;
    x * over / under
}

/// The logistic function. It is a tangent of half the input.
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    0.5 + 0.5 * tanh(0.5 * x)
}

/// A function of each element.
#[derive(Debug, Clone, Copy)]
pub(super) enum Function {
    /// max(0, x).
    Relu,
    /// tanh x.
    Tanh,
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
}

/// The function of every element.
pub(super) fn forward(values: &[f32], function: Function) -> Vec<f32> {
    filled(values.len(), SPAN, values.par_chunks(SPAN), |values, out| {
        dispatch(Forward { values, out, function });
    })
}

struct Forward<'a> {
    values: &'a [f32],
    out: &'a mut [f32],
    function: Function,
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let both = self.out.iter_mut().zip(self.values);
        match self.function {
            Function::Relu => both.for_each(|(out, value)| *out = rectified(*value)),
            Function::Tanh => both.for_each(|(out, value)| *out = tanh(*value)),
            Function::Sigmoid => both.for_each(|(out, value)| *out = sigmoid(*value)),
        }
    }
}

/// The gradient with respect to the input, from the output `y`: `g` where it is above 0, `g · (1 − y²)` for
/// the tangent, `g · y · (1 − y)` for the logistic function.
pub(super) fn gradient(outputs: &[f32], gradient: &[f32], function: Function) -> Vec<f32> {
    let beside = outputs.par_chunks(SPAN).zip(gradient.par_chunks(SPAN));
    filled(outputs.len(), SPAN, beside, |(outputs, gradient), out| {
        dispatch(Gradient { outputs, gradient, out, function });
    })
}

struct Gradient<'a> {
    outputs: &'a [f32],
    gradient: &'a [f32],
    out: &'a mut [f32],
    function: Function,
}

impl WithSimd for Gradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let both = self.out.iter_mut().zip(self.outputs.iter().zip(self.gradient));
        match self.function {
            Function::Relu => {
                both.for_each(|(out, (y, gradient))| *out = if *y <= 0.0 { 0.0 } else { *gradient });
            }
            Function::Tanh => both.for_each(|(out, (y, gradient))| *out = gradient * (1.0 - y * y)),
            Function::Sigmoid => both.for_each(|(out, (y, gradient))| *out = gradient * (y * (1.0 - y))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_within_eight_units_in_the_last_place_everywhere() {
        // Every 97th finite float: both signs, subnormal to huge.
        let inputs: Vec<f32> =
            (0..u32::MAX).step_by(97).map(f32::from_bits).filter(|x| x.is_finite()).collect();
        for (x, y) in inputs.iter().zip(forward(&inputs, Function::Tanh)) {
            let exact = f64::from(*x).tanh();
            let bound = 8.0 * f64::from(f32::EPSILON) * exact.abs() + f64::from(f32::MIN_POSITIVE);
            assert!((f64::from(y) - exact).abs() <= bound, "tanh({x}) = {y}, not {exact}");
        }
    }

    #[test]
    fn nan_stays_and_infinities_saturate() {
        let out = forward(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0], Function::Tanh);
        assert!(out[0].is_nan());
        assert!((out[1] - 1.0).abs() < 1e-6 && (out[2] + 1.0).abs() < 1e-6);
        assert_eq!(out[3], 0.0);
    }

    #[test]
    fn the_logistic_function_is_within_a_ten_millionth() {
        let inputs: Vec<f32> = (-4000..=4000).map(|i| i as f32 / 100.0).collect();
        for (x, y) in inputs.iter().zip(forward(&inputs, Function::Sigmoid)) {
            let exact = 1.0 / (1.0 + (-f64::from(*x)).exp());
            assert!((f64::from(y) - exact).abs() < 2e-7, "{x}: {y}, not {exact}");
        }
    }
}
