//! The loss: the mean negative log-probability of the true class.

pub(crate) mod composed;
#[cfg(feature = "flex")]
mod flex;
#[cfg(not(feature = "flex"))]
use self::composed as flex;

use burn::tensor::Tensor;

use crate::backend::on_flex;

/// The mean over the samples of the negative log-probability that a softmax of `logits` gives the true class (Krizhevsky
/// et al. 2012, §3.5).
///
/// # Shapes
/// - `logits`: `[batch, classes]`
/// - `targets`: the true class of each sample
/// - output: `[1]`
///
/// # Panics
/// If there are not as many targets as samples, or a target is no class.
pub fn cross_entropy(logits: Tensor<2>, targets: &[usize]) -> Tensor<1> {
    let [batch, classes] = logits.dims();
    assert_eq!(batch, targets.len(), "one target for each sample");
    assert!(targets.iter().all(|target| *target < classes), "a target that is no class");
    if on_flex(&logits) {
        flex::cross_entropy(logits, targets)
    } else {
        composed::cross_entropy(logits, targets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers, values, with_gradients};
    use burn::tensor::TensorData;

    #[test]
    fn kernels_and_composed_forms_agree_through_automatic_differentiation() {
        let input = || [(numbers(6 * 9, 5).iter().map(|v| v * 8.0).collect(), [6, 1, 3, 3])];
        let loss = |loss: fn(Tensor<2>, &[usize]) -> Tensor<1>| {
            move |x: &[Tensor<4>]| loss(x[0].clone().flatten(1, 3), &[0, 8, 3, 3, 5, 1]).reshape([1, 1, 1, 1])
        };
        assert_close(
            &with_gradients(input(), loss(cross_entropy)),
            &with_gradients(input(), loss(composed::cross_entropy)),
        );
    }

    #[test]
    fn large_logits_have_a_finite_loss_and_what_is_no_number_has_none() {
        let loss = |logits: [f32; 3]| {
            let device = crate::testing::device();
            let logits = Tensor::from_data(TensorData::new(logits.to_vec(), [1, 3]), &device);
            values(cross_entropy(logits, &[1]))[0]
        };
        assert_eq!(loss([1e30, 0.0, 0.0]), 1e30);
        assert!((loss([0.0; 3]) - 3f32.ln()).abs() < 1e-6);
        assert!(loss([f32::NAN, 0.0, 0.0]).is_nan());
        assert!(!loss([f32::INFINITY, 0.0, 0.0]).is_finite());
    }
}
