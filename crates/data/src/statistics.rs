use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{DataError, Dataset, Split, atomic_write};

/// The file with the statistics of a prepared data set.
const STORED: &str = "statistics.json";

/// Statistics and the data set that they describe.
#[derive(Serialize, Deserialize)]
struct Stored {
    /// The data set's checksum.
    of: String,
    statistics: Statistics,
}

impl Stored {
    fn read(folder: &Path) -> Result<Option<Self>, DataError> {
        let path = folder.join(STORED);
        match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(DataError::read(&path)(error)),
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
                let problem = format!("damaged ({error}); make it anew with `data stats`");
                DataError::file(path.display().to_string(), problem)
            }),
        }
    }
}

/// Statistics of a training split: its mean image, channel means and principal colours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// `[channels, size, size]`, 0–255.
    pub mean_image: Vec<f64>,
    /// One value for each channel, 0–255.
    pub channel_means: Vec<f64>,
    /// Standard deviation of each channel, in grey levels.
    pub channel_stds: Vec<f64>,
    /// Eigenvalues of the covariance of a pixel's channels, largest first, in squared grey levels.
    pub eigenvalues: Vec<f64>,
    /// The eigenvector of each eigenvalue: unit length, with one entry for each channel.
    pub eigenvectors: Vec<Vec<f64>>,
}

/// The mean that is subtracted from the pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MeanKind {
    /// The mean image of the training split (Krizhevsky et al. 2012, §2: "the mean activity over the training set
    /// from each pixel"). A crop uses the centre of the mean image, as in the authors' code.
    Image,
    /// The mean of each channel.
    Channel,
    /// Nothing.
    None,
}

/// The mean that is subtracted from an input of the network: `[channels, side, side]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Mean(pub(crate) Vec<f32>);

/// The units in which the network sees pixels. Local response normalization depends on them: its constants are for
/// the activations that pixels of 0–255 produce (§3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum PixelScale {
    /// Unscaled (Krizhevsky et al. 2012, §2: "raw RGB values").
    #[default]
    #[serde(rename = "0-255")]
    Levels,
    /// Divided by 255.
    #[serde(rename = "0-1")]
    Unit,
    /// Divided by the standard deviation of their channel over the training split.
    #[serde(rename = "standardised")]
    Standardised,
}

impl PixelScale {
    /// Returns the factor of each channel.
    #[cfg(feature = "tensors")]
    pub(crate) fn factors(self, statistics: &Statistics) -> [f32; 3] {
        let mut factors = [1.0; 3];
        match self {
            Self::Levels => {}
            Self::Unit => factors = [1.0 / 255.0; 3],
            Self::Standardised => {
                let stds = statistics.channel_stds.iter();
                factors.iter_mut().zip(stds).for_each(|(factor, std)| *factor = 1.0 / std.max(1e-6) as f32);
            }
        }
        factors
    }
}

/// Sums in exact arithmetic, so that the order of the images does not matter.
struct Sums {
    pixels: Vec<u64>,
    /// Sums of products of channels, row-major.
    products: Vec<u64>,
}

impl Statistics {
    /// Computes the statistics in one pass over a split.
    ///
    /// # Errors
    /// If an image cannot be read, or `stop` is set.
    pub fn of(split: &Split, stop: &AtomicBool) -> Result<Self, DataError> {
        let [channels, size] = split.image_shape();
        let area = size * size;
        let zero = || Sums { pixels: vec![0; channels * area], products: vec![0; channels * channels] };
        let sums = (0..split.len()).into_par_iter().try_fold(zero, |mut sums, index| {
            if stop.load(Ordering::Relaxed) {
                return Err(DataError::Interrupted);
            }
            let image = split.image(index)?;
            for (sum, &pixel) in sums.pixels.iter_mut().zip(image.iter()) {
                *sum += u64::from(pixel);
            }
            for a in 0..channels {
                for b in a..channels {
                    let pairs = image[a * area..].iter().zip(&image[b * area..]).take(area);
                    sums.products[a * channels + b] +=
                        pairs.map(|(&x, &y)| u64::from(x) * u64::from(y)).sum::<u64>();
                }
            }
            Ok(sums)
        });
        let sums = sums.try_reduce(zero, |mut left, right| {
            left.pixels.iter_mut().zip(right.pixels).for_each(|(a, b)| *a += b);
            left.products.iter_mut().zip(right.products).for_each(|(a, b)| *a += b);
            Ok(left)
        })?;
        let images = split.len() as f64;
        let mean_image: Vec<f64> = sums.pixels.iter().map(|&sum| sum as f64 / images).collect();
        let channel_means: Vec<f64> =
            mean_image.chunks(area).map(|channel| channel.iter().sum::<f64>() / area as f64).collect();
        let covariance = |a: usize, b: usize| {
            let (a, b) = (a.min(b), a.max(b));
            sums.products[a * channels + b] as f64 / (images * area as f64)
                - channel_means[a] * channel_means[b]
        };
        let matrix = (0..channels).map(|a| (0..channels).map(|b| covariance(a, b)).collect()).collect();
        let channel_stds =
            (0..channels).map(|channel| covariance(channel, channel).max(0.0).sqrt()).collect();
        let (eigenvalues, eigenvectors) = symmetric_eigen(matrix);
        Ok(Self { mean_image, channel_means, channel_stds, eigenvalues, eigenvectors })
    }

    /// Returns the statistics of a data set's training images. For a prepared data set, they cover all of its
    /// `train` split and are stored in its folder if that is writable. For other data sets, they cover the images
    /// that remain after a tenth is set aside for validation.
    ///
    /// # Errors
    /// If an image or the stored statistics cannot be read, or `stop` is set.
    pub fn of_training(set: &Dataset, stop: &AtomicBool) -> Result<Self, DataError> {
        let Some(folder) = &set.prepared else { return Self::of(&set.train, stop) };
        if let Some(stored) = Stored::read(folder)?
            && stored.of == set.checksum
        {
            return Ok(stored.statistics);
        }
        let statistics = Self::of(&set.official_train(), stop)?;
        // If the folder is read-only, they are computed anew each time.
        let _ = statistics.store(set, folder);
        Ok(statistics)
    }

    /// Stores the statistics of a prepared data set in its folder.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn store(&self, set: &Dataset, folder: &Path) -> Result<(), DataError> {
        let stored = Stored { of: set.checksum.clone(), statistics: self.clone() };
        let path = folder.join(STORED);
        let text = serde_json::to_vec(&stored).expect("plain numbers");
        atomic_write(&path, &text).map_err(DataError::write(&path))
    }

    /// Returns the mean to subtract from inputs of `side` pixels cut from images of `size` pixels.
    pub fn mean(&self, kind: MeanKind, size: usize, side: usize) -> Mean {
        let channels = self.channel_means.len();
        let value = |i: usize| match kind {
            MeanKind::None => 0.0,
            MeanKind::Channel => self.channel_means[i / (side * side)],
            MeanKind::Image => {
                let (channel, y, x) = (i / (side * side), i / side % side, i % side);
                // The centre of the mean image, whatever the crop. Its border is repeated if the input is larger
                // than the image.
                let at = |z: usize| (z + size / 2).saturating_sub(side / 2).min(size - 1);
                self.mean_image[(channel * size + at(y)) * size + at(x)]
            }
        };
        Mean((0..channels * side * side).map(|i| value(i) as f32).collect())
    }
}

/// Returns the eigenvalues, largest first, and unit eigenvectors of a small symmetric matrix, by Jacobi rotations.
#[allow(clippy::needless_range_loop)] // two rows at once
fn symmetric_eigen(mut a: Vec<Vec<f64>>) -> (Vec<f64>, Vec<Vec<f64>>) {
    let n = a.len();
    let mut vectors: Vec<Vec<f64>> =
        (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    for _ in 0..30 {
        for p in 0..n {
            for q in p + 1..n {
                if a[p][q] == 0.0 {
                    continue;
                }
                let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for row in &mut a {
                    (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
                }
                for k in 0..n {
                    (a[p][k], a[q][k]) = (c * a[p][k] - s * a[q][k], s * a[p][k] + c * a[q][k]);
                }
                // Rows of `vectors` become the eigenvectors.
                for k in 0..n {
                    (vectors[p][k], vectors[q][k]) =
                        (c * vectors[p][k] - s * vectors[q][k], s * vectors[p][k] + c * vectors[q][k]);
                }
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a[j][j].total_cmp(&a[i][i]));
    (order.iter().map(|&i| a[i][i]).collect(), order.iter().map(|&i| vectors[i].clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{Images, LabelledImages};

    #[test]
    fn eigenvectors_are_what_they_should_be() {
        let matrix = vec![vec![4.0, 1.0, -2.0], vec![1.0, 3.0, 0.5], vec![-2.0, 0.5, 7.0]];
        let (values, vectors) = symmetric_eigen(matrix.clone());
        assert!(values.is_sorted_by(|a, b| a >= b));
        for (value, vector) in values.iter().zip(&vectors) {
            for (row, v) in matrix.iter().zip(vector) {
                let product: f64 = row.iter().zip(vector).map(|(a, b)| a * b).sum();
                assert!((product - value * v).abs() < 1e-12);
            }
            assert!((vector.iter().map(|v| v * v).sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn statistics_that_are_stopped_are_an_interruption() {
        let images = Images::Memory(vec![1; 8]);
        let images = LabelledImages { images, labels: vec![0, 1], keys: Vec::new(), boxes: Vec::new() };
        let split = Split::all(images, [1, 2]);
        assert_eq!(Statistics::of(&split, &AtomicBool::new(false)).unwrap().channel_means, [1.0]);
        assert!(matches!(Statistics::of(&split, &AtomicBool::new(true)), Err(DataError::Interrupted)));
    }

    #[test]
    fn the_mean_of_a_crop_is_the_centre_of_the_mean_image() {
        let statistics = Statistics {
            mean_image: (0..16).map(f64::from).collect(),
            channel_stds: vec![],
            channel_means: vec![7.5],
            eigenvalues: vec![1.0],
            eigenvectors: vec![vec![1.0]],
        };
        assert_eq!(statistics.mean(MeanKind::Image, 4, 2), Mean(vec![5.0, 6.0, 9.0, 10.0]));
        assert_eq!(statistics.mean(MeanKind::Channel, 4, 1), Mean(vec![7.5]));
        assert_eq!(statistics.mean(MeanKind::None, 4, 1), Mean(vec![0.0]));
    }
}
