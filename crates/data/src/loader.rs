use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

use alexnet_ops::Key;
use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::tensor::{Device, Tensor, TensorData};

use crate::augment::{Cutter, colour_axes, permutation};
use crate::{Augmentation, DataError, MeanKind, Split, Statistics, Views};

/// Batches that each worker prepares ahead.
const AHEAD: usize = 2;

/// Some images, ready for the network.
#[derive(Debug, Clone)]
pub struct Batch {
    /// `[samples · views, channels, side, side]`, the views of a sample next to each other.
    pub images: Tensor<4>,
    /// The label of each sample.
    pub targets: Vec<usize>,
    /// Where each sample's draws come from in this epoch.
    pub keys: Vec<Key>,
}

/// How a loader turns images into inputs.
#[derive(Debug, Clone)]
pub struct LoaderConfig {
    /// Samples a batch; the last batch of an epoch may be smaller.
    pub batch_size: usize,
    /// Side of the network's input in pixels.
    pub side: usize,
    /// Pixels of the mean added around an image.
    pub padding: usize,
    /// What is taken off the pixels.
    pub mean: MeanKind,
    /// Whether images come in a fixed order as views, or shuffled and augmented.
    pub draws: Draws,
    /// Threads that prepare batches; 0: the calling thread does. The batches are the same.
    pub workers: usize,
}

/// Where the randomness of a loader comes from.
#[derive(Debug, Clone)]
pub enum Draws {
    /// Training: a new order and new augmentation each epoch, all functions of the seed.
    Training {
        /// The run's seed.
        seed: u64,
        /// What is done to the images.
        augmentation: Augmentation,
    },
    /// Evaluation: in order, these views.
    Views(Views),
}

/// Batches of a split, in the order and with the draws that (seed, epoch) determine: Burn's
/// [`DataLoader`], whose stock implementation does not reproduce with several workers.
#[derive(Clone)]
pub struct Loader {
    shared: Arc<Shared>,
    /// The epoch that the next iterator draws from, and the batches of it that are left out.
    epoch: Arc<AtomicU64>,
    skipped: Arc<AtomicUsize>,
    device: Device,
}

struct Shared {
    split: Split,
    config: LoaderConfig,
    cutter: Cutter,
}

/// A batch before it becomes tensors.
struct HostBatch {
    pixels: Vec<f32>,
    targets: Vec<usize>,
    keys: Vec<Key>,
}

impl Loader {
    /// A loader of `split`, whose inputs are centred with the `statistics` of the training split.
    ///
    /// # Errors
    /// If the input is larger than the padded image.
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
        let mean = statistics.mean(config.mean, size, side);
        let cutter = Cutter { channels, size, side, padding: config.padding, mean, colour };
        let shared = Arc::new(Shared { split, config, cutter });
        Ok(Self { shared, epoch: Arc::new(AtomicU64::new(1)), skipped: Arc::default(), device })
    }

    /// Sets the epoch, counted from 1, that the next iterators draw from, and how many of its batches they
    /// leave out: those that are done when a run goes on in mid-epoch.
    pub fn set_epoch(&self, epoch: usize, skipped: usize) {
        self.epoch.store(epoch as u64, Ordering::SeqCst);
        self.skipped.store(skipped, Ordering::SeqCst);
    }

    /// Batches of an epoch.
    pub fn num_batches(&self) -> usize {
        self.shared.split.len().div_ceil(self.shared.config.batch_size)
    }

    /// The number of views an image becomes.
    pub fn views(&self) -> usize {
        self.shared.views()
    }
}

impl Shared {
    fn views(&self) -> usize {
        match self.config.draws {
            Draws::Training { .. } => 1,
            Draws::Views(views) => views.count(),
        }
    }

    fn order(&self, epoch: u64) -> Vec<usize> {
        match self.config.draws {
            Draws::Training { seed, .. } => {
                permutation(self.split.len(), Key::new([seed, epoch, 0, Key::word("order")]))
            }
            Draws::Views(_) => (0..self.split.len()).collect(),
        }
    }

    fn batch(&self, epoch: u64, indices: &[usize]) -> Result<HostBatch, DataError> {
        let side = self.config.side;
        let input = self.cutter.channels * side * side * self.views();
        let mut batch = HostBatch {
            pixels: vec![0.0; indices.len() * input],
            targets: Vec::with_capacity(indices.len()),
            keys: Vec::with_capacity(indices.len()),
        };
        for (&index, out) in indices.iter().zip(batch.pixels.chunks_exact_mut(input)) {
            let image = self.split.image(index)?;
            batch.targets.push(self.split.label(index));
            match &self.config.draws {
                Draws::Training { seed, augmentation } => {
                    let key = Key::new([*seed, epoch, self.split.sample(index) as u64, 0]);
                    self.cutter.augmented(&image, augmentation, key, out);
                    batch.keys.push(key);
                }
                Draws::Views(views) => self.cutter.views(&image, *views, out),
            }
        }
        Ok(batch)
    }
}

impl DataLoader<Batch> for Loader {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<Batch> + 'a> {
        let epoch = self.epoch.load(Ordering::SeqCst);
        let order = Arc::new(self.shared.order(epoch));
        let skipped = self.skipped.load(Ordering::SeqCst);
        let (workers, size) = (self.shared.config.workers, self.shared.config.batch_size);
        let queues = (0..workers.min(self.num_batches())).map(|worker| {
            let (send, receive) = sync_channel(AHEAD);
            let (shared, order) = (self.shared.clone(), order.clone());
            std::thread::spawn(move || {
                for indices in order.chunks(size).skip(skipped + worker).step_by(workers) {
                    // The receiver hangs up when the epoch is cut short.
                    if send.send(shared.batch(epoch, indices)).is_err() {
                        return;
                    }
                }
            });
            receive
        });
        let queues = queues.collect();
        Box::new(Batches { queues, loader: self, epoch, order, skipped, next: skipped, failed: false })
    }

    fn num_items(&self) -> usize {
        self.shared.split.len()
    }

    fn to_device(&self, device: &Device) -> Arc<dyn DataLoader<Batch>> {
        Arc::new(Self { device: device.clone(), ..self.clone() })
    }

    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<Batch>> {
        let shared = Shared {
            split: self.shared.split.range(start, end),
            config: self.shared.config.clone(),
            cutter: self.shared.cutter.clone(),
        };
        Arc::new(Self { shared: Arc::new(shared), ..self.clone() })
    }
}

struct Batches<'a> {
    loader: &'a Loader,
    epoch: u64,
    order: Arc<Vec<usize>>,
    queues: Vec<Receiver<Result<HostBatch, DataError>>>,
    skipped: usize,
    next: usize,
    failed: bool,
}

/// A worker that stopped before it had delivered its batches.
#[derive(Debug, thiserror::Error)]
#[error("a data worker stopped in mid-epoch; its message is above")]
struct WorkerStopped;

impl Batches<'_> {
    fn host_batch(&self) -> Result<HostBatch, DatasetError> {
        let size = self.loader.shared.config.batch_size;
        if self.queues.is_empty() {
            let indices = self.order.chunks(size).nth(self.next).unwrap_or_default();
            return self.loader.shared.batch(self.epoch, indices).map_err(DatasetError::new);
        }
        // Batch i of the iterator comes from worker i mod workers, so the order never depends on who is faster.
        match self.queues[(self.next - self.skipped) % self.queues.len()].recv() {
            Ok(batch) => batch.map_err(DatasetError::new),
            Err(_) => Err(DatasetError::new(WorkerStopped)),
        }
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<Batch, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.next >= self.loader.num_batches() {
            return None;
        }
        let batch = self.host_batch();
        self.next += 1;
        self.failed = batch.is_err();
        Some(batch.map(|batch| {
            let shared = &self.loader.shared;
            let side = shared.config.side;
            let inputs = batch.targets.len() * shared.views();
            let data = TensorData::new(batch.pixels, [inputs, shared.cutter.channels, side, side]);
            let images = Tensor::from_data(data, &self.loader.device);
            Batch { images, targets: batch.targets, keys: batch.keys }
        }))
    }
}

impl DataLoaderIterator<Batch> for Batches<'_> {
    fn progress(&self) -> Progress {
        let total = self.loader.num_items();
        let done = (self.next * self.loader.shared.config.batch_size).min(total);
        Progress::new(done, total, Some("images".to_owned()))
    }
}
