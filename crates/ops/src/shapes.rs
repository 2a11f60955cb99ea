//! Checks of shapes that kernels rely on and some backends do not make.

use burn::tensor::Tensor;

/// Checks that there are as many biases as a layer has outputs of its own.
pub(crate) fn check_biases(bias: &Tensor<1>, outputs: usize) {
    let [biases] = bias.dims();
    assert_eq!(biases, outputs, "the biases are not those of the weights");
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use burn::tensor::Tensor;

    use crate::testing::device;
    use crate::{Conv2d, Finish, Padding, conv2d, linear, locally_connected2d};

    fn zeros<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::zeros(shape, &device())
    }

    #[test]
    fn too_few_or_too_many_biases_are_refused() {
        let options = Conv2d {
            stride: 1,
            padding: Padding { top: 0, left: 0, bottom: 0, right: 0 },
            groups: 1,
            relu: false,
            method: Default::default(),
        };
        let layers: [(usize, &(dyn Fn(usize) + std::panic::RefUnwindSafe)); 3] = [
            (4, &|biases| drop(conv2d(zeros([1, 3, 3, 3]), zeros([4, 3, 3, 3]), zeros([biases]), options))),
            (4, &|biases| drop(linear(zeros([2, 3]), zeros([3, 4]), zeros([biases]), Finish::Plain))),
            (8, &|biases| {
                let weight = zeros([4, 3, 4, 2]);
                drop(locally_connected2d(zeros([1, 3, 2, 3]), weight, zeros([biases]), 2, options));
            }),
        ];
        for (biases, layer) in layers {
            layer(biases);
            for other in [1, biases - 1, biases + 1] {
                assert!(catch_unwind(|| layer(other)).is_err(), "{other} biases for {biases} outputs");
            }
        }
    }
}
