//! Short binary codes of features by an auto-encoder (proposed in Krizhevsky et al. 2012, §6.1, after
//! Krizhevsky & Hinton 2011).

use alexnet_ops::math::Gaussian;
use alexnet_ops::{Key, sigmoid};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use crate::Rows;
use crate::hamming::Codes;
use crate::perceptron::{self, Perceptron, Standard};

/// The largest number of values that an auto-encoder learns from. From larger data, it takes evenly spaced
/// rows.
const SAMPLE: usize = 1 << 27;
/// Rows encoded at once.
const BLOCK: usize = 1024;

/// Options for training an auto-encoder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CodeConfig {
    /// Bits per code.
    pub bits: usize,
    /// Hidden units between features and code, and between code and features.
    pub hidden: usize,
    /// Epochs over the sample.
    pub epochs: usize,
    /// Standard deviation of the Gaussian noise added to the inputs of the code units. Only codes with units
    /// near 0 or 1 survive the noise (Salakhutdinov & Hinton 2009, §2.3: 4).
    pub noise: f64,
    /// The seed of the weights, the order and the noise.
    pub seed: u64,
}

/// Maps features to codes of logistic units and back.
#[derive(Debug)]
pub struct AutoEncoder {
    bits: usize,
    standard: Standard,
    encoder: Perceptron,
    device: Device,
}

#[derive(Module, Debug)]
struct Both {
    encoder: Perceptron,
    decoder: Perceptron,
}

impl AutoEncoder {
    /// Learns from `count` rows of `width` numbers. After each epoch, `heard` receives the mean squared error
    /// per number, in units of the variance, and returns whether to continue.
    ///
    /// # Errors
    /// If rows cannot be read.
    pub fn train<R: Rows>(
        rows: &mut R,
        count: usize,
        width: usize,
        config: CodeConfig,
        device: &Device,
        heard: &mut dyn FnMut(usize, f64) -> bool,
    ) -> Result<Self, R::Error> {
        let every = (count * width).div_ceil(SAMPLE).max(1);
        let mut sample = Vec::new();
        let (together, apart) = if every == 1 { (BLOCK, BLOCK) } else { (1, every) };
        for start in (0..count).step_by(apart) {
            sample.extend(rows.read(start..(start + together).min(count))?);
        }
        Ok(Self::learn(sample, width, config, device, heard))
    }

    /// Learns from a sample of rows. It does not depend on the source of the rows. It is compiled in this
    /// crate, and so optimized whatever the caller's settings.
    fn learn(
        mut sample: Vec<f32>,
        width: usize,
        config: CodeConfig,
        device: &Device,
        heard: &mut dyn FnMut(usize, f64) -> bool,
    ) -> Self {
        let samples = sample.len() / width;
        let standard = Standard::of(&sample, width);
        standard.apply(&mut sample);
        let (device, CodeConfig { bits, hidden, seed, .. }) = (device.clone().autodiff(), config);
        let both = Both {
            encoder: Perceptron::new("encoder", &[width, hidden, bits], seed, &device),
            decoder: Perceptron::new("decoder", &[bits, hidden, width], seed, &device),
        };
        let loss = |both: &Both, chosen: &[usize], step: usize| {
            let features = perceptron::rows(&sample, width, chosen, &device);
            let key = Key::new([seed, step as u64, bits as u64, Key::word("code noise")]);
            let mut draws = Gaussian::new(key.rng());
            let noise: Vec<f32> =
                (0..chosen.len() * bits).map(|_| (draws.draw() * config.noise) as f32).collect();
            let noise = Tensor::from_data(TensorData::new(noise, [chosen.len(), bits]), &device);
            let code = sigmoid(both.encoder.forward(features.clone()) + noise);
            let off = both.decoder.forward(code) - features;
            off.clone() * off
        };
        let mut heard = |pass: usize, loss: f64, _: &Both| heard(pass, loss);
        let both = perceptron::fit(both, samples, config.epochs, seed, &loss, &mut heard);
        let (encoder, device) = (both.encoder.valid(), device.inner());
        Self { bits, standard, encoder, device }
    }

    /// Returns the codes of features, row by row. A bit is set where its unit is above one half.
    ///
    /// # Panics
    /// If the features are not whole rows.
    pub fn encode(&self, features: &[f32]) -> Codes {
        let width = self.standard.width();
        assert_eq!(features.len() % width, 0, "whole rows");
        let mut codes = Codes::new(self.bits);
        for block in features.chunks(BLOCK * width) {
            let mut block = block.to_vec();
            self.standard.apply(&mut block);
            let count = block.len() / width;
            let block = Tensor::from_data(TensorData::new(block, [count, width]), &self.device);
            // The logistic function is above one half where its input is above zero.
            codes.extend(&perceptron::values(self.encoder.forward(block)));
        }
        codes
    }

    /// Returns the codes of all rows.
    ///
    /// # Errors
    /// If rows cannot be read.
    pub fn encode_all<R: Rows>(&self, rows: &mut R, count: usize) -> Result<Codes, R::Error> {
        let mut codes = Codes::new(self.bits);
        for start in (0..count).step_by(BLOCK) {
            codes.append(self.encode(&rows.read(start..(start + BLOCK).min(count))?));
        }
        Ok(codes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Table;

    /// Numbers with random signs.
    fn signs(count: usize, salt: usize) -> Vec<f32> {
        use rand_chacha::rand_core::Rng;
        let mut rng = Key::new([salt as u64, 0, 0, 0]).rng();
        (0..count).map(|_| if rng.next_u32().is_multiple_of(2) { 1.0 } else { -1.0 }).collect()
    }

    #[test]
    fn what_is_alike_has_codes_that_are_alike() {
        // Four clusters around corners of a 16-dimensional cube.
        let (count, width) = (400, 16);
        let corners = signs(4 * width, 5);
        let jitter = signs(count * width, 6);
        let value = |at: usize| corners[at / width % 4 * width + at % width] + 0.3 * jitter[at];
        let mut table = Table { values: (0..count * width).map(value).collect(), width };
        let device = alexnet_ops::Backend::in_this_build()[0].device().unwrap();
        let config = CodeConfig { bits: 8, hidden: 32, epochs: 60, noise: 1.0, seed: 0 };
        let mut losses = Vec::new();
        let train = |table: &mut Table, losses: &mut Vec<f64>| {
            let mut heard = |_, loss| {
                losses.push(loss);
                true
            };
            let Ok(encoder) = AutoEncoder::train(table, count, width, config, &device, &mut heard);
            let Ok(codes) = encoder.encode_all(table, count);
            codes
        };
        let codes = train(&mut table, &mut losses);
        assert!(losses[59] < 0.5 * losses[0] && losses[59] < 0.5, "{losses:?}");
        let right = codes.precision(&codes, 50, &|query, row| query % 4 == row % 4);
        assert!(right.iter().sum::<f64>() / count as f64 > 0.95);
        assert_eq!(train(&mut table, &mut Vec::new()), codes, "the same seed gives the same codes");
    }
}
