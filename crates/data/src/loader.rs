mod batches;

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use alexnet_ops::{DeviceImages, ImageCut, Key};
use burn::data::dataloader::{DataLoader, DataLoaderIterator};
use burn::data::dataset::DatasetError;
use burn::tensor::{Device, Tensor, TensorData};

use crate::augment::{Cut, colour_axes, draw, permutation, views};
use crate::crop::Cutter;
use crate::samples::{Pixels, Scratch};
use crate::steps;
use crate::{Augmentation, DataError, MeanKind, PixelScale, Preprocessing, Split, Statistics, Views};

/// A batch of images, ready for the network.
#[derive(Debug, Clone)]
pub struct Batch {
    /// `[samples · views, channels, side, side]`. The views of a sample are adjacent.
    pub images: Tensor<4>,
    /// The label of each sample.
    pub targets: Vec<usize>,
    /// The key of each sample's draws in this epoch.
    pub keys: Vec<Key>,
}

/// How a loader turns images into inputs.
#[derive(Debug, Clone)]
pub struct LoaderConfig {
    /// Samples in a batch. The last batch of an epoch may be smaller.
    pub batch_size: usize,
    /// Side of the network's input in pixels.
    pub side: usize,
    /// Pixels of the mean added around an image.
    pub padding: usize,
    /// The mean that is subtracted from the pixels.
    pub mean: MeanKind,
    /// The units in which the network sees the pixels.
    pub scale: PixelScale,
    /// The form in which images are sent to the device.
    pub upload: Upload,
    /// Whether images come in a fixed order as views, or shuffled and augmented.
    pub draws: Draws,
    /// Threads that prepare batches. With 0, the calling thread does. The batches are the same.
    pub workers: usize,
}

/// The form in which an image is sent to the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Upload {
    /// The network's input, computed on the host.
    #[default]
    Floats,
    /// The crop's bytes, a quarter of the size of floats. The device mirrors them and computes mean, colour and scale. Images
    /// must not be padded.
    Bytes,
    /// All images of the split's source at once, as bytes, from which the device cuts the inputs. The images must be in memory,
    /// in the size of their data set, and augmentations before the crop need the host.
    Once,
}

impl fmt::Display for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Floats => "floats",
            Self::Bytes => "bytes",
            Self::Once => "once",
        })
    }
}

/// The source of a loader's randomness.
#[derive(Debug, Clone)]
pub enum Draws {
    /// Training: a new order and new augmentation each epoch, both functions of the seed.
    Training {
        /// The run's seed.
        seed: u64,
        /// The augmentation of the images.
        augmentation: Augmentation,
    },
    /// Evaluation: these views, in order.
    Views(Views),
}

/// Batches of a split, in the order and with the draws that (seed, epoch) determine. It implements Burn's
/// [`DataLoader`], whose stock implementation is not reproducible with several workers.
#[derive(Clone)]
pub struct Loader {
    shared: Arc<Shared>,
    /// The epoch from which the next iterator draws, and the number of its batches that are skipped.
    epoch: Arc<AtomicU64>,
    skipped: Arc<AtomicUsize>,
    device: Device,
    /// The images on the device, with [`Upload::Once`]. The first batch sends them.
    resident: Arc<OnceLock<DeviceImages>>,
}

#[derive(Clone)]
struct Shared {
    split: Split,
    batch_size: usize,
    workers: usize,
    /// `[channels, side, side]` of an input.
    channels: usize,
    side: usize,
    transform: Transform,
}

/// From an image to inputs.
#[derive(Clone)]
enum Transform {
    /// As a run prepares images in the size of its data set.
    Run {
        cutter: Cutter,
        draws: Draws,
        upload: Upload,
        /// The noise that a factor of one causes.
        colour: Vec<[f32; 3]>,
        /// The mean of each channel.
        means: Vec<f32>,
    },
    /// As weights want their images, from files of any size.
    Photographs { preprocessing: Arc<Preprocessing>, views: Views },
}

/// A batch before it becomes tensors.
struct HostBatch {
    pixels: HostPixels,
    targets: Vec<usize>,
    keys: Vec<Key>,
}

/// `[inputs, channels, side, side]`.
enum HostPixels {
    Floats(Vec<f32>),
    /// Crops, which the device mirrors.
    Bytes(Vec<u8>, Vec<Cut>),
    /// The images, by their numbers in the source, and how inputs are cut from them.
    Places(Vec<(usize, Cut)>),
}

impl Loader {
    /// Creates a loader of `split`. Its inputs are centred with the `statistics` of the training split.
    ///
    /// # Errors
    /// If the input is larger than the padded image, or the images cannot be sent in the form of `upload`.
    pub fn new(
        split: Split,
        statistics: &Statistics,
        config: LoaderConfig,
        device: Device,
    ) -> Result<Self, DataError> {
        let [channels, size] = split.image_shape();
        let side = config.side;
        if side > size + 2 * config.padding || side == 0 || config.batch_size == 0 {
            return Err(DataError::dataset(
                "images",
                format!(
                    "inputs of {side}×{side} cannot be cut from images of {size}×{size} padded by {}; \
                     the batch size is {} (set `network.input.size`, `data.augmentation.crop.padding` or \
                     `recipe.batch_size`)",
                    config.padding, config.batch_size,
                ),
            ));
        }
        let colour = match &config.draws {
            Draws::Training { augmentation, .. } => colour_axes(statistics, augmentation.colour.reading),
            Draws::Views(_) => Vec::new(),
        };
        if config.upload == Upload::Bytes && config.padding > 0 {
            let problem = "padding is of the mean, which bytes cannot hold; upload floats";
            return Err(DataError::dataset("images", problem));
        }
        if config.upload == Upload::Once {
            let problem = if split.in_memory().is_none_or(|pixels| pixels.len() as u64 > 1 << 32) {
                "they are not decoded in memory, or have more than 4 GiB, so they cannot be sent at once"
            } else if matches!(&config.draws, Draws::Training { augmentation, .. } if !augmentation.steps.is_empty())
            {
                "`data.augmentation.steps` are made before an image is sent, so images cannot be sent at once"
            } else {
                ""
            };
            if !problem.is_empty() {
                return Err(DataError::dataset("images", format!("{problem}; upload floats")));
            }
        }
        let (mean, scale) = (statistics.mean(config.mean, size, side), config.scale.factors(statistics));
        let cutter = Cutter { channels, size: [size; 2], side, padding: config.padding, mean, scale };
        let LoaderConfig { batch_size, workers, draws, upload, .. } = config;
        let means = statistics.channel_means.iter().map(|mean| *mean as f32).collect();
        let transform = Transform::Run { cutter, draws, upload, colour, means };
        Ok(Self::of(Shared { split, batch_size, workers, channels, side, transform }, device))
    }

    /// Creates a loader of `split`, in order, that yields the `views` that `preprocessing` makes of each image's file.
    /// `batch_size` counts images.
    pub fn of_photographs(
        split: Split,
        preprocessing: &Preprocessing,
        views: Views,
        batch_size: usize,
        workers: usize,
        device: Device,
    ) -> Self {
        let (channels, side) = (preprocessing.gain.len(), preprocessing.crop);
        let transform = Transform::Photographs { preprocessing: Arc::new(preprocessing.clone()), views };
        Self::of(Shared { split, batch_size: batch_size.max(1), workers, channels, side, transform }, device)
    }

    fn of(shared: Shared, device: Device) -> Self {
        let epoch = Arc::new(AtomicU64::new(1));
        Self { shared: Arc::new(shared), epoch, skipped: Arc::default(), device, resident: Arc::default() }
    }

    /// Sets the epoch, counted from 1, from which the next iterators draw, and the number of its batches that they
    /// skip. A run that resumes in mid-epoch skips the batches that are done.
    pub fn set_epoch(&self, epoch: usize, skipped: usize) {
        self.epoch.store(epoch as u64, Ordering::SeqCst);
        self.skipped.store(skipped, Ordering::SeqCst);
    }

    /// Returns the number of batches in an epoch.
    pub fn num_batches(&self) -> usize {
        self.shared.split.len().div_ceil(self.shared.batch_size)
    }

    /// Prepares the batches of an epoch and drops them before they are sent to the device, to measure the speed of
    /// image preparation. Returns the number of batches.
    ///
    /// # Errors
    /// If an image cannot be read.
    pub fn dry_run(&self) -> Result<usize, DatasetError> {
        let mut batches = self.batches();
        let mut images = 0;
        while let Some(batch) = batches.next_host() {
            images += batch?.targets.len();
        }
        Ok(images)
    }
}

impl Shared {
    fn views(&self) -> usize {
        match self.transform {
            Transform::Run { draws: Draws::Training { .. }, .. } => 1,
            Transform::Run { draws: Draws::Views(views), .. } | Transform::Photographs { views, .. } => {
                views.count()
            }
        }
    }

    fn order(&self, epoch: u64) -> Vec<u32> {
        match self.transform {
            Transform::Run { draws: Draws::Training { seed, .. }, .. } => {
                permutation(self.split.len(), Key::new([seed, epoch, 0, Key::word("order")]))
            }
            _ => (0..self.split.len() as u32).collect(),
        }
    }

    /// Prepares batch `number` of an epoch.
    fn batch(
        &self,
        epoch: u64,
        order: &[u32],
        number: usize,
        scratch: &mut (Scratch, Vec<u8>),
    ) -> Result<HostBatch, DataError> {
        let start = number * self.batch_size;
        let indices = &order[start..(start + self.batch_size).min(order.len())];
        let mut pixels = self.room(indices.len() * self.views() * self.channels * self.side * self.side);
        let (mut targets, mut keys) = (Vec::with_capacity(indices.len()), Vec::with_capacity(indices.len()));
        for (place, &index) in (start..).zip(indices) {
            let index = index as usize;
            targets.push(self.split.label(index));
            let (cutter, cuts) = match (&self.transform, &mut pixels) {
                (Transform::Photographs { preprocessing, views }, HostPixels::Floats(out)) => {
                    out.append(&mut self.split.views(index, preprocessing, *views)?);
                    continue;
                }
                (Transform::Photographs { .. }, _) => unreachable!("made as floats"),
                (Transform::Run { cutter, draws: Draws::Views(which), .. }, _) => {
                    (cutter, views(*which, cutter.span()))
                }
                (Transform::Run { cutter, draws: Draws::Training { seed, augmentation }, colour, .. }, _) => {
                    let key = Key::new([*seed, epoch, self.split.sample(index) as u64, 0]);
                    keys.push(key);
                    // Consecutive images may share their place, as in the authors' loader.
                    let shared = match augmentation.shared_by {
                        0 | 1 => key,
                        by => Key::new([*seed, epoch, (place / by) as u64, Key::word("shared")]),
                    };
                    (cutter, vec![draw(augmentation, cutter.span(), colour, shared, key)])
                }
            };
            if let HostPixels::Places(places) = &mut pixels {
                places.extend(cuts.into_iter().map(|cut| (self.split.sample(index), cut)));
                continue;
            }
            let mut image = self.split.pixels(index, &mut scratch.0)?;
            let stepped;
            if let Transform::Run { draws: Draws::Training { augmentation, .. }, means, .. } = &self.transform
                && let (false, Some(key)) = (augmentation.steps.is_empty(), keys.last())
            {
                let size = self.split.image_shape()[1];
                stepped = steps::apply(&augmentation.steps, image, size, means, *key);
                image = Pixels::Interleaved(&stepped);
            }
            for cut in cuts {
                match &mut pixels {
                    HostPixels::Floats(out) => cutter.append(image, &cut, &mut scratch.1, out),
                    HostPixels::Bytes(out, cuts) => {
                        cutter.append_bytes(image, &cut, out);
                        cuts.push(cut);
                    }
                    HostPixels::Places(_) => unreachable!("need no pixels"),
                }
            }
        }
        Ok(HostBatch { pixels, targets, keys })
    }

    /// Returns an empty batch with room for `length` numbers.
    fn room(&self, length: usize) -> HostPixels {
        match self.transform {
            Transform::Run { upload: Upload::Bytes, .. } => {
                HostPixels::Bytes(Vec::with_capacity(length), Vec::new())
            }
            Transform::Run { upload: Upload::Once, .. } => HostPixels::Places(Vec::new()),
            _ => HostPixels::Floats(Vec::with_capacity(length)),
        }
    }
}

impl Loader {
    /// Returns the network's inputs, `[inputs, channels, side, side]`, on the device.
    fn inputs(&self, pixels: HostPixels) -> Tensor<4> {
        let Shared { split, channels, side, transform, .. } = &*self.shared;
        let cutter = match (&pixels, transform) {
            (HostPixels::Floats(_), _) | (_, Transform::Photographs { .. }) => None,
            (_, Transform::Run { cutter, .. }) => Some(cutter),
        };
        let images = |bytes: Vec<u8>, [height, width]: [usize; 2], cutter: &Cutter| {
            let shape = [bytes.len() / (channels * height * width), *channels, height, width];
            DeviceImages::new(bytes, shape, cutter.mean.0.clone(), *side, &self.device)
        };
        let inputs = match (pixels, cutter) {
            (HostPixels::Floats(values), _) => {
                let shape = [values.len() / (channels * side * side), *channels, *side, *side];
                return Tensor::from_data(TensorData::new(values, shape), &self.device);
            }
            (HostPixels::Bytes(bytes, cuts), Some(cutter)) => {
                // The crops are cut, and all of each is an input.
                let cut =
                    |(at, cut): (usize, &Cut)| ImageCut { top: 0, left: 0, ..cutter.image_cut(at, cut) };
                let cuts: Vec<ImageCut> = cuts.iter().enumerate().map(cut).collect();
                images(bytes, [*side; 2], cutter).cut(&cuts)
            }
            (HostPixels::Places(places), Some(cutter)) => {
                let all = || split.in_memory().expect("checked when the loader was made").to_vec();
                let resident = self.resident.get_or_init(|| images(all(), cutter.size, cutter));
                let cuts: Vec<ImageCut> = places.iter().map(|(at, cut)| cutter.image_cut(*at, cut)).collect();
                resident.cut(&cuts)
            }
            (_, None) => unreachable!("photographs are floats"),
        };
        if self.device.is_autodiff() { Tensor::from_inner(inputs) } else { inputs }
    }
}

impl DataLoader<Batch> for Loader {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<Batch> + 'a> {
        Box::new(self.batches())
    }

    fn num_items(&self) -> usize {
        self.shared.split.len()
    }

    fn to_device(&self, device: &Device) -> Arc<dyn DataLoader<Batch>> {
        Arc::new(Self { device: device.clone(), resident: Arc::default(), ..self.clone() })
    }

    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<Batch>> {
        let shared = Shared { split: self.shared.split.range(start, end), ..Shared::clone(&self.shared) };
        Arc::new(Self { shared: Arc::new(shared), ..self.clone() })
    }
}
