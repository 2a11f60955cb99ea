//! Random crops, flips and colour noise (Krizhevsky et al. 2012, §4.1), and the views of a test image.

use alexnet_ops::Key;
use alexnet_ops::math::Gaussian;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Statistics;
use crate::steps::AugmentationStep;
use crate::uniform::{below, unit};

/// The random augmentation of training images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Augmentation {
    /// How the input is cropped from the image.
    pub crop: Crop,
    /// Fraction of images that are mirrored left to right: 0.5 in the paper, 0 for none.
    pub flip: f64,
    /// Noise on the colours.
    pub colour: Colour,
    /// Number of consecutive images in an epoch's order that share one draw of crop and mirroring: 1 in the paper,
    /// 32 in the authors' loader (cuda-convnet2, convdata.py).
    #[serde(default = "one")]
    pub shared_by: usize,
    /// Later augmentations, in order, before the image is cropped and mirrored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<AugmentationStep>,
}

fn one() -> usize {
    1
}

/// How the network's input is cropped from an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    /// Whether training crops are taken at a random place rather than in the centre.
    pub random: bool,
    /// Pixels of the mean added around the image before cropping, for images no larger than the input.
    pub padding: usize,
}

/// Noise along the principal colours of the training split (§4.1).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Colour {
    /// Standard deviation of the Gaussian factors: 0.1 in the paper, 0 for none.
    pub std: f64,
    /// The quantity that each factor multiplies.
    pub reading: ColourReading,
    /// Whether the image is then divided by 1 + `std`, as in the authors' code.
    pub rescale: bool,
}

/// The quantity that a factor of the colour noise multiplies along its principal colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ColourReading {
    /// The square root of the eigenvalue, which is the standard deviation along that colour. The authors ran this.
    StandardDeviation,
    /// The eigenvalue for pixels of 0–1: the literal text of §4.1, in the only units in which it makes sense. With
    /// pixels of 0–255 the first factor would move a photograph by thousands of levels.
    UnitEigenvalue,
    /// The ImageNet eigenvalues and eigenvectors that most copies carry as constants. The noise is about as strong
    /// as with `unit-eigenvalue` and half as strong as in the authors' runs.
    UsualConstants,
}

/// The constants that most copies use for ImageNet pixels of 0–1 (fb.resnet.torch, transforms): three eigenvalues,
/// and the eigenvectors in rows of red, green and blue.
const USUAL_EIGENVALUES: [f64; 3] = [0.2175, 0.0188, 0.0045];
const USUAL_EIGENVECTORS: [[f64; 3]; 3] =
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]];

/// The views of a test image whose softmax outputs are averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Views {
    /// The centre.
    Centre,
    /// The four corners and the centre, each plain and mirrored (§4.1).
    Ten,
}

impl Views {
    /// Returns the number of inputs that one image becomes.
    pub fn count(self) -> usize {
        match self {
            Views::Centre => 1,
            Views::Ten => 10,
        }
    }
}

/// How one input is cut from an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cut {
    /// Position of the corner in the padded image.
    pub(crate) top: usize,
    pub(crate) left: usize,
    /// Whether the cut is mirrored left to right.
    pub(crate) flip: bool,
    /// Shift of each channel, in grey levels.
    pub(crate) shift: [f32; 3],
    /// Factor applied to all channels after the shift.
    pub(crate) scale: f32,
}

impl Cut {
    /// Returns a cut without colour noise.
    pub(crate) fn plain(top: usize, left: usize, flip: bool) -> Self {
        Self { top, left, flip, shift: [0.0; 3], scale: 1.0 }
    }
}

/// Returns the principal colours, each scaled to the noise that a factor of one causes, in grey levels.
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

/// Draws how a training image is cut, at an offset of 0 to `span` in both directions. The offset and the mirroring
/// come from `place`, the noise along the `axes` from `key`.
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
        let mut draws = Gaussian::new(key.with_purpose("colour").rng());
        for axis in axes {
            let factor = (draws.draw() * augmentation.colour.std) as f32;
            cut.shift.iter_mut().zip(axis).for_each(|(shift, axis)| *shift += factor * axis);
        }
        if augmentation.colour.rescale {
            cut.scale = 1.0 / (1.0 + augmentation.colour.std as f32);
        }
    }
    cut
}

/// Returns the cuts of the views of a test image.
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

/// Draws a permutation of `0..count` with the Fisher–Yates shuffle.
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
        // ImageNet's first axis: 121.8 as the authors ran it, 58.2 by the text, 55.5 with the usual constants.
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
