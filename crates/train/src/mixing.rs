//! Targets that are no single class, and images mixed in pairs.

use alexnet_ops::Key;
use alexnet_ops::math::{pow, uniform};
use burn::tensor::{Tensor, TensorData};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How training images are mixed in pairs. Each image is mixed with the next one of its batch, the last with the first; batches
/// have a new order each epoch. The share of the first image has a Beta(alpha, alpha) distribution, drawn for each pair.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mixing {
    /// Not at all.
    #[default]
    None,
    /// The weighted sum of both, with this alpha (Zhang et al. 2017: 0.2).
    Mixup(f64),
    /// A rectangle of the second in the first, with this alpha (Yun et al. 2019: 1).
    Cutmix(f64),
}

impl Mixing {
    pub(crate) fn check(self) -> Result<(), String> {
        match self {
            Self::None | Self::Mixup(0.01..=4.0) | Self::Cutmix(0.01..=4.0) => Ok(()),
            Self::Mixup(alpha) | Self::Cutmix(alpha) => Err(format!("an alpha of {alpha} must be 0.01 to 4")),
        }
    }
}

/// The wanted softmax in training, if it is not 1 for the true class.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Objective {
    /// The share of every class in the target (Szegedy et al. 2015, §7).
    pub(crate) smoothing: f64,
    pub(crate) mixing: Mixing,
}

impl Objective {
    /// Mixes images. Returns them with the wanted distributions, `[batch, classes]`, or `None` if the true classes are wanted.
    pub(crate) fn apply(
        self,
        images: Tensor<4>,
        targets: &[usize],
        keys: &[Key],
        classes: usize,
    ) -> (Tensor<4>, Option<Vec<f32>>) {
        if self == Self::default() {
            return (images, None);
        }
        let [batch, _, height, width] = images.dims();
        let pairs: Vec<Pair> = match self.mixing {
            Mixing::None => vec![Pair { own: 1.0, cut: None }; batch],
            mixing => keys.iter().map(|key| Pair::draw(mixing, *key, [height, width])).collect(),
        };
        let mut wanted = vec![(self.smoothing / classes as f64) as f32; batch * classes];
        for (at, pair) in pairs.iter().enumerate() {
            let other = targets[(at + 1) % batch];
            let certain = 1.0 - self.smoothing;
            wanted[at * classes + targets[at]] += (certain * pair.own) as f32;
            wanted[at * classes + other] += (certain * (1.0 - pair.own)) as f32;
        }
        let images = if self.mixing == Mixing::None { images } else { mixed(images, &pairs) };
        (images, Some(wanted))
    }
}

/// How an image is mixed with the next.
#[derive(Debug, Clone, Copy)]
struct Pair {
    /// The share of the image itself.
    own: f64,
    /// The rows and columns that come from the other, for CutMix.
    cut: Option<[[usize; 2]; 2]>,
}

impl Pair {
    fn draw(mixing: Mixing, key: Key, [height, width]: [usize; 2]) -> Self {
        let mut rng = key.with_purpose("mix").rng();
        // A uniform number in (0, 1].
        let mut unit = || 0.5 - 0.5 * uniform(&mut rng);
        let (Mixing::Mixup(alpha) | Mixing::Cutmix(alpha)) = mixing else {
            return Self { own: 1.0, cut: None };
        };
        // Jöhnk's method for the Beta distribution.
        let own = loop {
            let (x, y) = (pow(unit(), 1.0 / alpha), pow(unit(), 1.0 / alpha));
            if x + y <= 1.0 && x + y > 0.0 {
                break x / (x + y);
            }
        };
        if let Mixing::Mixup(_) = mixing {
            return Self { own, cut: None };
        }
        // A rectangle of the other's share around any pixel, clipped at the edges.
        let side = (1.0 - own).sqrt();
        let mut span = |extent: usize| {
            let (length, centre) = ((extent as f64 * side) as usize, (unit() * extent as f64) as usize);
            let begin = centre.saturating_sub(length / 2);
            [begin.min(extent), (centre + length - length / 2).min(extent)]
        };
        let cut = [span(height), span(width)];
        let area = (cut[0][1] - cut[0][0]) * (cut[1][1] - cut[1][0]);
        Self { own: 1.0 - area as f64 / (height * width) as f64, cut: Some(cut) }
    }
}

/// Mixes each image with the next.
fn mixed(images: Tensor<4>, pairs: &[Pair]) -> Tensor<4> {
    let ([batch, _, height, width], device) = (images.dims(), images.device());
    if batch == 1 {
        return images;
    }
    let next = Tensor::cat(vec![images.clone().narrow(0, 1, batch - 1), images.clone().narrow(0, 0, 1)], 0);
    let cuts = pairs.iter().any(|pair| pair.cut.is_some());
    let shape = if cuts { [batch, 1, height, width] } else { [batch, 1, 1, 1] };
    let own: Vec<f32> = pairs
        .iter()
        .flat_map(|pair| match pair.cut {
            None => vec![pair.own as f32],
            Some([rows, columns]) => {
                let inside = |at: usize, [begin, end]: [usize; 2]| (begin..end).contains(&at);
                let other = |at: usize| inside(at / width, rows) && inside(at % width, columns);
                (0..height * width).map(|at| if other(at) { 0.0 } else { 1.0 }).collect()
            }
        })
        .collect();
    let own = Tensor::<4>::from_data(TensorData::new(own, shape), &device);
    let other = own.clone().neg().add_scalar(1.0);
    images * own + next * other
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(count: usize) -> Vec<Key> {
        (0..count).map(|image| Key::new([3, 1, image as u64, 0])).collect()
    }

    fn apply(objective: Objective, count: usize) -> (Vec<f32>, Vec<f32>) {
        let device = alexnet_ops::Backend::in_this_build()[0].device().unwrap();
        let pixels: Vec<f32> = (0..count).flat_map(|image| vec![image as f32; 64]).collect();
        let images = Tensor::from_data(TensorData::new(pixels, [count, 1, 8, 8]), &device);
        let targets: Vec<usize> = (0..count).map(|image| image % 4).collect();
        let (images, wanted) = objective.apply(images, &targets, &keys(count), 4);
        (images.into_data().try_to_vec().unwrap(), wanted.unwrap_or_default())
    }

    #[test]
    fn smoothing_spreads_a_share_over_all_classes() {
        let (images, wanted) = apply(Objective { smoothing: 0.2, mixing: Mixing::None }, 2);
        assert_eq!(images[64], 1.0);
        for (found, expected) in wanted.iter().zip([0.85, 0.05, 0.05, 0.05, 0.05, 0.85, 0.05, 0.05]) {
            assert!((found - expected).abs() < 1e-6, "{wanted:?}");
        }
    }

    #[test]
    fn mixed_images_and_targets_have_the_same_shares() {
        for mixing in [Mixing::Mixup(0.2), Mixing::Cutmix(1.0)] {
            let (images, wanted) = apply(Objective { smoothing: 0.0, mixing }, 400);
            let mut shares = Vec::new();
            for image in 0..400 {
                let own = f64::from(wanted[image * 4 + image % 4]);
                let other = f64::from(wanted[image * 4 + (image + 1) % 4]);
                assert!((own + other - 1.0).abs() < 1e-6);
                // The mean of the pixels tells the shares, since an image and the next differ by a constant.
                let mean =
                    images[image * 64..image * 64 + 64].iter().map(|v| f64::from(*v)).sum::<f64>() / 64.0;
                let next = (image + 1) % 400;
                let expected = own * image as f64 + other * next as f64;
                assert!((mean - expected).abs() < 1e-2, "{mixing:?}: {mean}, not {expected}");
                shares.push(own);
            }
            // The Beta distribution is symmetric, with a variance of 1 / (4 (2 alpha + 1)); clipped rectangles leave more.
            let mean = shares.iter().sum::<f64>() / 400.0;
            let least = if let Mixing::Mixup(_) = mixing { 0.43 } else { 0.5 };
            assert!((least..0.75).contains(&mean), "{mixing:?}: {mean}");
            assert_eq!(apply(Objective { smoothing: 0.0, mixing }, 400).1, wanted);
        }
    }
}
