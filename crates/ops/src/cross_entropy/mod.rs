//! The loss: the mean negative log-probability of the true class.

pub(crate) mod composed;
#[cfg(feature = "gpu")]
mod cube;
#[cfg(feature = "flex")]
mod flex;
#[cfg(not(feature = "flex"))]
use self::composed as flex;
#[cfg(not(feature = "gpu"))]
use self::composed as cube;

use burn::tensor::Tensor;

use crate::backend::{on_flex, on_gpu};

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
    } else if on_gpu(&logits) && batch > 0 {
        cube::cross_entropy(logits, targets)
    } else {
        composed::cross_entropy(logits, targets)
    }
}

/// The mean over the samples of the cross-entropy between a wanted distribution over the classes and a softmax of `logits`: for
/// label smoothing and mixed images.
///
/// # Shapes
/// - `logits`: `[batch, classes]`
/// - `wanted`: `[batch, classes]`, row by row; each row adds up to 1
/// - output: `[1]`
///
/// # Panics
/// If there are not as many numbers as logits.
pub fn soft_cross_entropy(logits: Tensor<2>, wanted: &[f32]) -> Tensor<1> {
    let [batch, classes] = logits.dims();
    assert_eq!(batch * classes, wanted.len(), "a distribution for each sample");
    if on_flex(&logits) {
        flex::soft_cross_entropy(logits, wanted)
    } else {
        composed::soft_cross_entropy(logits, wanted)
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
    fn a_distribution_on_one_class_is_the_class_and_others_agree_with_the_composed_form() {
        let input = || [(numbers(3 * 4, 5).iter().map(|v| v * 8.0).collect(), [3, 1, 2, 2])];
        let hard =
            |x: &[Tensor<4>]| cross_entropy(x[0].clone().flatten(1, 3), &[0, 2, 3]).reshape([1, 1, 1, 1]);
        let one: Vec<f32> =
            [0, 2, 3].iter().flat_map(|at| (0..4).map(move |c| f32::from(u8::from(c == *at)))).collect();
        let soft =
            |x: &[Tensor<4>]| soft_cross_entropy(x[0].clone().flatten(1, 3), &one).reshape([1, 1, 1, 1]);
        assert_close(&with_gradients(input(), soft), &with_gradients(input(), hard));
        let wanted: Vec<f32> = [0.1, 0.2, 0.3, 0.4].repeat(3);
        let of = |loss: fn(Tensor<2>, &[f32]) -> Tensor<1>| {
            let wanted = wanted.clone();
            move |x: &[Tensor<4>]| loss(x[0].clone().flatten(1, 3), &wanted).reshape([1, 1, 1, 1])
        };
        assert_close(
            &with_gradients(input(), of(soft_cross_entropy)),
            &with_gradients(input(), of(composed::soft_cross_entropy)),
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
