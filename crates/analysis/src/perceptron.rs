use alexnet_ops::math::Gaussian;
use alexnet_ops::{Finish, Key};
use burn::module::{Module, Param, ParamId};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

/// Samples per step.
const BATCH: usize = 64;
/// Adam's initial learning rate. It falls linearly to zero.
const RATE: f64 = 3e-3;

/// Fully connected layers with ReLUs between them, trained on top of features.
#[derive(Module, Debug)]
pub(crate) struct Perceptron {
    layers: Vec<Layer>,
}

#[derive(Module, Debug)]
struct Layer {
    weight: Param<Tensor<2>>, // [inputs, units]
    bias: Param<Tensor<1>>,
}

impl Perceptron {
    /// Builds layers from each width to the next, drawn from `seed` as in He et al. 2015 (equation 10) for
    /// ReLUs.
    pub(crate) fn new(name: &str, widths: &[usize], seed: u64, device: &Device) -> Self {
        let layer = |(at, pair): (usize, &[usize])| {
            let (inputs, units) = (pair[0], pair[1]);
            let rng = Key::new([seed, Key::word(name), at as u64, Key::word("perceptron")]).rng();
            let (mut draws, deviation) = (Gaussian::new(rng), (2.0 / inputs as f64).sqrt());
            let values: Vec<f32> = (0..inputs * units).map(|_| (draws.draw() * deviation) as f32).collect();
            let id = |kind: &str| ParamId::from(Key::word(&format!("{name}.{at}.{kind}")));
            let weight = Tensor::from_data(TensorData::new(values, [inputs, units]), device);
            let bias = Tensor::zeros([units], device);
            Layer {
                weight: Param::initialized(id("weight"), weight.require_grad()),
                bias: Param::initialized(id("bias"), bias.require_grad()),
            }
        };
        Self { layers: widths.windows(2).enumerate().map(layer).collect() }
    }

    /// Maps `[samples, first width]` to `[samples, last width]`.
    pub(crate) fn forward(&self, mut x: Tensor<2>) -> Tensor<2> {
        for (at, layer) in self.layers.iter().enumerate() {
            let finish = if at + 1 < self.layers.len() { Finish::Relu } else { Finish::Plain };
            x = alexnet_ops::linear(x, layer.weight.val(), layer.bias.val(), finish);
        }
        x
    }
}

/// Minimizes the mean of `loss`, which has a row for each of some samples, over `samples` in `epochs` passes, in an order
/// drawn from `seed`. `loss` also receives the step, for its random draws. After each epoch, `heard` receives the mean loss and the model, and
/// returns whether to continue.
pub(crate) fn fit<M: Module>(
    mut model: M,
    samples: usize,
    epochs: usize,
    seed: u64,
    loss: &dyn Fn(&M, &[usize], usize) -> Tensor<2>,
    heard: &mut dyn FnMut(usize, f64, &M) -> bool,
) -> M {
    use rand_chacha::rand_core::Rng;
    let mut adam = AdamConfig::new().init();
    let steps = epochs * samples.div_ceil(BATCH);
    let mut step = 0;
    for epoch in 0..epochs {
        let key = |sample: usize| {
            Key::new([seed, epoch as u64, sample as u64, Key::word("order")]).rng().next_u64()
        };
        let mut order: Vec<(u64, usize)> = (0..samples).map(|sample| (key(sample), sample)).collect();
        order.sort_unstable();
        let order: Vec<usize> = order.into_iter().map(|(_, sample)| sample).collect();
        let mut sum = 0.0;
        for batch in order.chunks(BATCH) {
            let each = loss(&model, batch, step);
            let gradients = GradientsParams::from_grads(each.clone().mean().backward(), &model);
            sum += mean(each) * batch.len() as f64;
            let rate = RATE * (1.0 - step as f64 / steps as f64);
            model = adam.step(rate, model, gradients);
            step += 1;
        }
        if !heard(epoch + 1, sum / samples as f64, &model) {
            break;
        }
    }
    model
}

/// Standardizes features for a perceptron: subtracts each feature's mean and divides all by one standard
/// deviation.
#[derive(Debug, Clone)]
pub(crate) struct Standard {
    mean: Vec<f32>,
    scale: f32,
}

impl Standard {
    /// Computes the statistics of rows of `width` numbers.
    pub(crate) fn of(rows: &[f32], width: usize) -> Self {
        let count = (rows.len() / width).max(1) as f64;
        let mut mean = vec![0.0f64; width];
        rows.chunks_exact(width).for_each(|row| {
            mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
        });
        let mean: Vec<f32> = mean.iter().map(|sum| (sum / count) as f32).collect();
        let square = |(value, mean): (&f32, &f32)| f64::from(value - mean).powi(2);
        let squares = rows.par_chunks_exact(width).map(|row| row.iter().zip(&mean).map(square).sum::<f64>());
        // Summed in row order, so that the result does not depend on the threads.
        let variance = squares.collect::<Vec<f64>>().iter().sum::<f64>() / rows.len().max(1) as f64;
        Self { mean, scale: if variance > 0.0 { (1.0 / variance.sqrt()) as f32 } else { 0.0 } }
    }

    pub(crate) fn width(&self) -> usize {
        self.mean.len()
    }

    pub(crate) fn apply(&self, rows: &mut [f32]) {
        rows.par_chunks_exact_mut(self.mean.len()).for_each(|row| {
            row.iter_mut().zip(&self.mean).for_each(|(value, mean)| *value = (*value - mean) * self.scale);
        });
    }
}

/// Returns rows of a table as a tensor `[chosen, width]`.
pub(crate) fn rows(table: &[f32], width: usize, chosen: &[usize], device: &Device) -> Tensor<2> {
    let values = chosen.iter().flat_map(|&row| &table[row * width..(row + 1) * width]).copied().collect();
    Tensor::from_data(TensorData::new::<f32, _>(values, [chosen.len(), width]), device)
}

/// Returns the mean of a tensor's numbers, summed in their order.
pub(crate) fn mean(tensor: Tensor<2>) -> f64 {
    let values = values(tensor);
    values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len().max(1) as f64
}

/// A tensor's values.
pub(crate) fn values(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_to_vec().expect("converted to f32")
}
