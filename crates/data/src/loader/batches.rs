//! The batches of an epoch, prepared by the calling thread or by workers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;

use super::{Batch, HostBatch, Loader};
use crate::DataError;
use crate::samples::Scratch;

/// The number of finished batches that wait for each worker while it prepares the next. Together with the batch
/// size and the number of workers it bounds the memory.
const AHEAD: usize = 1;

impl Loader {
    pub(super) fn batches(&self) -> Batches<'_> {
        let epoch = self.epoch.load(Ordering::SeqCst);
        let order = Arc::new(self.shared.order(epoch));
        let skipped = self.skipped.load(Ordering::SeqCst);
        let (workers, size) = (self.shared.workers, self.shared.batch_size);
        let threads = (0..workers.min(self.num_batches())).map(|worker| {
            let (send, receive) = sync_channel(AHEAD);
            let (shared, order) = (self.shared.clone(), order.clone());
            let thread = std::thread::spawn(move || {
                let mut scratch = Default::default();
                for number in (skipped + worker..order.len().div_ceil(size)).step_by(workers) {
                    // The receiver closes the channel when the epoch is cut short.
                    if send.send(shared.batch(epoch, &order, number, &mut scratch)).is_err() {
                        return;
                    }
                }
            });
            Worker { ready: receive, thread: Some(thread) }
        });
        Batches {
            workers: threads.collect(),
            loader: self,
            epoch,
            order,
            scratch: Default::default(),
            skipped,
            next: skipped,
            failed: false,
        }
    }
}

/// A thread that prepares batches.
struct Worker {
    ready: Receiver<Result<HostBatch, DataError>>,
    thread: Option<JoinHandle<()>>,
}

pub(super) struct Batches<'a> {
    loader: &'a Loader,
    epoch: u64,
    order: Arc<Vec<u32>>,
    scratch: (Scratch, Vec<u8>),
    workers: Vec<Worker>,
    skipped: usize,
    next: usize,
    failed: bool,
}

/// The error of a worker that stopped before it delivered its batches.
#[derive(Debug, thiserror::Error)]
#[error("a data worker stopped in mid-epoch: {0}")]
struct WorkerStopped(String);

impl WorkerStopped {
    /// Describes the end of a finished thread.
    fn of(thread: Option<JoinHandle<()>>) -> Self {
        let payload = thread.and_then(|thread| thread.join().err());
        let text = payload.and_then(|payload| match payload.downcast::<String>() {
            Ok(text) => Some(*text),
            Err(payload) => payload.downcast_ref::<&str>().map(|text| (*text).to_owned()),
        });
        Self(text.unwrap_or_else(|| "no message".to_owned()))
    }
}

impl Batches<'_> {
    fn host_batch(&mut self) -> Result<HostBatch, DatasetError> {
        if self.workers.is_empty() {
            let batch = self.loader.shared.batch(self.epoch, &self.order, self.next, &mut self.scratch);
            return batch.map_err(DatasetError::new);
        }
        // Batch i of the iterator comes from worker i mod workers, so the order does not depend on the workers'
        // speed.
        let worker = (self.next - self.skipped) % self.workers.len();
        let Worker { ready, thread } = &mut self.workers[worker];
        match ready.recv() {
            Ok(batch) => batch.map_err(DatasetError::new),
            Err(_) => Err(DatasetError::new(WorkerStopped::of(thread.take()))),
        }
    }

    pub(super) fn next_host(&mut self) -> Option<Result<HostBatch, DatasetError>> {
        if self.failed || self.next >= self.loader.num_batches() {
            return None;
        }
        let batch = self.host_batch();
        self.next += 1;
        self.failed = batch.is_err();
        Some(batch)
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<Batch, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.next_host()?;
        Some(batch.map(|batch| {
            let images = self.loader.inputs(batch.pixels);
            Batch { images, targets: batch.targets, keys: batch.keys }
        }))
    }
}

impl DataLoaderIterator<Batch> for Batches<'_> {
    fn progress(&self) -> Progress {
        let total = self.loader.num_items();
        let done = (self.next * self.loader.shared.batch_size).min(total);
        Progress::new(done, total, Some("images".to_owned()))
    }
}
