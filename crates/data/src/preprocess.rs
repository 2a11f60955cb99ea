//! Turns one photograph into a network's input, for weights with their own image preparation.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::augment::Cut;
use crate::crop::Cutter;
use crate::decode::{self, half_even, scaled_sides};
use crate::picture::Picture;
use crate::resize::scaled;
use crate::samples::{Images, LabelledImages, Pixels, Scratch};
use crate::{DataError, Mean, MeanKind, PixelScale, Split, Statistics, Views};

/// The largest longer side of a scaled image. Otherwise a single line of pixels could be scaled to gigabytes.
const LONGEST: usize = 1 << 14;

/// How an image becomes a network's input. It is stored with the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// How the image is scaled. The filter is bilinear and antialiased.
    pub resize: Resize,
    /// Side of the square that is cut out.
    pub crop: usize,
    /// Subtracted from pixels of 0–255. It has one number for each channel (red, green, blue; or grey), or those of
    /// a whole input, `[channels, crop, crop]`, subtracted from every view.
    pub mean: Vec<f32>,
    /// Factor applied to each channel after the subtraction.
    pub gain: Vec<f32>,
}

/// How an image is scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resize {
    /// The shorter side is scaled to this many pixels. Views lie in the centre square (Krizhevsky et al. 2012, §2).
    ShorterSide(usize),
    /// Both sides are scaled to this many pixels, whatever the proportions (Caffe).
    Square(usize),
}

impl Resize {
    /// Returns the side of the square from which views are cut.
    fn side(self) -> usize {
        let (Self::ShorterSide(side) | Self::Square(side)) = self;
        side
    }
}

impl Preprocessing {
    /// Returns the preparation of torchvision's ImageNet weights
    /// (`torchvision.transforms._presets.ImageClassification`).
    pub fn torchvision() -> Self {
        Self {
            resize: Resize::ShorterSide(256),
            crop: 224,
            mean: [0.485, 0.456, 0.406].map(|mean: f32| mean * 255.0).to_vec(),
            gain: [0.229, 0.224, 0.225].map(|std: f32| 1.0 / (255.0 * std)).to_vec(),
        }
    }

    /// Returns the preparation of Caffe's ImageNet models. The whole image is warped to a square of 256 pixels, and
    /// the mean of each channel of `ilsvrc_2012_mean.npy` (red, green, blue) is subtracted. For a
    /// `mean.binaryproto`, see [`with_mean_image`](Self::with_mean_image).
    pub fn caffe(crop: usize) -> Self {
        let mean = vec![122.678_91, 116.668_77, 104.006_99];
        Self { resize: Resize::Square(256.max(crop)), crop, mean, gain: vec![1.0; 3] }
    }

    /// Returns the paper's preparation (§2) for an input of `crop` pixels: 0–255 less the training mean. The mean
    /// here is that of each ImageNet channel in cuda-convnet2's `input_meta`.
    pub fn paper(crop: usize) -> Self {
        let mean = vec![127.30, 119.72, 104.91];
        // 224 or 227 out of 256 (§2). Smaller inputs keep the proportion.
        let resize = Resize::ShorterSide((crop * 256).div_ceil(224).max(crop));
        Self { resize, crop, mean, gain: vec![1.0; 3] }
    }

    /// Returns a training run's preparation of images of `size` pixels for inputs of `side` pixels, or `None` if
    /// inputs extend beyond the image.
    pub fn of_run(
        statistics: &Statistics,
        mean: MeanKind,
        scale: PixelScale,
        size: usize,
        side: usize,
    ) -> Option<Self> {
        let channels = statistics.channel_means.len();
        let gain = scale.factors(statistics)[..channels].to_vec();
        let mean = statistics.mean(mean, size, side).0;
        (side <= size).then_some(Self { resize: Resize::ShorterSide(size), crop: side, mean, gain })
    }

    /// Returns statistics and options with which a training run prepares images of `size` pixels for inputs of
    /// `side` pixels in the same way. The statistics contain this mean and gain.
    pub fn for_run(
        &self,
        statistics: &Statistics,
        size: usize,
        side: usize,
    ) -> (Statistics, MeanKind, PixelScale) {
        let (channels, area) = (self.gain.len(), self.crop * self.crop);
        let mut statistics = statistics.clone();
        let of_channel = |channel: usize| match self.mean.len() == channels {
            true => f64::from(self.mean[channel]),
            false => {
                let mean = &self.mean[channel * area..(channel + 1) * area];
                mean.iter().map(|&mean| f64::from(mean)).sum::<f64>() / area as f64
            }
        };
        statistics.channel_means = (0..channels).map(of_channel).collect();
        statistics.channel_stds = self.gain.iter().map(|&gain| 1.0 / f64::from(gain)).collect();
        let scale = match self.gain.iter().all(|&gain| gain == 1.0) {
            true => PixelScale::Levels,
            false => PixelScale::Standardised,
        };
        if self.mean.len() == channels || self.crop != side {
            return (statistics, MeanKind::Channel, scale);
        }
        // The mean lies in the centre of the image, where inputs are cut. Its border is repeated around it.
        let at = |z: usize| (z + side / 2).saturating_sub(size / 2).min(side - 1);
        let value = |i: usize| {
            let (channel, y, x) = (i / (size * size), i / size % size, i % size);
            f64::from(self.mean[(channel * side + at(y)) * side + at(x)])
        };
        statistics.mean_image = (0..channels * size * size).map(value).collect();
        (statistics, MeanKind::Image, scale)
    }

    /// Subtracts the centre of a mean image `[channels, side, side]` instead.
    ///
    /// # Errors
    /// If the mean image is not as large as the scaled images, or has numbers that are none. The message is for people.
    pub fn with_mean_image(&self, image: &[f32]) -> Result<Self, String> {
        self.check()?;
        let (side, crop, channels) = (self.resize.side(), self.crop, self.gain.len());
        if image.len() != channels * side * side {
            return Err(format!("has {} numbers, expected {channels} × {side} × {side}", image.len()));
        }
        let corner = half_even(side - crop);
        let at = |i: usize| {
            let (channel, y, x) = (i / (crop * crop), i / crop % crop, i % crop);
            image[(channel * side + corner + y) * side + corner + x]
        };
        let with = Self { mean: (0..channels * crop * crop).map(at).collect(), ..self.clone() };
        with.check()?;
        Ok(with)
    }

    /// Checks that the numbers are consistent. The message is for people.
    ///
    /// # Errors
    /// If they are not.
    pub fn check(&self) -> Result<(), String> {
        let (channels, area) = (self.gain.len(), self.crop * self.crop);
        if !matches!(channels, 1 | 3) || (self.mean.len() != channels && self.mean.len() != channels * area) {
            let mean = self.mean.len();
            return Err(format!("{channels} channels and {mean} means do not go with {} pixels", self.crop));
        }
        let numbers = self.mean.iter().chain(&self.gain);
        if !numbers.clone().all(|number| number.is_finite()) || self.gain.contains(&0.0) {
            return Err("a mean or gain that is no number, or a gain of 0".to_owned());
        }
        if self.crop == 0 || self.crop > self.resize.side() || self.resize.side() > LONGEST {
            return Err(format!("{} pixels cannot be cut from {}", self.crop, self.resize.side()));
        }
        Ok(())
    }

    /// Returns the views of a JPEG or PNG, each `[channels, crop, crop]`.
    ///
    /// # Errors
    /// If the image is broken; the message is for people.
    pub fn views(&self, image: &[u8], views: Views) -> Result<Vec<f32>, String> {
        self.views_of(&decode::pixels(image, self.gain.len())?, views)
    }

    /// Returns the position of the centre view of an image of `width` × `height` pixels, as (scale, corner) in each
    /// direction. A pixel at (x, y) moves to (x · scale − corner), in pixels of the view.
    pub(crate) fn centre(&self, [width, height]: [usize; 2]) -> ([f32; 2], [f32; 2]) {
        let [wide, tall] = match self.resize {
            Resize::ShorterSide(side) => scaled_sides(width, height, side),
            Resize::Square(side) => [side, side],
        };
        let corner = |side: usize| half_even(side.saturating_sub(self.crop)) as f32;
        ([wide as f32 / width as f32, tall as f32 / height as f32], [corner(wide), corner(tall)])
    }

    /// Returns the views of decoded pixels.
    pub(crate) fn views_of(&self, pixels: &Picture, views: Views) -> Result<Vec<f32>, String> {
        let (width, height, side) = (pixels.width, pixels.height, self.resize.side());
        let [wide, tall] = match self.resize {
            Resize::ShorterSide(side) => scaled_sides(width, height, side),
            Resize::Square(side) => [side, side],
        };
        if wide.max(tall) > LONGEST {
            return Err(format!("{width} × {height} pixels, which is too far from square to be scaled"));
        }
        let resized = match [wide, tall] == [width, height] {
            true => None,
            false => Some(scaled(pixels, [wide, tall], [0, 0], [wide, tall])),
        };
        let pixels = Pixels::Interleaved(&resized.as_ref().unwrap_or(pixels).bytes);
        let middle = |side: usize| half_even(side - self.crop);
        let centre = [middle(tall), middle(wide)];
        let mut cuts = Vec::new();
        if views == Views::Ten {
            // The corners of the central square, as in the paper.
            let room = side - self.crop;
            let corner = [half_even(tall - side), half_even(wide - side)];
            let offsets = [[0, 0], [0, room], [room, 0], [room, room]];
            cuts.extend(offsets.map(|[y, x]| [corner[0] + y, corner[1] + x]));
        }
        cuts.push(centre);
        let mirrored: &[bool] = if views == Views::Ten { &[false, true] } else { &[false] };
        let cuts = cuts.into_iter().flat_map(|at| mirrored.iter().map(move |&flip| (at, flip)));
        let cutter = self.cutter([tall, wide]);
        let mut out = Vec::with_capacity(views.count() * self.gain.len() * self.crop * self.crop);
        let mut scratch = Vec::new();
        cuts.for_each(|([top, left], flip)| {
            cutter.append(pixels, &Cut::plain(top, left, flip), &mut scratch, &mut out);
        });
        Ok(out)
    }

    /// Returns what cuts inputs from images of `size` pixels (height and width).
    fn cutter(&self, size: [usize; 2]) -> Cutter {
        let (channels, area) = (self.gain.len(), self.crop * self.crop);
        let mean = match self.mean.len() == channels {
            true => self.mean.iter().flat_map(|&mean| std::iter::repeat_n(mean, area)).collect(),
            false => self.mean.clone(),
        };
        let scale = std::array::from_fn(|channel| self.gain.get(channel).copied().unwrap_or(1.0));
        Cutter { channels, size, side: self.crop, padding: 0, mean: Mean(mean), scale }
    }

    /// Returns the pixels of a view, `[channels, crop, crop]`, before normalization, to show what the network sees.
    pub fn shown(&self, view: &[f32]) -> Vec<u8> {
        let (channels, area) = (self.gain.len(), self.crop * self.crop);
        let pixel = |(at, value): (usize, &f32)| {
            let mean = if self.mean.len() == channels { self.mean[at / area] } else { self.mean[at] };
            (value / self.gain[at / area] + mean).round().clamp(0.0, 255.0) as u8
        };
        view.iter().enumerate().map(pixel).collect()
    }
}

impl Split {
    /// Returns photographs without classes: their labels are 0, and only [`views`](Self::views) can be had of them,
    /// since they have no common size.
    pub fn of_photographs(paths: &[PathBuf], channels: usize) -> Self {
        let images = LabelledImages {
            labels: vec![0; paths.len()],
            keys: paths.iter().map(|path| path.display().to_string()).collect(),
            boxes: Vec::new(),
            images: Images::Paths(paths.to_owned()),
        };
        Self::all(images, [channels, 0])
    }

    /// Returns the views of an image as `how` makes them, from its file if it has one.
    ///
    /// # Errors
    /// If the image cannot be read, or has a different number of channels.
    pub fn views(
        &self,
        index: usize,
        preprocessing: &Preprocessing,
        views: Views,
    ) -> Result<Vec<f32>, DataError> {
        let (at, [channels, size]) = (self.sample(index), self.image_shape());
        let mut scratch = Scratch::default();
        let problem = |problem: String| DataError::file(self.source.place(at), problem);
        if self.are_files() {
            self.source.file(at, &mut scratch.file)?;
            return preprocessing.views(&scratch.file, views).map_err(problem);
        }
        if channels != preprocessing.gain.len() {
            return Err(problem(format!("has {} channels, expected {}", channels, preprocessing.gain.len())));
        }
        let bytes = match self.pixels(index, &mut scratch)? {
            Pixels::Interleaved(pixels) => pixels.to_vec(),
            Pixels::Planar(planes) => {
                let area = size * size;
                (0..planes.len()).map(|i| planes[i % channels * area + i / channels]).collect()
            }
        };
        let pixels = Picture::whole(bytes, size, size, channels);
        preprocessing.views_of(&pixels, views).map_err(problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::tests::encode_png;

    #[test]
    fn a_run_prepares_images_as_its_weights_want() {
        let own = Statistics {
            mean_image: vec![9.0; 3 * 36],
            channel_means: vec![9.0; 3],
            channel_stds: vec![9.0; 3],
            eigenvalues: vec![1.0; 3],
            eigenvectors: vec![vec![1.0, 0.0, 0.0]; 3],
        };
        let image: Vec<f32> = (0..3 * 16).map(|at| at as f32).collect();
        for (mean, gain) in [
            (vec![1.0, 2.0, 3.0], vec![0.5, 0.25, 0.125]),
            (image.clone(), vec![1.0; 3]),
            (image, vec![0.5, 0.25, 0.125]),
        ] {
            let preprocessing = Preprocessing { resize: Resize::ShorterSide(6), crop: 4, mean, gain };
            let (statistics, kind, scale) = preprocessing.for_run(&own, 6, 4);
            let again = Preprocessing::of_run(&statistics, kind, scale, 6, 4).unwrap();
            assert_eq!(again.gain, preprocessing.gain);
            let whole = |preprocessing: &Preprocessing| -> Vec<f32> {
                (0..48)
                    .map(|at| {
                        if preprocessing.mean.len() == 3 {
                            preprocessing.mean[at / 16]
                        } else {
                            preprocessing.mean[at]
                        }
                    })
                    .collect()
            };
            assert_eq!(whole(&again), whole(&preprocessing));
        }
    }

    #[test]
    fn a_line_of_pixels_is_refused() {
        let image = encode_png(&vec![9; 3 * 4000], 4000, 1, png::ColorType::Rgb);
        let error = Preprocessing::torchvision().views(&image, Views::Centre).unwrap_err();
        assert!(error.contains("4000 × 1 pixels"), "{error}");
    }

    #[test]
    fn the_centre_is_cut_out_and_ten_views_are_corners_and_mirrors() {
        // 8×6 pixels whose red is the column and green the row. Nothing is scaled.
        let pixels: Vec<u8> = (0..48).flat_map(|at| [at % 8, at / 8, 200]).collect();
        let image = encode_png(&pixels, 8, 6, png::ColorType::Rgb);
        let preprocessing = Preprocessing {
            resize: Resize::ShorterSide(6),
            crop: 2,
            mean: vec![0.0, 0.0, 200.0],
            gain: vec![1.0, 2.0, 1.0],
        };
        let centre = preprocessing.views(&image, Views::Centre).unwrap();
        // Rows 2 and 3, columns 3 and 4. Green is divided by a half, and blue is reduced by its mean.
        assert_eq!(centre, [3.0, 4.0, 3.0, 4.0, 4.0, 4.0, 6.0, 6.0, 0.0, 0.0, 0.0, 0.0]);
        let ten = preprocessing.views(&image, Views::Ten).unwrap();
        let first_rows: Vec<[f32; 2]> = ten.chunks(12).map(|view| [view[0], view[1]]).collect();
        let mirrored = [[1.0, 2.0], [5.0, 6.0], [1.0, 2.0], [5.0, 6.0], [3.0, 4.0]];
        let expected: Vec<[f32; 2]> = mirrored.into_iter().flat_map(|[a, b]| [[a, b], [b, a]]).collect();
        assert_eq!(first_rows, expected);
    }

    #[test]
    fn a_mean_image_lies_under_every_view_and_caffe_does_not_keep_proportions() {
        let pixels: Vec<u8> = (0..48).flat_map(|at| [at % 8; 3]).collect();
        let image = encode_png(&pixels, 8, 6, png::ColorType::Rgb);
        let plain =
            Preprocessing { resize: Resize::Square(6), crop: 4, mean: vec![0.0; 3], gain: vec![1.0; 3] };
        let mean: Vec<f32> = (0..3 * 36).map(|at| at as f32).collect();
        let preprocessing = plain.with_mean_image(&mean).unwrap();
        let (without, with) =
            (plain.views(&image, Views::Ten).unwrap(), preprocessing.views(&image, Views::Ten).unwrap());
        // Rows 1 to 4 and columns 1 to 4 of the mean's six. Each second view is mirrored.
        for (at, (without, with)) in without.iter().zip(&with).enumerate() {
            let (view, channel, y, x) = (at / 48, at / 16 % 3, at / 4 % 4, at % 4);
            let x = if view % 2 == 1 { 3 - x } else { x };
            assert_eq!(without - with, (channel * 36 + (y + 1) * 6 + x + 1) as f32);
        }
        assert!(plain.with_mean_image(&mean[1..]).unwrap_err().contains("107 numbers"));
        assert_eq!(preprocessing.check(), Ok(()));
        assert!(Preprocessing { crop: 7, ..preprocessing.clone() }.check().is_err());
        assert!(Preprocessing { gain: vec![1.0, 0.0, 1.0], ..preprocessing.clone() }.check().is_err());
        assert!(Preprocessing { gain: vec![1.0, f32::INFINITY, 1.0], ..preprocessing }.check().is_err());
    }
}
