//! The activations: ReLU, hyperbolic tangent, logistic function, and later ones made of them.

pub(crate) mod composed;
#[cfg(feature = "flex")]
mod flex;
mod later;
#[cfg(not(feature = "flex"))]
use self::composed as flex;

use burn::tensor::Tensor;

use crate::backend::on_flex;

/// The elementwise max(0, x) (Krizhevsky et al. 2012, §3.1). NaN stays NaN, and −0 becomes 0.
pub fn relu<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    if on_flex(&values) { flex::relu(values) } else { composed::relu(values) }
}

/// The elementwise hyperbolic tangent.
pub fn tanh<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    if on_flex(&values) { flex::tanh(values) } else { composed::tanh(values) }
}

/// The elementwise logistic function, `1 / (1 + e⁻ˣ)`.
pub fn sigmoid<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    if on_flex(&values) { flex::sigmoid(values) } else { composed::sigmoid(values) }
}

/// The elementwise leaky ReLU: `x` above 0 and `slope · x` below (Maas, Hannun & Ng 2013).
pub fn leaky_relu<const D: usize>(values: Tensor<D>, slope: f64) -> Tensor<D> {
    later::leaky_relu(values, slope, relu)
}

/// The elementwise exponential linear unit: `x` above 0 and `alpha · (eˣ − 1)` below (Clevert, Unterthiner & Hochreiter 2015).
pub fn elu<const D: usize>(values: Tensor<D>, alpha: f64) -> Tensor<D> {
    later::elu(values, alpha, relu, tanh)
}

/// The elementwise Gaussian error linear unit in its form with a tangent (Hendrycks & Gimpel 2016, §2), PyTorch's
/// `approximate="tanh"`.
pub fn gelu<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    later::gelu(values, tanh)
}

/// The elementwise sigmoid linear unit, or swish: `x / (1 + e⁻ˣ)` (Elfwing, Uchibe & Doya 2017).
pub fn silu<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    later::silu(values, sigmoid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers, with_gradients};

    #[test]
    fn kernels_and_composed_forms_agree_through_automatic_differentiation() {
        let input = || [(numbers(2 * 3 * 5 * 6, 5).iter().map(|v| v * 4.0).collect(), [2, 3, 5, 6])];
        assert_close(
            &with_gradients(input(), |x| tanh(x[0].clone())),
            &with_gradients(input(), |x| composed::tanh(x[0].clone())),
        );
        assert_close(
            &with_gradients(input(), |x| relu(x[0].clone())),
            &with_gradients(input(), |x| composed::relu(x[0].clone())),
        );
        assert_close(
            &with_gradients(input(), |x| sigmoid(x[0].clone())),
            &with_gradients(input(), |x| composed::sigmoid(x[0].clone())),
        );
    }

    #[test]
    fn later_activations_are_their_formulas_on_both_sides_of_zero() {
        use burn::tensor::TensorData;
        let inputs: Vec<f32> = (-60..=60).map(|at| at as f32 / 7.0).collect();
        let tensor =
            || Tensor::<1>::from_data(TensorData::from(inputs.as_slice()), &crate::testing::device());
        let cases: [(&str, Tensor<1>, fn(f64) -> f64); 4] = [
            ("leaky", leaky_relu(tensor(), 0.1), |x| if x > 0.0 { x } else { 0.1 * x }),
            ("elu", elu(tensor(), 1.5), |x| if x > 0.0 { x } else { 1.5 * x.exp_m1() }),
            ("gelu", gelu(tensor()), |x| {
                0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
            }),
            ("silu", silu(tensor()), |x| x / (1.0 + (-x).exp())),
        ];
        for (name, found, formula) in cases {
            for (x, y) in inputs.iter().zip(crate::testing::values(found)) {
                let expected = formula(f64::from(*x));
                // A few roundings of f32 of values up to 9.
                assert!((f64::from(y) - expected).abs() < 3e-6, "{name}({x}) = {y}, not {expected}");
            }
        }
    }

    #[test]
    fn later_activations_and_their_gradients_are_pytorchs() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../../../tests/golden/parts.json")).unwrap();
        let inputs = || [((0..49).map(|at| -6.0 + at as f32 * 0.25).collect(), [1, 1, 7, 7])];
        let cases: [(&str, fn(&[Tensor<4>]) -> Tensor<4>); 4] = [
            ("leaky-relu", |x| leaky_relu(x[0].clone(), 0.1)),
            ("elu", |x| elu(x[0].clone(), 1.5)),
            ("gelu", |x| gelu(x[0].clone())),
            ("silu", |x| silu(x[0].clone())),
        ];
        for (name, function) in cases {
            let numbers = |key: &str| -> Vec<f32> {
                serde_json::from_value(golden["activations"][name][key].clone()).unwrap()
            };
            let device = crate::testing::device().autodiff();
            let [(values, shape)] = inputs();
            let data = burn::tensor::TensorData::new::<f32, _>(values, shape);
            let input = Tensor::<4>::from_data(data, &device).require_grad();
            let output = function(&[input.clone()]);
            let gradients = output.clone().sum().backward();
            let gradient = input.grad(&gradients).unwrap();
            for (key, found) in [("outputs", output.inner()), ("gradients", gradient)] {
                let found: Vec<f32> = found.into_data().try_to_vec().unwrap();
                for (at, (found, expected)) in found.iter().zip(numbers(key)).enumerate() {
                    assert!((found - expected).abs() < 4e-6, "{name} {key} {at}: {found}, not {expected}");
                }
            }
        }
    }
}
