//! Every operation, forward and backward, has the same bits at every level with fused multiply-add.

use burn::tensor::Tensor;
use proptest::prelude::*;

use crate::testing::{device, numbers, tensor, values, with_gradients};
use crate::{
    AlphaConvention, Conv2d, ConvMethod, DropoutMask, Finish, Key, Lrn, Padding, Pool, Rounding, SgdStep,
    SimdLevel,
};

/// Shapes for each operation.
fn settings() -> ProptestConfig {
    ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() }
}

/// Checks that all levels of this processor give the same bits.
fn assert_same_bits(results: impl Fn() -> Vec<Vec<f32>> + Sync + Send) {
    let levels = SimdLevel::ALL.into_iter().filter(|level| level.is_fused() && level.is_available());
    let mut before: Option<(SimdLevel, Vec<Vec<u32>>)> = None;
    for level in levels {
        let found = level.run(&results);
        let bits: Vec<Vec<u32>> = found.iter().map(|all| all.iter().map(|x| x.to_bits()).collect()).collect();
        if let Some((other, expected)) = &before {
            assert!(bits == *expected, "{} is not {}", level.name(), other.name());
        }
        before = Some((level, bits));
    }
}

/// Checks an operation on feature maps with its gradient.
fn check(dims: [usize; 4], scale: f32, seed: u64, forward: impl Fn(Tensor<4>) -> Tensor<4> + Sync + Send) {
    let input: Vec<f32> = numbers(dims.iter().product(), seed).iter().map(|x| x * scale).collect();
    assert_same_bits(|| with_gradients([(input.clone(), dims)], |x| forward(x[0].clone())));
}

/// Checks a convolution of stride 1; `channels` and `filters` are those of a group.
fn check_winograd(
    [batch, channels, filters]: [usize; 3],
    side: usize,
    [five, relu]: [bool; 2],
    groups: usize,
    seed: u64,
) {
    let kernel = if five { 5 } else { 3 };
    let method = ConvMethod::Winograd;
    let options = Conv2d { stride: 1, padding: Padding::same(kernel / 2), groups, relu, method };
    let (of_input, of_weight) =
        ([batch, channels * groups, side, side], [filters * groups, channels, kernel, kernel]);
    let inputs = || {
        [
            (numbers(of_input.iter().product(), seed), of_input),
            (numbers(of_weight.iter().product(), seed + 1), of_weight),
            (numbers(filters * groups, seed + 2), [1, filters * groups, 1, 1]),
        ]
    };
    assert_same_bits(|| {
        with_gradients(inputs(), |x| {
            crate::conv2d(x[0].clone(), x[1].clone(), x[2].clone().flatten(0, 3), options)
        })
    });
}

fn lrn(beta: f64, size: usize) -> Lrn {
    Lrn { size, alpha: 0.3, beta, k: 2.0, convention: AlphaConvention::Sum }
}

fn pool(size: usize, rounding: Rounding) -> Pool {
    Pool { size, stride: 2, padding: 0, rounding }
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn convolution(
        (batch, channels, filters) in (1usize..12, 1usize..5, 1usize..40),
        (side, kernel, stride, relu) in (5usize..14, 1usize..6, 1usize..4, any::<bool>()),
        (groups, pooled, seed) in (1usize..3, any::<bool>(), 0u64..1000),
    ) {
        let options = Conv2d { stride, padding: Padding::same(kernel / 2), groups, relu, method: ConvMethod::default() };
        let (of_input, of_weight) =
            ([batch, channels * groups, side, side], [filters * groups, channels, kernel, kernel]);
        let inputs = || {
            let weight = numbers(of_weight.iter().product(), seed + 1);
            [
                (numbers(of_input.iter().product(), seed), of_input),
                (weight, of_weight),
                (numbers(filters * groups, seed + 2), [1, filters * groups, 1, 1]),
            ]
        };
        let pool = pool(2, Rounding::Ceil);
        assert_same_bits(|| with_gradients(inputs(), |x| {
            let (x, weight, bias) = (x[0].clone(), x[1].clone(), x[2].clone().flatten(0, 3));
            match pooled {
                true => crate::conv_max_pool2d(x, weight, bias, options, &pool),
                false => crate::conv2d(x, weight, bias, options),
            }
        }));
    }

    #[test]
    fn layer_by_winograd(
        (batch, channels, filters) in (8usize..12, 32usize..36, 32usize..40),
        (side, five, relu) in (5usize..20, any::<bool>(), any::<bool>()),
        (groups, seed) in (1usize..3, 0u64..1000),
    ) {
        check_winograd([batch, channels, filters], side, [five, relu], groups, seed);
    }

    /// Its weight gradient is filtered, too.
    #[test]
    fn large_layer_by_winograd(
        (batch, channels, filters) in (8usize..10, 48usize..50, 128usize..132),
        (side, five, relu) in (5usize..15, any::<bool>(), any::<bool>()),
        (groups, seed) in (1usize..3, 0u64..1000),
    ) {
        check_winograd([batch, channels, filters], side, [five, relu], groups, seed);
    }

    #[test]
    fn fully_connected_layer(
        (batch, inputs, outputs) in (1usize..40, 1usize..600, 1usize..80),
        (kind, seed) in (0usize..3, 0u64..1000),
    ) {
        let keys: Vec<Key> = (0..batch).map(|sample| Key::new([seed, 2, sample as u64, 0])).collect();
        let finish = match kind {
            0 => Finish::Plain,
            1 => Finish::Relu,
            _ => Finish::ReluDropout(DropoutMask::draw(&keys, "fc6", outputs, 0.5, 2.0)),
        };
        let tensors = || [
            (numbers(batch * inputs, seed), [batch, inputs, 1, 1]),
            (numbers(inputs * outputs, seed + 1), [inputs, outputs, 1, 1]),
            (numbers(outputs, seed + 2), [1, outputs, 1, 1]),
        ];
        assert_same_bits(|| with_gradients(tensors(), |x| {
            let [features, weight] = [0, 1].map(|at: usize| x[at].clone().flatten(1, 3));
            let out = crate::linear(features, weight, x[2].clone().flatten(0, 3), finish.clone());
            out.reshape([batch, outputs, 1, 1])
        }));
    }

    #[test]
    fn locally_connected_layer(
        (batch, channels, filters, side) in (1usize..40, 1usize..10, 1usize..40, 3usize..6),
        seed in 0u64..1000,
    ) {
        let options = Conv2d { stride: 1, padding: Padding::same(1), groups: 1, relu: true, method: ConvMethod::default() };
        let positions = side * side;
        let tensors = || [
            (numbers(batch * channels * positions, seed), [batch, channels, side, side]),
            (numbers(filters * channels * 9 * positions, seed + 1), [filters, channels, 9, positions]),
            (numbers(filters * positions, seed + 2), [1, filters, side, side]),
        ];
        assert_same_bits(|| with_gradients(tensors(), |x| {
            let bias = x[2].clone().flatten(0, 3);
            crate::locally_connected2d(x[0].clone(), x[1].clone(), bias, 3, options)
        }));
    }

    #[test]
    fn normalizations(
        (batch, channels, height, width) in (1usize..4, 1usize..20, 3usize..12, 3usize..12),
        (beta, size, kind, seed) in (prop_oneof![Just(0.75), Just(0.5), Just(1.0)], 1usize..8, 0usize..3, 0u64..1000),
    ) {
        let dims = [batch, channels, height, width];
        let options = lrn(beta, size);
        check(dims, 30.0, seed, |x| match kind {
            0 => crate::lrn(x, &options),
            1 => crate::spatial_lrn(x, &options),
            _ => crate::lrn_max_pool2d(x, &options, &pool(3, Rounding::Ceil)),
        });
    }

    #[test]
    fn batch_normalization(
        (batch, channels, height, width) in (1usize..6, 1usize..6, 1usize..20, 2usize..20),
        seed in 0u64..1000,
    ) {
        let tensors = || [
            (numbers(batch * channels * height * width, seed), [batch, channels, height, width]),
            (numbers(channels, seed + 1), [1, channels, 1, 1]),
            (numbers(channels, seed + 2), [1, channels, 1, 1]),
        ];
        assert_same_bits(|| with_gradients(tensors(), |x| {
            let [gain, shift] = [1, 2].map(|at: usize| x[at].clone().flatten(0, 3));
            crate::batch_norm(x[0].clone(), gain, shift, 1e-5).output
        }));
    }

    #[test]
    fn pooling(
        (batch, channels, height, width) in (1usize..4, 1usize..12, 3usize..24, 3usize..24),
        (size, ceil, average, seed) in (2usize..4, any::<bool>(), any::<bool>(), 0u64..1000),
    ) {
        let pool = pool(size, if ceil { Rounding::Ceil } else { Rounding::Floor });
        check([batch, channels, height, width], 1.0, seed, |x| match average {
            true => crate::avg_pool2d(x, &pool),
            false => crate::max_pool2d(x, &pool),
        });
    }

    #[test]
    fn activations(dims in (1usize..4, 1usize..20, 1usize..20, 1usize..20), kind in 0usize..3, seed in 0u64..1000) {
        check(dims.into(), 9.0, seed, |x| match kind {
            0 => crate::relu(x),
            1 => crate::tanh(x),
            _ => crate::sigmoid(x),
        });
    }

    #[test]
    fn loss((batch, classes) in (1usize..40, 1usize..60), seed in 0u64..1000) {
        let targets: Vec<usize> = (0..batch).map(|sample| (sample * 7 + seed as usize) % classes).collect();
        check([batch, classes, 1, 1], 20.0, seed, |x| {
            crate::cross_entropy(x.flatten(1, 3), &targets).reshape([1, 1, 1, 1])
        });
    }

    #[test]
    fn update(count in 1usize..40_000, seed in 0u64..1000) {
        let step = SgdStep { learning_rate: 0.01, momentum: 0.9, weight_decay: 0.0005 };
        assert_same_bits(|| {
            let [weight, gradient, velocity] = [1, 2, 3].map(|at| tensor([count], seed + at, &device()));
            let (weight, velocity) = crate::sgd_step(weight, gradient, Some(velocity), step);
            vec![values(weight), values(velocity)]
        });
    }
}
