//! Each operation at the shapes of the networks that use it, fast and composed side by side.
//!
//! ```text
//! cargo bench --workspace --profile dev --bench layers
//! ```
//! `forward` counts the layer alone, `backward` the layer and every gradient of it. For
//! convolutions the item rate is FLOP/s (two a multiply-add); `matmul` is the same machine's own
//! rate for 2048³, to measure them against.

use alexnet_ops::{
    AlphaConvention, Backend, Conv2d, ConvMethod, Implementation, Lrn, Padding, Pool, Rounding,
};
use burn::tensor::{Device, Distribution, Tensor};
use divan::Bencher;
use divan::counter::ItemsCount;

fn main() {
    divan::main();
}

const BATCH: usize = 32;

const IMPLEMENTATIONS: [Implementation; 2] = [Implementation::Fast, Implementation::Composed];

fn device() -> Device {
    Backend::in_this_build()[0].device().expect("the first backend of this build has a device")
}

/// A convolution of one tower.
#[derive(Debug)]
struct Layer {
    name: &'static str,
    channels: usize,
    side: usize,
    filters: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
}

impl std::fmt::Display for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

const fn layer(
    name: &'static str,
    [channels, side]: [usize; 2],
    filters: usize,
    [kernel, stride, padding]: [usize; 3],
) -> Layer {
    Layer { name, channels, side, filters, kernel, stride, padding }
}

/// One tower's convolutions of `alexnet-2012` (Krizhevsky et al. 2012, figure 2) and of `cifar10`.
const LAYERS: [Layer; 10] = [
    layer("alexnet-2012 conv1", [3, 224], 48, [11, 4, 2]),
    layer("alexnet-2012 conv2", [48, 27], 128, [5, 1, 2]),
    layer("alexnet-2012 conv3", [256, 13], 192, [3, 1, 1]),
    layer("alexnet-2012 conv4", [192, 13], 192, [3, 1, 1]),
    layer("alexnet-2012 conv5", [192, 13], 128, [3, 1, 1]),
    layer("cifar10 conv1", [3, 32], 16, [5, 1, 2]),
    layer("cifar10 conv2", [16, 16], 32, [5, 1, 2]),
    layer("cifar10 conv3", [64, 8], 48, [3, 1, 1]),
    layer("cifar10 conv4", [48, 8], 48, [3, 1, 1]),
    layer("cifar10 conv5", [48, 8], 32, [3, 1, 1]),
];

impl Layer {
    fn options(&self) -> Conv2d {
        Conv2d {
            stride: self.stride,
            padding: Padding::same(self.padding),
            groups: 1,
            relu: true,
            method: ConvMethod::default(),
        }
    }

    fn output(&self) -> usize {
        (self.side + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// FLOP of one product: forward, or one of the two gradients.
    fn flop(&self) -> usize {
        2 * BATCH * self.output().pow(2) * self.filters * self.channels * self.kernel.pow(2)
    }

    fn tensors(&self, device: &Device) -> (Tensor<4>, Tensor<4>, Tensor<1>) {
        let feature_maps = random([BATCH, self.channels, self.side, self.side], device);
        let weight = random([self.filters, self.channels, self.kernel, self.kernel], device);
        (feature_maps, weight, Tensor::zeros([self.filters], device))
    }
}

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

/// Waits for a tensor to be computed.
fn finish<const D: usize>(tensor: Tensor<D>) {
    tensor.device().sync().expect("the device finishes its work");
    divan::black_box_drop(tensor);
}

#[divan::bench(args = LAYERS.iter().flat_map(|layer| IMPLEMENTATIONS.map(|i| Case(layer, i))))]
fn conv_forward(bencher: Bencher<'_, '_>, Case(layer, implementation): &Case) {
    let (feature_maps, weight, bias) = layer.tensors(&device());
    let options = layer.options();
    bencher
        .counter(ItemsCount::new(layer.flop()))
        .bench(|| finish(implementation.conv2d(feature_maps.clone(), weight.clone(), bias.clone(), options)));
}

#[divan::bench(args = LAYERS.iter().flat_map(|layer| IMPLEMENTATIONS.map(|i| Case(layer, i))))]
fn conv_backward(bencher: Bencher<'_, '_>, Case(layer, implementation): &Case) {
    let device = device().autodiff();
    let (feature_maps, weight, bias) = layer.tensors(&device);
    let (weight, bias) = (weight.require_grad(), bias.require_grad());
    let feature_maps = feature_maps.require_grad();
    let options = layer.options();
    bencher.counter(ItemsCount::new(3 * layer.flop())).bench(|| {
        let out = implementation.conv2d(feature_maps.clone(), weight.clone(), bias.clone(), options);
        let gradients = out.sum().backward();
        finish(weight.grad(&gradients).expect("the weights have a gradient"));
    });
}

struct Case(&'static Layer, Implementation);

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {}", self.0, self.1)
    }
}

/// The feature maps that LRN and pooling see: channels of one tower and side.
const MAPS: [[usize; 2]; 4] = [[48, 55], [128, 27], [16, 32], [32, 16]];

#[divan::bench(args = MAPS.iter().flat_map(|maps| IMPLEMENTATIONS.map(|i| Sweep(*maps, i))))]
fn lrn_backward(bencher: Bencher<'_, '_>, Sweep([channels, side], implementation): &Sweep) {
    // Krizhevsky et al. 2012, §3.3.
    let options = Lrn { size: 5, alpha: 1e-4, beta: 0.75, k: 2.0, convention: AlphaConvention::Sum };
    let feature_maps = random([BATCH, *channels, *side, *side], &device().autodiff()).require_grad();
    bencher.counter(ItemsCount::new(BATCH * channels * side * side)).bench(|| {
        let gradients = implementation.lrn(feature_maps.clone(), &options).sum().backward();
        finish(feature_maps.grad(&gradients).expect("the feature maps have a gradient"));
    });
}

#[divan::bench(args = MAPS.iter().flat_map(|maps| IMPLEMENTATIONS.map(|i| Sweep(*maps, i))))]
fn max_pool_backward(bencher: Bencher<'_, '_>, Sweep([channels, side], implementation): &Sweep) {
    let options = Pool { size: 3, stride: 2, padding: 0, rounding: Rounding::Ceil };
    let feature_maps = random([BATCH, *channels, *side, *side], &device().autodiff()).require_grad();
    bencher.counter(ItemsCount::new(BATCH * channels * side * side)).bench(|| {
        let gradients = implementation.max_pool2d(feature_maps.clone(), &options).sum().backward();
        finish(feature_maps.grad(&gradients).expect("the feature maps have a gradient"));
    });
}

struct Sweep([usize; 2], Implementation);

impl std::fmt::Display for Sweep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self([channels, side], implementation) = self;
        write!(f, "{channels} × {side}², {implementation}")
    }
}

#[divan::bench]
fn matmul(bencher: Bencher<'_, '_>) {
    const SIDE: usize = 2048;
    let device = device();
    let (left, right) = (random([SIDE, SIDE], &device), random([SIDE, SIDE], &device));
    bencher.counter(ItemsCount::new(2 * SIDE.pow(3))).bench(|| finish(left.clone().matmul(right.clone())));
}
