//! The kernels of GPU backends against those of Flex, forward and backward, on every GPU device of this machine.

use burn::tensor::{Device, Tensor};

use crate::testing::{ROUNDING, assert_close, distance, numbers, tensor, with_gradients, with_gradients_on};
use crate::{
    AlphaConvention, Backend, Conv2d, ConvMethod, DropoutMask, Finish, FiniteCheck, Key, Lrn, Padding, Pool,
    Rounding, SgdStep, SgdSteps,
};

fn gpus() -> Vec<Device> {
    let backends = Backend::in_this_build().into_iter().filter(|backend| !backend.is_processor());
    backends.filter_map(|backend| backend.device().ok()).collect()
}

/// Compares an operation on feature maps and three parameters with Flex.
fn compare<const N: usize>(
    what: &str,
    shapes: [[usize; 4]; N],
    operation: impl Fn(&[Tensor<4>]) -> Tensor<4>,
) {
    let inputs =
        || shapes.map(|shape| (numbers(shape.iter().product(), shape.iter().sum::<usize>() as u64), shape));
    let expected = with_gradients(inputs(), &operation);
    for device in gpus() {
        let distance = distance(&with_gradients_on(&device, inputs(), &operation), &expected);
        assert!(distance <= ROUNDING, "{what} on {device:?}: {distance}");
    }
}

const POOLS: [Pool; 4] = [
    Pool { size: 3, stride: 2, padding: 0, rounding: Rounding::Floor },
    Pool { size: 3, stride: 2, padding: 0, rounding: Rounding::Ceil },
    Pool { size: 3, stride: 2, padding: 1, rounding: Rounding::Floor },
    Pool { size: 2, stride: 3, padding: 0, rounding: Rounding::Ceil },
];

fn lrns() -> [Lrn; 3] {
    let sum = AlphaConvention::Sum;
    [
        Lrn { size: 5, alpha: 0.3, beta: 0.75, k: 2.0, convention: sum },
        Lrn { size: 4, alpha: 0.5, beta: 0.6, k: 1.0, convention: sum },
        Lrn { size: 1, alpha: 0.3, beta: 0.75, k: 1.0, convention: AlphaConvention::Mean },
    ]
}

fn bias(of: &Tensor<4>) -> Tensor<1> {
    let [_, filters, _, _] = of.dims();
    of.clone().reshape([filters])
}

#[test]
fn convolutions_with_their_last_steps() {
    let shapes = [[9, 3, 10, 8], [5, 3, 3, 3], [1, 5, 1, 1]];
    for relu in [false, true] {
        for padding in [Padding::same(1), Padding { top: 0, left: 1, bottom: 2, right: 0 }] {
            let options = Conv2d { stride: 1, padding, groups: 1, relu, method: ConvMethod::Direct };
            compare(&format!("conv, relu {relu}"), shapes, |x| {
                crate::conv2d(x[0].clone(), x[1].clone(), bias(&x[2]), options)
            });
            for pool in POOLS {
                compare(&format!("conv, relu {relu}, {pool:?}"), shapes, |x| {
                    crate::conv_max_pool2d(x[0].clone(), x[1].clone(), bias(&x[2]), options, &pool)
                });
            }
        }
    }
}

#[test]
fn updates_of_many_weights_in_either_layout() {
    // More parameters than one launch has, one of them empty and one of several cubes.
    let shapes: Vec<[usize; 4]> =
        (0..90).map(|number| [4, number % 3, 2 + number / 80 * 30, 5 + number % 7]).collect();
    let step = |number: usize| SgdStep {
        learning_rate: 0.01 * (number + 1) as f64,
        momentum: 0.9,
        weight_decay: 5e-4 * (number % 2) as f64,
    };
    let tensors = |number: usize, device: &Device| {
        [0, 1, 2].map(|at| {
            let tensor: Tensor<4> = tensor(shapes[number], (3 * number + at) as u64, device);
            // The same values with the channels last in memory.
            let data = tensor.clone().permute([0, 2, 3, 1]).into_data();
            let last = Tensor::<4>::from_data(data, device).permute([0, 3, 1, 2]);
            if number.is_multiple_of(4) && at == 1 { last } else { tensor }
        })
    };
    let velocity = |number: usize, velocity: Tensor<4>| (number > 0).then_some(velocity);
    for device in gpus() {
        let mut steps = SgdSteps::default();
        for number in 0..90 {
            let [weight, gradient, of] = tensors(number, &device);
            assert!(SgdSteps::takes(&weight));
            steps.add(weight, gradient, velocity(number, of), step(number));
        }
        steps.make();
        for (number, shape) in shapes.iter().enumerate() {
            let [weight, gradient, of] = tensors(number, &crate::testing::device());
            let expected = crate::sgd_step(weight, gradient, velocity(number, of), step(number));
            let found = steps.take(&device).unwrap();
            let [expected, found] = [expected, found].map(|(weight, velocity): (Tensor<4>, Tensor<4>)| {
                assert_eq!(weight.dims(), *shape);
                [weight, velocity].map(|tensor| tensor.into_data().try_to_vec::<f32>().unwrap())
            });
            assert_close(&found, &expected);
        }
    }
}

/// The gradient of the weights takes as many filters at once as fit into a group, and reads towers' parts of wider maps.
#[test]
fn convolutions_with_groups_and_strides() {
    for (filters, groups, stride) in [(8, 1, 2), (16, 2, 1), (12, 3, 3), (6, 1, 4), (5, 5, 1)] {
        let channels = 2 * groups;
        let shapes = [[3, channels + 3, 11, 9], [filters, 2, 3, 3], [1, filters, 1, 1]];
        let options =
            Conv2d { stride, padding: Padding::same(1), groups, relu: true, method: ConvMethod::Direct };
        compare(&format!("conv of {filters} filters, {groups} groups, stride {stride}"), shapes, |x| {
            let maps = x[0].clone().narrow(1, 2, channels);
            crate::conv2d(maps, x[1].clone(), bias(&x[2]), options)
        });
    }
}

#[test]
fn one_value_that_is_not_finite_is_found_among_many_tensors() {
    for device in gpus() {
        for (bad, at) in
            [(None, 0), (Some(f32::NAN), 0), (Some(f32::INFINITY), 37), (Some(f32::NEG_INFINITY), 69)]
        {
            let mut check = FiniteCheck::default();
            for number in 0..70 {
                let shape = [2, 1 + number % 4, 3 + number / 60 * 40, 5];
                let mut values = vec![f32::MAX; shape.iter().product()];
                if let (Some(bad), true) = (bad, number == at) {
                    *values.last_mut().unwrap() = bad;
                }
                let tensor = Tensor::<4>::from_data(burn::tensor::TensorData::new(values, shape), &device);
                check.add(if number.is_multiple_of(3) { tensor.permute([0, 3, 1, 2]) } else { tensor });
            }
            check.add(Tensor::<1>::zeros([0], &device));
            assert_eq!(check.passes(), bad.is_none(), "{bad:?} on {device:?}");
        }
    }
}

/// So many rows that their sums are made in chunks.
#[test]
fn a_bias_of_many_pixels() {
    let options =
        Conv2d { stride: 1, padding: Padding::same(0), groups: 1, relu: true, method: ConvMethod::Direct };
    compare("conv of many pixels", [[2, 1, 60, 50], [33, 1, 1, 1], [1, 33, 1, 1]], |x| {
        crate::conv2d(x[0].clone(), x[1].clone(), bias(&x[2]), options)
    });
}

#[test]
fn pooling_and_normalization() {
    for pool in POOLS {
        compare(&format!("{pool:?}"), [[9, 3, 10, 8]], |x| crate::max_pool2d(x[0].clone(), &pool));
        for lrn in lrns() {
            compare(&format!("{lrn:?} {pool:?}"), [[9, 7, 10, 8]], |x| {
                crate::lrn_max_pool2d(x[0].clone(), &lrn, &pool)
            });
        }
    }
    for lrn in lrns() {
        compare(&format!("{lrn:?}"), [[2, 7, 10, 8]], |x| crate::lrn(x[0].clone(), &lrn));
        compare(&format!("within maps {lrn:?}"), [[2, 3, 10, 8]], |x| crate::spatial_lrn(x[0].clone(), &lrn));
    }
}

#[test]
fn maxima_that_are_equal_and_values_that_are_no_numbers() {
    let pool = POOLS[2];
    let ties: Vec<f32> = numbers(9 * 2 * 7 * 7, 4).iter().map(|value| value.round()).collect();
    let inputs = || [(ties.clone(), [9, 2, 7, 7])];
    let expected = with_gradients(inputs(), |x| crate::max_pool2d(x[0].clone(), &pool));
    for device in gpus() {
        let found = with_gradients_on(&device, inputs(), |x| crate::max_pool2d(x[0].clone(), &pool));
        assert_eq!(found[0], expected[0]);
        // A pixel may be the maximum of four windows.
        assert_close(&found, &expected);
        let nan = Tensor::<4>::full([1, 1, 3, 3], f32::NAN, &device);
        assert!(crate::max_pool2d(nan, &pool).into_data().try_to_vec::<f32>().unwrap()[0].is_nan());
    }
}

#[test]
fn fully_connected_layers_draw_the_masks_of_the_processor() {
    let keys: Vec<Key> = (0..9).map(|sample| Key::new([7, 1, sample, 0])).collect();
    for outputs in [5, 16, 37] {
        let mask = DropoutMask::draw(&keys, "fc6", outputs, 0.4, 1.5);
        for finish in [Finish::Plain, Finish::Relu, Finish::ReluDropout(mask)] {
            let shapes = [[9, 2, 3, 2], [1, 1, 12, outputs], [1, outputs, 1, 1]];
            compare(&format!("linear of {outputs}, {finish:?}"), shapes, |x| {
                let weight = x[1].clone().reshape([12, outputs]);
                let out = crate::linear(x[0].clone().flatten(1, 3), weight, bias(&x[2]), finish.clone());
                out.reshape([9, outputs, 1, 1])
            });
        }
    }
}

#[test]
fn the_loss() {
    for (rows, classes) in [(1, 3), (9, 10), (40, 70)] {
        let targets: Vec<usize> = (0..rows).map(|row| row * 7 % classes).collect();
        compare(&format!("loss of {rows} × {classes}"), [[rows, classes, 1, 1]], |x| {
            let logits = x[0].clone().flatten::<2>(1, 3).mul_scalar(9.0);
            crate::cross_entropy(logits, &targets).reshape([1, 1, 1, 1])
        });
    }
    for device in gpus() {
        let logits: Tensor<2> = tensor([2, 3], 1, &device).mul_scalar(f64::NAN);
        let loss = crate::cross_entropy(logits, &[0, 1]).into_data().try_to_vec::<f32>().unwrap();
        assert!(loss[0].is_nan());
    }
}
