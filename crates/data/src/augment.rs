//! Crops, flips and colour noise (Krizhevsky et al. 2012, §4.1), and the views of a test image.

use alexnet_ops::Key;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::{Mean, Statistics};

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
    /// The eigenvalue of pixels of 0–1, taken as a share of 255: what most copies do.
    UnitEigenvalue,
    /// The eigenvalue of pixels of 0–255: the text of §4.1, literally.
    Eigenvalue,
}

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

/// Cuts inputs of `side` pixels out of images of `[channels, size, size]`.
#[derive(Debug, Clone)]
pub(crate) struct Cutter {
    pub(crate) channels: usize,
    pub(crate) size: usize,
    pub(crate) side: usize,
    pub(crate) padding: usize,
    pub(crate) mean: Mean,
    /// Noise per factor, `[factors][channels]`, in grey levels: see [`colour_axes`].
    pub(crate) colour: Vec<Vec<f32>>,
}

/// One way of cutting: where, mirrored or not, with how much added to each channel.
#[derive(Debug, Clone, PartialEq)]
struct Cut {
    top: usize,
    left: usize,
    flip: bool,
    shift: Vec<f32>,
    scale: f32,
}

/// The principal colours, each scaled to the noise that a factor of one makes.
pub(crate) fn colour_axes(statistics: &Statistics, reading: ColourReading) -> Vec<Vec<f32>> {
    let scaled = statistics.eigenvalues.iter().zip(&statistics.eigenvectors).map(|(value, vector)| {
        let length = match reading {
            ColourReading::StandardDeviation => value.max(0.0).sqrt(),
            ColourReading::UnitEigenvalue => value / 255.0,
            ColourReading::Eigenvalue => *value,
        };
        vector.iter().map(|v| (v * length) as f32).collect()
    });
    scaled.collect()
}

impl Cutter {
    /// The largest offset of an input in the padded image.
    fn span(&self) -> usize {
        self.size + 2 * self.padding - self.side
    }

    /// Writes one training input, drawn from `key`, to `out` (`[channels, side, side]`).
    pub(crate) fn augmented(&self, image: &[u8], augmentation: &Augmentation, key: Key, out: &mut [f32]) {
        let (mut top, mut left) = (self.span() / 2, self.span() / 2);
        if augmentation.crop.random {
            let mut rng = key.with_purpose("crop").rng();
            (top, left) = (below(&mut rng, self.span() + 1), below(&mut rng, self.span() + 1));
        }
        let flip = unit(&mut key.with_purpose("flip").rng()) < augmentation.flip;
        let mut shift = vec![0.0; self.channels];
        let mut scale = 1.0;
        if augmentation.colour.std > 0.0 {
            let mut rng = key.with_purpose("colour").rng();
            for axis in &self.colour {
                let normal: f64 = StandardNormal.sample(&mut rng);
                let factor = (normal * augmentation.colour.std) as f32;
                shift.iter_mut().zip(axis).for_each(|(shift, axis)| *shift += factor * axis);
            }
            if augmentation.colour.rescale {
                scale = 1.0 / (1.0 + augmentation.colour.std as f32);
            }
        }
        self.cut(image, &Cut { top, left, flip, shift, scale }, out);
    }

    /// Writes the views of a test image to `out` (`[views, channels, side, side]`).
    pub(crate) fn views(&self, image: &[u8], views: Views, out: &mut [f32]) {
        let (far, middle) = (self.span(), self.span() / 2);
        let places: &[(usize, usize)] = match views {
            Views::Centre => &[(middle, middle)],
            Views::Ten => &[(0, 0), (0, far), (far, 0), (far, far), (middle, middle)],
        };
        let input = self.channels * self.side * self.side;
        let mirrored = [false, true];
        let flips = if views == Views::Centre { &mirrored[..1] } else { &mirrored[..] };
        let cuts = places.iter().flat_map(|&(top, left)| flips.iter().map(move |&flip| (top, left, flip)));
        for ((top, left, flip), out) in cuts.zip(out.chunks_exact_mut(input)) {
            let shift = vec![0.0; self.channels];
            self.cut(image, &Cut { top, left, flip, shift, scale: 1.0 }, out);
        }
    }

    fn cut(&self, image: &[u8], cut: &Cut, out: &mut [f32]) {
        let Self { size, side, padding, .. } = *self;
        for (channel, out) in out.chunks_exact_mut(side * side).enumerate() {
            let pixels = &image[channel * size * size..(channel + 1) * size * size];
            let mean = &self.mean.0[channel * side * side..(channel + 1) * side * side];
            for (y, row) in out.chunks_exact_mut(side).enumerate() {
                let source = (y + cut.top).checked_sub(padding).filter(|&y| y < size);
                for (x, value) in row.iter_mut().enumerate() {
                    let from = if cut.flip { side - 1 - x } else { x };
                    let column = (from + cut.left).checked_sub(padding).filter(|&x| x < size);
                    // The mean lies under the input, so a mirrored crop takes a mirrored mean off.
                    *value = match (source, column) {
                        (Some(y_in), Some(x_in)) => {
                            f32::from(pixels[y_in * size + x_in]) - mean[y * side + from]
                        }
                        _ => 0.0,
                    };
                    *value = (*value + cut.shift[channel]) * cut.scale;
                }
            }
        }
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
pub(crate) fn permutation(count: usize, key: Key) -> Vec<usize> {
    let mut rng = key.rng();
    let mut order: Vec<usize> = (0..count).collect();
    for i in (1..count).rev() {
        order.swap(i, below(&mut rng, i + 1));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cutter(side: usize, padding: usize) -> Cutter {
        Cutter {
            channels: 3,
            size: 6,
            side,
            padding,
            mean: Mean(vec![100.0; 3 * side * side]),
            colour: vec![vec![30.0, 0.0, 0.0], vec![0.0, 20.0, 0.0], vec![0.0, 0.0, 10.0]],
        }
    }

    /// Each pixel holds its own place.
    fn image() -> Vec<u8> {
        (0..108).collect()
    }

    fn none() -> Augmentation {
        Augmentation {
            crop: Crop { random: false, padding: 0 },
            flip: 0.0,
            colour: Colour { std: 0.0, reading: ColourReading::StandardDeviation, rescale: false },
        }
    }

    fn draw(cutter: &Cutter, augmentation: &Augmentation, sample: u64) -> Vec<f32> {
        let mut out = vec![0.0; 3 * cutter.side * cutter.side];
        cutter.augmented(&image(), augmentation, Key::new([0, 1, sample, 0]), &mut out);
        out
    }

    #[test]
    fn without_augmentation_the_centre_comes_out() {
        let out = draw(&cutter(2, 0), &none(), 0);
        assert_eq!(out[..4], [14.0 - 100.0, 15.0 - 100.0, 20.0 - 100.0, 21.0 - 100.0]);
        assert_eq!(out[4], 50.0 - 100.0);
    }

    #[test]
    fn crops_cover_every_place_evenly() {
        let augmentation = Augmentation { crop: Crop { random: true, padding: 1 }, ..none() };
        let cutter = cutter(4, 1);
        let mut counts = [0; 25];
        for sample in 0..5000 {
            let out = draw(&cutter, &augmentation, sample);
            // The place, from a pixel that is inside the image for every crop.
            let at = out[5] as i32 + 100;
            counts[((at / 6) * 5 + at % 6) as usize] += 1;
        }
        // 200 expected of each, standard deviation 14: six of them.
        assert!(counts.iter().all(|&count| (116..=284).contains(&count)), "{counts:?}");
    }

    #[test]
    fn padding_is_the_mean() {
        let cutter = cutter(10, 2);
        let out = draw(&cutter, &none(), 0);
        assert!(out[..20].iter().all(|&value| value == 0.0), "two rows above the image");
        assert_eq!(out[2 * 10 + 2], -100.0);
    }

    #[test]
    fn flips_mirror_half_of_the_images() {
        let augmentation = Augmentation { flip: 0.5, ..none() };
        let cutter = cutter(2, 0);
        let plain = draw(&cutter, &none(), 0);
        let mut flipped = 0;
        for sample in 0..2000 {
            let out = draw(&cutter, &augmentation, sample);
            if out == plain {
                continue;
            }
            assert_eq!([out[1], out[0], out[3], out[2]], plain[..4]);
            flipped += 1;
        }
        // 1000 expected, standard deviation 22: six of them.
        assert!((866..=1134).contains(&flipped), "{flipped}");
    }

    #[test]
    fn colour_noise_has_the_stated_spread_and_is_one_shift_an_image() {
        let colour = Colour { std: 0.1, reading: ColourReading::StandardDeviation, rescale: true };
        let augmentation = Augmentation { colour, ..none() };
        let cutter = cutter(2, 0);
        let plain = draw(&cutter, &none(), 0);
        let mut squares = [0.0f64; 3];
        for sample in 0..4000 {
            let out = draw(&cutter, &augmentation, sample);
            for channel in 0..3 {
                let shift = out[channel * 4] * 1.1 - plain[channel * 4];
                assert!((out[channel * 4 + 3] * 1.1 - plain[channel * 4 + 3] - shift).abs() < 1e-3);
                squares[channel] += f64::from(shift).powi(2) / 4000.0;
            }
        }
        // 10 % of each axis; the standard error of a spread over 4000 draws is 1.1 %.
        for (square, axis) in squares.iter().zip([3.0, 2.0, 1.0]) {
            assert!((square.sqrt() / axis - 1.0).abs() < 0.07, "{squares:?}");
        }
    }

    #[test]
    fn readings_differ_as_the_copies_do() {
        let statistics = Statistics {
            mean_image: vec![],
            channel_means: vec![],
            eigenvalues: vec![121.78f64.powi(2)],
            eigenvectors: vec![vec![-0.5635, -0.5762, -0.5920]],
        };
        let length = |reading| {
            let axis = &colour_axes(&statistics, reading)[0];
            axis.iter().map(|v| v * v).sum::<f32>().sqrt()
        };
        // ImageNet's first axis: 121.8 as run; 58.2 (55.5 with the usual constants) in most copies.
        assert!((length(ColourReading::StandardDeviation) - 121.78).abs() < 0.1);
        assert!((length(ColourReading::UnitEigenvalue) - 58.16).abs() < 0.1);
        assert!((length(ColourReading::Eigenvalue) - 14830.0).abs() < 10.0);
    }

    #[test]
    fn ten_views_are_corners_centre_and_mirrors() {
        let cutter = cutter(2, 0);
        let mut out = vec![0.0; 10 * 12];
        cutter.views(&image(), Views::Ten, &mut out);
        let first: Vec<f32> = out.chunks(12).map(|view| view[0] + 100.0).collect();
        assert_eq!(first, [0.0, 1.0, 4.0, 5.0, 24.0, 25.0, 28.0, 29.0, 14.0, 15.0]);
    }

    #[test]
    fn a_permutation_is_one() {
        let mut order = permutation(1000, Key::new([3, 1, 0, 0]));
        assert_ne!(order, permutation(1000, Key::new([3, 2, 0, 0])));
        order.sort_unstable();
        assert!(order.into_iter().eq(0..1000));
    }
}
