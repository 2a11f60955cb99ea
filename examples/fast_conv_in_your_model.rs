//! The operations alone, in a Burn model of one's own, beside Flex's own convolution.
//!
//!     cargo run --example fast_conv_in_your_model

#![allow(clippy::print_stdout)] // an example shows what it found

use std::time::Instant;

use alexnet_ops::{Conv2d, ConvMethod, Padding, composed, conv2d};
use burn::module::{Module, Param};
use burn::tensor::{Device, Distribution, Tensor};

/// One convolution. It could be any module of Burn.
#[derive(Module, Debug)]
struct Small {
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
}

const OPTIONS: Conv2d = Conv2d {
    stride: 1,
    padding: Padding { top: 2, left: 2, bottom: 2, right: 2 },
    groups: 1,
    relu: true,
    method: ConvMethod::Winograd,
};

impl Small {
    fn forward(
        &self,
        maps: Tensor<4>,
        conv: impl Fn(Tensor<4>, Tensor<4>, Tensor<1>, Conv2d) -> Tensor<4>,
    ) -> Tensor<4> {
        conv(maps, self.weight.val(), self.bias.val(), OPTIONS)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = Device::flex().autodiff();
    let random = |shape: [usize; 4]| Tensor::<4>::random(shape, Distribution::Normal(0.0, 0.1), &device);
    let model = Small {
        weight: Param::from_tensor(random([128, 48, 5, 5])),
        bias: Param::from_tensor(Tensor::zeros([128], &device)),
    };
    let maps = random([32, 48, 27, 27]);
    let seconds = |conv: fn(Tensor<4>, Tensor<4>, Tensor<1>, Conv2d) -> Tensor<4>| {
        let step = || drop(model.forward(maps.clone(), conv).sum().backward());
        step();
        let mut times: Vec<f64> = (0..5)
            .map(|_| {
                let begun = Instant::now();
                step();
                begun.elapsed().as_secs_f64()
            })
            .collect();
        times.sort_by(f64::total_cmp);
        times[2]
    };
    let (ours, flex) = (seconds(conv2d), seconds(composed::conv2d));
    println!("conv2 of AlexNet, 32 images, forward and backward:");
    println!("  this crate     {:6.1} ms", 1000.0 * ours);
    println!("  Flex's own     {:6.1} ms, {:.1} times as long", 1000.0 * flex, flex / ours);
    let difference = model.forward(maps.clone(), conv2d) - model.forward(maps, composed::conv2d);
    let largest: f32 = difference.abs().max().into_scalar();
    println!("  largest difference {largest:.1e}");
    Ok(())
}
