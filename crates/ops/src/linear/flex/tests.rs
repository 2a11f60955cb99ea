//! Compares the kernels with plain loops in f64 and with the composed form.

use burn::tensor::{Device, Tensor};
use proptest::prelude::*;

use super::kernel::{self, Shape};
use crate::config::Finish;
use crate::testing::{
    add, assert_close, assert_same_bits_on_threads, assert_sums, cases, device, numbers, tensor,
    with_gradients,
};
use crate::{DropoutMask, Key, composed};

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_fully_connected_layer_is_the_sum_it_should_be(
        (batch, inputs, outputs) in (0usize..40, 1usize..90, 1usize..70),
        seed in 0u64..1000,
    ) {
        let shape = Shape { batch, inputs, outputs };
        let (features, weight) = (numbers(batch * inputs, seed), numbers(inputs * outputs, seed + 1));
        let (bias, gradient) = (numbers(outputs, seed + 2), numbers(batch * outputs, seed + 3));
        let mut out = vec![(0.0, 0.0); batch * outputs];
        let mut to_features = vec![(0.0, 0.0); features.len()];
        let mut to_weight = vec![(0.0, 0.0); weight.len()];
        let mut to_bias = vec![(0.0, 0.0); outputs];
        for row in 0..batch {
            for output in 0..outputs {
                let g = f64::from(gradient[row * outputs + output]);
                add(&mut out[row * outputs + output], f64::from(bias[output]));
                add(&mut to_bias[output], g);
                for input in 0..inputs {
                    let x = f64::from(features[row * inputs + input]);
                    let w = f64::from(weight[input * outputs + output]);
                    add(&mut out[row * outputs + output], x * w);
                    add(&mut to_features[row * inputs + input], g * w);
                    add(&mut to_weight[input * outputs + output], g * x);
                }
            }
        }
        let ours = kernel::forward(&features, &weight, &bias, &Finish::Plain, shape);
        assert_sums("output", &ours, &out, inputs + 1);
        let ours = kernel::feature_gradient(&gradient, &weight, shape);
        assert_sums("features' gradient", &ours, &to_features, outputs);
        let ours = kernel::weight_gradient(&gradient, &features, shape);
        assert_sums("weight gradient", &ours, &to_weight, batch);
        let ours = kernel::bias_gradient(&gradient, outputs);
        assert_sums("bias gradient", &ours, &to_bias, batch);
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let shape = Shape { batch: 37, inputs: 700, outputs: 333 };
    let (features, weight) = (numbers(37 * 700, 5), numbers(700 * 333, 6));
    let (bias, gradient) = (numbers(333, 7), numbers(37 * 333, 8));
    assert_same_bits_on_threads(|| {
        vec![
            kernel::forward(&features, &weight, &bias, &Finish::Relu, shape),
            kernel::feature_gradient(&gradient, &weight, shape),
            kernel::weight_gradient(&gradient, &features, shape),
        ]
    });
}

#[test]
fn kernels_and_composed_forms_agree_through_automatic_differentiation() {
    let keys: Vec<Key> = (0..9).map(|sample| Key::new([1, 2, sample, 0])).collect();
    let mask = DropoutMask::draw(&keys, "fc6", 11, 0.4, 1.5);
    for finish in [Finish::Plain, Finish::Relu, Finish::ReluDropout(mask)] {
        // Layers take 2-D tensors; the helper provides 4-D views.
        let inputs = || [(numbers(9 * 70, 6), [9, 1, 7, 10]), (numbers(70 * 11, 7), [70, 1, 11, 1])];
        let bias = |device: &Device| tensor([11], 8, device);
        let layer = |linear: fn(Tensor<2>, Tensor<2>, Tensor<1>, Finish) -> Tensor<2>| {
            let finish = finish.clone();
            move |x: &[Tensor<4>]| {
                let (features, weight) = (x[0].clone().flatten(1, 3), x[1].clone().flatten(1, 3));
                linear(features, weight, bias(&x[0].device()), finish.clone()).reshape([9, 1, 11, 1])
            }
        };
        let ours = with_gradients(inputs(), layer(crate::linear));
        assert_close(&ours, &with_gradients(inputs(), layer(composed::linear)));
    }
}

#[test]
fn no_images_give_no_features() {
    let device = device();
    let features = Tensor::<2>::zeros([0, 4], &device);
    let weight = Tensor::<2>::ones([4, 3], &device);
    let out = crate::linear(features, weight, Tensor::zeros([3], &device), Finish::Relu);
    assert_eq!(out.dims(), [0, 3]);
}
