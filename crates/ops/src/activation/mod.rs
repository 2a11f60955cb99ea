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
    fn later_activations_and_their_gradients_are_pytorchs() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../../../tests/golden/parts.json")).unwrap();
        let inputs = || [((0..49).map(|at| -6.0 + at as f32 * 0.25).collect(), [1, 1, 7, 7])];
        type Function = fn(Tensor<4>) -> Tensor<4>;
        let cases: [(&str, Function); 4] = [
            ("leaky-relu", |x| leaky_relu(x, 0.1)),
            ("elu", |x| elu(x, 1.5)),
            ("gelu", gelu),
            ("silu", silu),
        ];
        for (name, function) in cases {
            let numbers = |key: &str| -> Vec<f32> {
                serde_json::from_value(golden["activations"][name][key].clone()).unwrap()
            };
            let device = crate::testing::device().autodiff();
            let [(values, shape)] = inputs();
            let data = burn::tensor::TensorData::new::<f32, _>(values, shape);
            let input = Tensor::<4>::from_data(data, &device).require_grad();
            let output = function(input.clone());
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
