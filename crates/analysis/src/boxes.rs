//! Object localization: boxes, their overlap, and class-independent box regression from features.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use crate::perceptron::{self, Perceptron, Standard};

/// A box: left, top, right and bottom, all in the same unit.
pub type Corners = [f32; 4];

/// The intersection over union of two boxes, 0 to 1 (ILSVRC-2012 requires at least 0.5).
pub fn overlap(one: &Corners, other: &Corners) -> f32 {
    let shared =
        area(&[one[0].max(other[0]), one[1].max(other[1]), one[2].min(other[2]), one[3].min(other[3])]);
    let all = area(one) + area(other) - shared;
    if all > 0.0 { shared / all } else { 0.0 }
}

/// The area of a box; 0 if the box is inverted.
pub fn area(corners: &Corners) -> f32 {
    (corners[2] - corners[0]).max(0.0) * (corners[3] - corners[1]).max(0.0)
}

/// Options for learning boxes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxConfig {
    /// Hidden units between features and box. With 0, the box is linear in the features.
    pub hidden: usize,
    /// Epochs over the training images.
    pub epochs: usize,
    /// The seed of the weights and the order.
    pub seed: u64,
}

/// Predicts boxes from features.
#[derive(Debug)]
pub struct BoxRegressor {
    standard: Standard,
    /// The mean box. The network predicts offsets from it.
    middle: Corners,
    perceptron: Perceptron,
    device: Device,
}

impl BoxRegressor {
    /// Learns the boxes of images from their features, `[images, width]`. Boxes are best given as fractions
    /// of the image, 0 to 1. A tenth of the images is held out, and the epoch with the lowest held-out loss
    /// is kept. After each epoch, `heard` receives the mean absolute error of a side on the training and the
    /// held-out images, and returns whether to continue.
    ///
    /// # Panics
    /// If there are fewer than two images, or the features are not one row per image.
    pub fn train(
        features: &[f32],
        boxes: &[Corners],
        config: BoxConfig,
        device: &Device,
        heard: &mut dyn FnMut(usize, [f64; 2]) -> bool,
    ) -> Self {
        let images = boxes.len();
        assert!(images > 1 && features.len().is_multiple_of(images), "a row of features for each box");
        let width = features.len() / images;
        let standard = Standard::of(features, width);
        let middle = mean_box(boxes);
        let offsets: Vec<f32> =
            boxes.iter().flat_map(|one| (0..4).map(move |side| one[side] - middle[side])).collect();
        let device = device.clone().autodiff();
        let widths = match config.hidden {
            0 => vec![width, 4],
            hidden => vec![width, hidden, 4],
        };
        let perceptron = Perceptron::new("boxes", &widths, config.seed, &device);
        let (aside, learned): (Vec<usize>, Vec<usize>) = (0..images).partition(|image| image % 10 == 9);
        let aside = if aside.is_empty() { learned.clone() } else { aside };
        let off = |perceptron: &Perceptron, chosen: &[usize]| {
            let rows = chosen.iter().flat_map(|&row| &features[row * width..(row + 1) * width]);
            let mut rows: Vec<f32> = rows.copied().collect();
            standard.apply(&mut rows);
            let rows = TensorData::new(rows, [chosen.len(), width]);
            let wanted = perceptron::rows(&offsets, 4, chosen, &device);
            (perceptron.forward(Tensor::from_data(rows, &device)) - wanted).abs()
        };
        let loss = |perceptron: &Perceptron, chosen: &[usize], _: usize| {
            off(perceptron, &chosen.iter().map(|&at| learned[at]).collect::<Vec<_>>())
        };
        let mut best: Option<(f64, Perceptron)> = None;
        let mut judge = |pass: usize, loss: f64, perceptron: &Perceptron| {
            let parts = aside
                .chunks(1024)
                .map(|chosen| perceptron::mean(off(perceptron, chosen)) * chosen.len() as f64);
            let found = parts.sum::<f64>() / aside.len() as f64;
            if best.as_ref().is_none_or(|(least, _)| found < *least) {
                best = Some((found, perceptron.clone()));
            }
            heard(pass, [loss, found])
        };
        let last = perceptron::fit(perceptron, learned.len(), config.epochs, config.seed, &loss, &mut judge);
        let perceptron = best.map_or(last, |(_, perceptron)| perceptron).valid();
        Self { standard, middle, perceptron, device: device.inner() }
    }

    /// Returns the boxes of other images.
    ///
    /// # Panics
    /// If the features are not whole rows.
    pub fn boxes(&self, features: &[f32]) -> Vec<Corners> {
        let width = self.standard.width();
        assert_eq!(features.len() % width, 0, "whole rows");
        let mut rows = features.to_vec();
        self.standard.apply(&mut rows);
        let rows = TensorData::new(rows, [features.len() / width, width]);
        let found = perceptron::values(self.perceptron.forward(Tensor::from_data(rows, &self.device)));
        let moved = |offset: &[f32; 4]| std::array::from_fn(|side| self.middle[side] + offset[side]);
        found.as_chunks::<4>().0.iter().map(moved).collect()
    }
}

/// Returns the box whose sides are the means of all boxes' sides.
pub fn mean_box(boxes: &[Corners]) -> Corners {
    let side = |side: usize| {
        let sum: f64 = boxes.iter().map(|one| f64::from(one[side])).sum();
        (sum / boxes.len().max(1) as f64) as f32
    };
    std::array::from_fn(side)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_are_shares_of_the_union() {
        let one = [0.0, 0.0, 2.0, 2.0];
        assert_eq!(overlap(&one, &one), 1.0);
        assert_eq!(overlap(&one, &[1.0, 0.0, 3.0, 2.0]), 2.0 / 6.0);
        assert_eq!(overlap(&one, &[2.0, 2.0, 3.0, 3.0]), 0.0);
        assert_eq!(overlap(&one, &[0.5, 0.5, 1.5, 1.5]), 0.25);
        assert_eq!(overlap(&[1.0, 1.0, 1.0, 1.0], &[1.0, 1.0, 1.0, 1.0]), 0.0, "no area, nothing shared");
        assert_eq!(area(&[2.0, 0.0, 1.0, 5.0]), 0.0);
    }

    #[test]
    fn boxes_that_follow_from_features_are_learned() {
        let device = alexnet_ops::Backend::in_this_build()[0].device().unwrap();
        // Two features give a square's position; the others carry no information.
        use rand_chacha::rand_core::Rng;
        let mut rng = alexnet_ops::Key::new([1, 0, 0, 0]).rng();
        let features: Vec<f32> =
            (0..600 * 6).map(|_| (rng.next_u32() >> 8) as f32 / (1 << 24) as f32).collect();
        let square = |row: &[f32]| [0.5 * row[1], 0.5 * row[4], 0.5 * row[1] + 0.4, 0.5 * row[4] + 0.4];
        let boxes: Vec<Corners> = features.chunks_exact(6).map(square).collect();
        let config = BoxConfig { hidden: 16, epochs: 300, seed: 0 };
        let learned =
            BoxRegressor::train(&features[..500 * 6], &boxes[..500], config, &device, &mut |_, _| true);
        let found = learned.boxes(&features[500 * 6..]);
        let good = found.iter().zip(&boxes[500..]).filter(|(a, b)| overlap(a, b) >= 0.5).count();
        let middle = mean_box(&boxes[..500]);
        let by_middle = boxes[500..].iter().filter(|one| overlap(&middle, one) >= 0.5).count();
        assert!(good >= 95 && by_middle < 60, "{good} and {by_middle} of 100");
    }
}
