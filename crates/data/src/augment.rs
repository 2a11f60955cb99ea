//! Crops, flips and colour noise (Krizhevsky et al. 2012, §4.1), and the views of a test image: what is drawn.

use alexnet_ops::Key;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::Statistics;

/// What is done to a training image, at random.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augmentation {
    /// Where the input is cut out of the image.
    pub crop: Crop,
    /// Share of images that are mirrored left to right: 0.5 in the paper, 0 for none.
    pub flip: f64,
    /// Noise on the colours.
    pub colour: Colour,
    /// How many images next to each other in an epoch's order share one draw of crop and mirroring: 1 in the paper,
    /// 32 in the authors' loader (cuda-convnet2, convdata.py).
    #[serde(default = "one")]
    pub shared_by: usize,
}

fn one() -> usize {
    1
}

/// Where the network's input is cut out of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    /// At a random place in training, or always in the centre.
    pub random: bool,
    /// Pixels of the mean added around the image first: for images no larger than the input.
    pub padding: usize,
}

/// Noise along the principal colours of the training split (§4.1).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Colour {
    /// Standard deviation of the Gaussian factors: 0.1 in the paper, 0 for none.
    pub std: f64,
    /// What each factor multiplies.
    pub reading: ColourReading,
    /// Whether the image is then divided by 1 + `std`, as the authors' code does.
    pub rescale: bool,
}

/// What a factor of the colour noise multiplies along its principal colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColourReading {
    /// The square root of the eigenvalue, the standard deviation along that colour: as the authors
    /// ran it.
    StandardDeviation,
    /// The eigenvalue of pixels of 0–1: the text of §4.1, literally, in the only units in which it makes sense (of
    /// pixels of 0–255 the first factor would move a photograph by thousands of levels).
    UnitEigenvalue,
    /// Eigenvalues and eigenvectors of ImageNet that most copies carry as constants, about as strong as the former,
    /// half as strong as what the authors ran.
    UsualConstants,
}

/// What most copies have for ImageNet's pixels of 0–1 (fb.resnet.torch, transforms): three eigenvalues, and the
/// eigenvectors in rows of red, green and blue.
const USUAL_EIGENVALUES: [f64; 3] = [0.2175, 0.0188, 0.0045];
const USUAL_EIGENVECTORS: [[f64; 3]; 3] =
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]];

/// The views of a test image whose softmax outputs are averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Views {
    /// The centre.
    Centre,
    /// The four corners and the centre, each as it is and mirrored (§4.1).
    Ten,
}

impl Views {
    /// How many inputs one image becomes.
    pub fn count(self) -> usize {
        match self {
            Views::Centre => 1,
            Views::Ten => 10,
        }
    }
}

/// One way of cutting an input out of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cut {
    /// Its corner in the padded image.
    pub(crate) top: usize,
    pub(crate) left: usize,
    /// Mirrored left to right.
    pub(crate) flip: bool,
    /// Added to each channel, in grey levels.
    pub(crate) shift: [f32; 3],
    /// Multiplies everything then.
    pub(crate) scale: f32,
}

impl Cut {
    /// As it is.
    pub(crate) fn plain(top: usize, left: usize, flip: bool) -> Self {
        Self { top, left, flip, shift: [0.0; 3], scale: 1.0 }
    }
}

/// The principal colours, each scaled to the noise that a factor of one makes, in grey levels.
pub(crate) fn colour_axes(statistics: &Statistics, reading: ColourReading) -> Vec<[f32; 3]> {
    let axis = |vector: &mut dyn Iterator<Item = f64>, length: f64| {
        let mut axis = [0.0; 3];
        axis.iter_mut().zip(vector).for_each(|(axis, v)| *axis = (v * length) as f32);
        axis
    };
    if reading == ColourReading::UsualConstants {
        let column = |at: usize| USUAL_EIGENVECTORS.iter().map(move |row| row[at]);
        let axes = USUAL_EIGENVALUES.iter().enumerate();
        return axes.map(|(at, value)| axis(&mut column(at), value * 255.0)).collect();
    }
    let scaled = statistics.eigenvalues.iter().zip(&statistics.eigenvectors).map(|(value, vector)| {
        let length = match reading {
            ColourReading::StandardDeviation => value.max(0.0).sqrt(),
            _ => value / 255.0,
        };
        axis(&mut vector.iter().copied(), length)
    });
    scaled.collect()
}

/// Draws how a training image is cut, out of places of 0 to `span` in both directions: where and whether mirrored
/// from `place`, the noise along the `axes` from `key`.
pub(crate) fn draw(augmentation: &Augmentation, span: usize, axes: &[[f32; 3]], place: Key, key: Key) -> Cut {
    let mut cut = Cut::plain(span / 2, span / 2, false);
    if augmentation.crop.random {
        let mut rng = place.with_purpose("crop").rng();
        (cut.top, cut.left) = (below(&mut rng, span + 1), below(&mut rng, span + 1));
    }
    if augmentation.flip > 0.0 {
        cut.flip = unit(&mut place.with_purpose("flip").rng()) < augmentation.flip;
    }
    if augmentation.colour.std > 0.0 {
        let mut rng = key.with_purpose("colour").rng();
        for axis in axes {
            let normal: f64 = StandardNormal.sample(&mut rng);
            let factor = (normal * augmentation.colour.std) as f32;
            cut.shift.iter_mut().zip(axis).for_each(|(shift, axis)| *shift += factor * axis);
        }
        if augmentation.colour.rescale {
            cut.scale = 1.0 / (1.0 + augmentation.colour.std as f32);
        }
    }
    cut
}

/// How the views of a test image are cut.
pub(crate) fn views(views: Views, span: usize) -> Vec<Cut> {
    let middle = span / 2;
    match views {
        Views::Centre => vec![Cut::plain(middle, middle, false)],
        Views::Ten => [(0, 0), (0, span), (span, 0), (span, span), (middle, middle)]
            .into_iter()
            .flat_map(|(top, left)| [false, true].map(|flip| Cut::plain(top, left, flip)))
            .collect(),
    }
}

/// A uniform number below `count`.
fn below(rng: &mut ChaCha8Rng, count: usize) -> usize {
    ((u128::from(rng.next_u64()) * count as u128) >> 64) as usize
}

/// A uniform number of 0 to 1.
fn unit(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// A permutation of `0..count`, by Fisher and Yates.
pub(crate) fn permutation(count: usize, key: Key) -> Vec<u32> {
    let mut rng = key.rng();
    let mut order: Vec<u32> = (0..count as u32).collect();
    for i in (1..count).rev() {
        order.swap(i, below(&mut rng, i + 1));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_differ_as_the_copies_do() {
        let statistics = Statistics {
            mean_image: vec![],
            channel_means: vec![],
            channel_stds: vec![],
            eigenvalues: vec![121.78f64.powi(2)],
            eigenvectors: vec![vec![-0.5635, -0.5762, -0.5920]],
        };
        let length = |reading| {
            let axis = &colour_axes(&statistics, reading)[0];
            axis.iter().map(|v| v * v).sum::<f32>().sqrt()
        };
        // ImageNet's first axis: 121.8 as run; 58.2 by the text, 55.5 with the usual constants.
        assert!((length(ColourReading::StandardDeviation) - 121.78).abs() < 0.1);
        assert!((length(ColourReading::UnitEigenvalue) - 58.16).abs() < 0.1);
        assert!((length(ColourReading::UsualConstants) - 55.46).abs() < 0.1);
    }

    #[test]
    fn a_permutation_is_one() {
        let mut order = permutation(1000, Key::new([3, 1, 0, 0]));
        assert_ne!(order, permutation(1000, Key::new([3, 2, 0, 0])));
        order.sort_unstable();
        assert!(order.into_iter().eq(0..1000));
    }
}
