//! Compares the fused operation with one operation after the other.

use burn::tensor::Tensor;
use proptest::prelude::*;

use super::kernel;
use crate::composed;
use crate::config::{AlphaConvention, Lrn, Pool, Rounding};
use crate::lrn::flex::kernel as normalize;
use crate::pool::flex::lines::Pooling;
use crate::pool::flex::max::{maxima, maxima_gradient};
use crate::testing::{cases, device, numbers, tensor, values};

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn lrn_with_the_pooling_after_it_is_one_after_the_other(
        (batch, channels, input) in (1usize..4, prop_oneof![1usize..20, Just(48)], [1usize..14, 1..14]),
        (size, stride, padding, n) in (1usize..4, 1usize..4, 0usize..2, 1usize..6),
        seed in 0u64..1000,
    ) {
        let pool = Pool { size, stride, padding: padding.min(size / 2), rounding: Rounding::Ceil };
        let lrn = Lrn { size: n, alpha: 0.5, beta: 0.75, k: 1.0, convention: AlphaConvention::Sum };
        if pool.output_side(input[0]).is_some() && pool.output_side(input[1]).is_some() {
            let (shape, pixels) = (Pooling::new(input, pool), input[0] * input[1]);
            let feature_maps = numbers(batch * channels * pixels, seed);
            let normalized = normalize::forward(&feature_maps, [channels, pixels], &lrn);
            let (most, argmax) = maxima(&normalized, &shape);
            let ours = kernel::forward(&feature_maps, channels, &lrn, &shape);
            assert_eq!(ours, (most.clone(), argmax.clone()));
            let gradient = numbers(most.len(), seed + 1);
            let between = maxima_gradient(&gradient, &argmax, &shape);
            let expected = normalize::gradient(&feature_maps, &between, [channels, pixels], &lrn);
            let ours = kernel::gradient(&feature_maps, &gradient, &argmax, channels, &lrn, &shape);
            assert_eq!(ours, expected);
        }
    }
}

/// The fused LRN and pooling has the gradient of the composed forms.
#[test]
fn what_is_pooled_at_once_has_the_gradients_of_one_after_the_other() {
    let device = device().autodiff();
    let pool = Pool { size: 3, stride: 2, padding: 0, rounding: Rounding::Ceil };
    let lrn = Lrn { size: 3, alpha: 0.5, beta: 0.75, k: 1.0, convention: AlphaConvention::Sum };
    let gradient = |form: fn(Tensor<4>, &Lrn, &Pool) -> Tensor<4>| {
        let feature_maps = tensor([9, 4, 7, 6], 1, &device).require_grad();
        let out = form(feature_maps.clone(), &lrn, &pool);
        let factors = tensor(out.dims(), 4, &device);
        let gradients = (out * factors).sum().backward();
        values(feature_maps.grad(&gradients).unwrap())
    };
    let (ours, composed) = (gradient(crate::lrn_max_pool2d), gradient(composed::lrn_max_pool2d));
    // Tolerance: sums of some terms around 1, in another order.
    for (a, b) in ours.iter().zip(&composed) {
        assert!((a - b).abs() < 1e-4, "{a} and {b}");
    }
    assert!(composed.iter().any(|value| value.abs() > 0.1), "no gradient to compare");
}
