//! Augmentations after 2012, which change an image's pixels before it is cropped and mirrored.

use alexnet_ops::Key;
use alexnet_ops::math::{exp, ln};
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::picture::{Picture, luma};
use crate::resize::scaled;
use crate::samples::Pixels;
use crate::uniform::{below, unit};

/// A change of a training image, drawn anew each epoch. The image keeps its size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum AugmentationStep {
    /// A random rectangle of the image, scaled to the whole (Szegedy et al. 2014, §6; torchvision's `RandomResizedCrop`).
    RandomResizedCrop {
        /// The least share of the image's area; the largest is 1.
        area: f64,
        /// The largest ratio of width to height; the least is its inverse.
        aspect: f64,
    },
    /// Random factors of brightness, contrast and saturation, in this order, each between 1 − x and 1 + x (Howard 2013;
    /// torchvision's `ColorJitter` without hue).
    ColourJitter {
        /// The largest change of brightness.
        brightness: f64,
        /// The largest change of contrast.
        contrast: f64,
        /// The largest change of saturation; grey images have none.
        saturation: f64,
    },
    /// A square of the training images' mean around a random pixel, clipped at the edges (DeVries & Taylor 2017).
    Cutout {
        /// Side of the square in pixels.
        size: usize,
    },
}

impl AugmentationStep {
    /// Checks the constants.
    ///
    /// # Errors
    /// If one is out of range. The message is for people.
    pub fn check(&self) -> Result<(), String> {
        let share = |value: &f64| (0.0..=1.0).contains(value);
        match self {
            Self::RandomResizedCrop { area, aspect }
                if !(*area > 0.0 && *area <= 1.0 && (1.0..=10.0).contains(aspect)) =>
            {
                Err(format!(
                    "random-resized-crop: an area of {area} (above 0, to 1) and an aspect of {aspect} (1 to 10)"
                ))
            }
            Self::ColourJitter { brightness, contrast, saturation }
                if ![brightness, contrast, saturation].into_iter().all(share) =>
            {
                Err("colour-jitter: brightness, contrast and saturation must be 0 to 1".to_owned())
            }
            Self::Cutout { size: 0 } => Err("cutout: a square of 0 pixels".to_owned()),
            _ => Ok(()),
        }
    }

    /// Changes an image of `size` × `size` pixels.
    fn apply(&self, image: Picture, mean: &[f32], rng: &mut ChaCha8Rng) -> Picture {
        match *self {
            Self::RandomResizedCrop { area, aspect } => resized_crop(&image, area, aspect, rng),
            Self::ColourJitter { brightness, contrast, saturation } => {
                jittered(image, [brightness, contrast, saturation], rng)
            }
            Self::Cutout { size } => cut_out(image, size, mean, rng),
        }
    }
}

/// Applies the steps in order to an image of `size` × `size` pixels. `mean` has a number for each channel.
pub(crate) fn apply(
    steps: &[AugmentationStep],
    pixels: Pixels<'_>,
    size: usize,
    mean: &[f32],
    key: Key,
) -> Vec<u8> {
    let channels = mean.len();
    let bytes = match pixels {
        Pixels::Interleaved(bytes) => bytes.to_vec(),
        Pixels::Planar(bytes) => {
            let area = size * size;
            (0..area * channels).map(|at| bytes[at % channels * area + at / channels]).collect()
        }
    };
    let mut image = Picture::whole(bytes, size, size, channels);
    for (place, step) in steps.iter().enumerate() {
        let mut rng = key.with_purpose(&format!("step {place}")).rng();
        image = step.apply(image, mean, &mut rng);
    }
    image.bytes
}

fn resized_crop(image: &Picture, area: f64, aspect: f64, rng: &mut ChaCha8Rng) -> Picture {
    let size = image.width;
    let between = |rng: &mut ChaCha8Rng, low: f64, high: f64| low + (high - low) * unit(rng);
    let share = between(rng, area, 1.0);
    let ratio = exp(between(rng, -ln(aspect), ln(aspect)));
    let side = |factor: f64| ((size as f64 * (share * factor).sqrt()).round() as usize).clamp(1, size);
    let (width, height) = (side(ratio), side(1.0 / ratio));
    let (left, top) = (below(rng, size - width + 1), below(rng, size - height + 1));
    let channels = image.channels;
    let row = |y: usize| {
        let begin = (y * size + left) * channels;
        &image.bytes[begin..begin + width * channels]
    };
    let bytes = (top..top + height).flat_map(row).copied().collect();
    scaled(&Picture::whole(bytes, width, height, channels), [size, size], [0, 0], [size, size])
}

fn jittered(mut image: Picture, changes: [f64; 3], rng: &mut ChaCha8Rng) -> Picture {
    let [brightness, contrast, saturation] =
        changes.map(|change| (1.0 + change * (2.0 * unit(rng) - 1.0)) as f32);
    let channels = image.channels;
    let level = |value: f32| value.round().clamp(0.0, 255.0) as u8;
    let grey = |pixel: &[u8]| match *pixel {
        [red, green, blue] => luma([red, green, blue]),
        _ => pixel[0],
    };
    image.bytes.iter_mut().for_each(|byte| *byte = level(f32::from(*byte) * brightness));
    // Whole numbers, so that the mean has the same bits in any order.
    let sum: u64 = image.bytes.chunks_exact(channels).map(|pixel| u64::from(grey(pixel))).sum();
    let mean = (sum as f64 / (image.width * image.height) as f64) as f32;
    image.bytes.iter_mut().for_each(|byte| *byte = level(mean + (f32::from(*byte) - mean) * contrast));
    if channels == 3 {
        for pixel in image.bytes.chunks_exact_mut(3) {
            let grey = f32::from(grey(pixel));
            pixel.iter_mut().for_each(|byte| *byte = level(grey + (f32::from(*byte) - grey) * saturation));
        }
    }
    image
}

fn cut_out(mut image: Picture, size: usize, mean: &[f32], rng: &mut ChaCha8Rng) -> Picture {
    let mut span = |extent: usize| {
        let centre = below(rng, extent);
        centre.saturating_sub(size / 2)..(centre + size - size / 2).min(extent)
    };
    let (rows, columns) = (span(image.height), span(image.width));
    for y in rows {
        for x in columns.clone() {
            let begin = (y * image.width + x) * image.channels;
            let pixel = &mut image.bytes[begin..begin + mean.len()];
            pixel.iter_mut().zip(mean).for_each(|(byte, mean)| *byte = mean.round().clamp(0.0, 255.0) as u8);
        }
    }
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 16;

    /// Planes of a gradient.
    fn planar(channels: usize) -> Vec<u8> {
        (0..channels * SIZE * SIZE).map(|at| (at % 251) as u8).collect()
    }

    fn applied(step: AugmentationStep, channels: usize, image: u64) -> Vec<u8> {
        let mean = [100.0, 110.0, 120.0];
        let key = Key::new([1, 2, image, 0]);
        apply(&[step], Pixels::Planar(&planar(channels)), SIZE, &mean[..channels], key)
    }

    #[test]
    fn both_orders_of_pixels_give_the_same() {
        let planes = planar(3);
        let area = SIZE * SIZE;
        let interleaved: Vec<u8> = (0..3 * area).map(|at| planes[at % 3 * area + at / 3]).collect();
        let step = [AugmentationStep::Cutout { size: 5 }];
        let (mean, key) = ([1.0, 2.0, 3.0], Key::new([0; 4]));
        let of = |pixels| apply(&step, pixels, SIZE, &mean, key);
        assert_eq!(of(Pixels::Planar(&planes)), of(Pixels::Interleaved(&interleaved)));
    }

    #[test]
    fn cutout_replaces_at_most_its_square_by_the_mean() {
        let whole = planar(1);
        let mut counts = Vec::new();
        for image in 0..200 {
            let found = applied(AugmentationStep::Cutout { size: 6 }, 1, image);
            let changed = found.iter().zip(&whole).filter(|(a, b)| a != b).count();
            assert!(found.iter().zip(&whole).all(|(a, b)| a == b || *a == 100) && changed <= 36);
            counts.push(changed);
        }
        assert!(
            counts.iter().any(|count| *count >= 35) && counts.iter().any(|count| *count < 20),
            "{counts:?}"
        );
    }

    #[test]
    fn a_crop_of_the_whole_changes_nothing_and_smaller_ones_do() {
        let whole = planar(1);
        assert_eq!(applied(AugmentationStep::RandomResizedCrop { area: 1.0, aspect: 1.0 }, 1, 0), whole);
        let step = AugmentationStep::RandomResizedCrop { area: 0.1, aspect: 4.0 / 3.0 };
        let cropped: Vec<Vec<u8>> = (0..20).map(|image| applied(step, 1, image)).collect();
        assert!(cropped.iter().all(|image| image.len() == whole.len()));
        assert!(cropped.iter().filter(|image| **image != whole).count() >= 18);
    }

    #[test]
    fn jitter_of_nothing_changes_nothing_and_saturation_keeps_grey() {
        let none = AugmentationStep::ColourJitter { brightness: 0.0, contrast: 0.0, saturation: 0.0 };
        assert_eq!(applied(none, 1, 0), planar(1));
        let saturation = AugmentationStep::ColourJitter { brightness: 0.0, contrast: 0.0, saturation: 1.0 };
        let grey = vec![77; 3 * SIZE * SIZE];
        let found = apply(&[saturation], Pixels::Planar(&grey), SIZE, &[0.0; 3], Key::new([9; 4]));
        assert_eq!(found, grey);
        let bright = AugmentationStep::ColourJitter { brightness: 0.5, contrast: 0.0, saturation: 0.0 };
        assert_ne!(applied(bright, 3, 1), applied(bright, 3, 2));
    }

    #[test]
    fn constants_out_of_range_are_refused() {
        let jitter =
            |brightness| AugmentationStep::ColourJitter { brightness, contrast: 0.0, saturation: 0.0 };
        for step in [
            AugmentationStep::RandomResizedCrop { area: 0.0, aspect: 1.3 },
            AugmentationStep::RandomResizedCrop { area: 0.5, aspect: 0.5 },
            jitter(2.0),
            AugmentationStep::Cutout { size: 0 },
        ] {
            assert!(step.check().is_err(), "{step:?}");
        }
        assert_eq!(jitter(1.0).check(), Ok(()));
        let unknown = serde_json::from_str::<AugmentationStep>(r#"{ "cutout": { "size": 3, "side": 3 } }"#);
        assert!(unknown.unwrap_err().to_string().contains("unknown field `side`"));
    }
}
