//! Data parallel training: each device holds the whole network and gets a part of every batch.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use alexnet_data::Batch;
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Device;
use burn::tensor::distributed::{DistributedConfig, DistributedContext, ReduceOperation};
use burn::train::{ModuleSharder, TrainOutput};

use crate::TrainError;
use crate::classifier::Classifier;
use crate::placement::{Placement, Reduction};
use crate::score::Score;
use crate::updater::Updater;

/// Makes a run's training steps on the devices of its placement.
pub(crate) struct DataParallel {
    devices: Vec<Device>,
    threads: Threads,
    replicas: Option<Replicas>,
}

/// The state of all devices but the first, if the collective operations sum the gradients: their own weights
/// and velocities. These stay equal on all devices because all receive the same gradients.
struct Replicas {
    trained: Vec<(Classifier, Updater)>,
    /// The gradients of the last step, one element per replica.
    gradients: Vec<GradientsParams>,
    /// Keeps the collective operations alive.
    _context: DistributedContext,
}

impl DataParallel {
    /// Creates the team of a run. Returns `None` if batches are not divided.
    ///
    /// # Panics
    /// If the placement needs collective operations and the devices have none. Burn reports this as a panic.
    pub(crate) fn of(placement: &Placement, model: &mut Classifier, updater: &Updater) -> Option<Self> {
        let Placement::DataParallel(devices, reduction) = placement else { return None };
        let replicas = match reduction {
            Reduction::First => None,
            Reduction::AllReduce => Some(Replicas::of(model, updater, devices)),
        };
        Some(Self { devices: devices.clone(), threads: Threads::start(devices.len()), replicas })
    }

    /// Makes a training step. Returns the gradients of the batch's mean loss, on the first device.
    ///
    /// # Errors
    /// If a device did not produce all gradients. The sum over devices would hide a missing gradient.
    pub(crate) fn step(
        &mut self,
        model: &Classifier,
        batch: Batch,
    ) -> Result<TrainOutput<Score>, TrainError> {
        let parts = parts(batch, self.devices.len());
        let shares: Vec<f64> = parts.iter().map(|(_, share)| *share).collect();
        let work = self.devices.iter().zip(parts).enumerate().map(|(number, (device, (part, share)))| {
            let (model, device) = (model.clone(), device.clone());
            match &self.replicas {
                None if number == 0 => Box::new(move || model.part_of_step(part, share)) as Work,
                None => Box::new(move || model.fork(&device).part_of_step(moved(part, &device), share)),
                Some(replicas) => {
                    let model = replicas.trained[..number].last().map_or(model, |(model, _)| model.clone());
                    Box::new(move || {
                        let output = model.part_of_step(moved(part, &device), share);
                        // Only this thread's queue waits for the collective operations. Other threads may
                        // read their results only after they complete.
                        device.sync().unwrap_or_else(|error| panic!("{error}"));
                        output
                    })
                }
            }
        });
        let work = work.collect();
        let outputs = match &self.replicas {
            None => self.threads.run(work),
            Some(_) => catch_unwind(AssertUnwindSafe(|| self.threads.run(work))).unwrap_or_else(|panic| {
                COLLECTIVES_BROKE.store(true, Ordering::SeqCst);
                resume_unwind(panic)
            }),
        };
        outputs.iter().try_for_each(|output| model.check_gradients(&output.grads))?;
        let mut score = Score::default();
        for (output, share) in outputs.iter().zip(shares) {
            if share > 0.0 {
                score.join(&output.item);
            }
        }
        let mut gradients = outputs.into_iter().map(|output| output.grads);
        let grads = match &mut self.replicas {
            Some(replicas) => {
                let first = gradients.next().expect("a device");
                replicas.gradients = gradients.collect();
                first
            }
            None => {
                let mut sum = GradientsAccumulator::new();
                // The sum follows the order of the devices, so that it is bit-identical each time if the
                // parts are.
                gradients.for_each(|grads| sum.accumulate(model, grads.to_device(&self.devices[0], model)));
                sum.grads()
            }
        };
        Ok(TrainOutput { grads, item: score })
    }

    /// Checks that the other devices' weights are bit-identical to those of `model`.
    ///
    /// # Errors
    /// If they are not.
    pub(crate) fn check(&self, model: &Classifier) -> Result<(), TrainError> {
        let Some(replicas) = &self.replicas else { return Ok(()) };
        let weights = model.to_bytes()?;
        for (device, (replica, _)) in self.devices[1..].iter().zip(&replicas.trained) {
            if replica.to_bytes()? != weights {
                let message = format!("the weights on {device:?} are not those on {:?}", self.devices[0]);
                return Err(TrainError::Backend { message });
            }
        }
        Ok(())
    }

    /// Updates the other devices' replicas in the same way as the first's model.
    pub(crate) fn update(&mut self, rate: f64) {
        let Some(replicas) = &mut self.replicas else { return };
        for ((model, updater), gradients) in replicas.trained.iter_mut().zip(replicas.gradients.drain(..)) {
            *model = updater.step(rate, model.clone(), gradients);
        }
    }
}

/// Whether a collective operation has failed. A thread that panics in a backward pass leaves Burn's server,
/// and perhaps other threads, waiting for its gradients. Later runs of the process must not use that server.
static COLLECTIVES_BROKE: AtomicBool = AtomicBool::new(false);

impl Replicas {
    /// Copies a model and its optimizer to the other devices. Marks the weights of all copies so that the backward pass sums
    /// their gradients.
    fn of(model: &mut Classifier, updater: &Updater, devices: &[Device]) -> Self {
        assert!(
            !COLLECTIVES_BROKE.load(Ordering::SeqCst),
            "an earlier run in this process failed among its devices; the same command, begun anew, goes on"
        );
        // Each part is already weighted by its share of the batch, so gradients are summed, not averaged.
        let config = DistributedConfig { all_reduce_op: ReduceOperation::Sum };
        let context = DistributedContext::init(devices.to_vec(), config);
        let copy = |device| (model.clone().fork(device).map(&mut ModuleSharder), updater.clone());
        let trained = devices[1..].iter().map(copy).collect();
        *model = model.clone().map(&mut ModuleSharder);
        Self { trained, gradients: Vec::new(), _context: context }
    }
}

type Work = Box<dyn FnOnce() -> TrainOutput<Score> + Send>;

/// One thread per device, for the lifetime of the team. Backends keep a queue and memory per thread.
struct Threads {
    work: Vec<Sender<Work>>,
    done: Receiver<(usize, thread::Result<TrainOutput<Score>>)>,
}

impl Threads {
    fn start(count: usize) -> Self {
        let (sender, done) = channel();
        let start = |number: usize| {
            let (work, queue) = channel::<Work>();
            let done = sender.clone();
            thread::spawn(move || {
                for work in queue {
                    let outcome = catch_unwind(AssertUnwindSafe(work));
                    if done.send((number, outcome)).is_err() {
                        return;
                    }
                }
            });
            work
        };
        Self { work: (0..count).map(start).collect(), done }
    }

    /// Runs one piece of work on each thread. Returns the results in order.
    ///
    /// # Panics
    /// As soon as one thread panics, because the others may wait for its gradients.
    fn run(&self, work: Vec<Work>) -> Vec<TrainOutput<Score>> {
        for (thread, work) in self.work.iter().zip(work) {
            thread.send(work).expect("threads end with the team");
        }
        let mut outputs: Vec<_> = self.work.iter().map(|_| None).collect();
        for _ in &self.work {
            match self.done.recv().expect("threads end with the team") {
                (number, Ok(output)) => outputs[number] = Some(output),
                (_, Err(panic)) => resume_unwind(panic),
            }
        }
        outputs.into_iter().flatten().collect()
    }
}

fn moved(batch: Batch, device: &Device) -> Batch {
    Batch { images: batch.images.to_device(device), ..batch }
}

/// Splits a batch into parts of nearly equal size, one per device, each with its share of the batch. If there
/// are fewer images than devices, the remaining devices get the first image with a share of 0. Without a
/// part, a device would block the others.
fn parts(batch: Batch, devices: usize) -> Vec<(Batch, f64)> {
    let images = batch.targets.len();
    let part = |number: usize| {
        let bounds = (number * images / devices)..((number + 1) * images / devices);
        let share = bounds.len() as f64 / images as f64;
        let range = if bounds.is_empty() { 0..1 } else { bounds };
        let part = Batch {
            images: batch.images.clone().slice([range.clone()]),
            targets: batch.targets[range.clone()].to_vec(),
            keys: batch.keys[range].to_vec(),
        };
        (part, share)
    };
    (0..devices).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alexnet_ops::Key;
    use burn::tensor::Tensor;

    #[test]
    fn every_device_has_a_part_and_the_shares_are_the_batch() {
        let device = alexnet_ops::Backend::in_this_build()[0].device().unwrap();
        for (images, devices, sizes) in [(7, 2, vec![3, 4]), (2, 3, vec![0, 1, 1]), (3, 1, vec![3])] {
            let batch = Batch {
                images: Tensor::zeros([images, 1, 1, 1], &device),
                targets: (0..images).collect(),
                keys: (0..images).map(|at| Key::new([at as u64, 0, 0, 0])).collect(),
            };
            let parts = parts(batch, devices);
            let shares: Vec<f64> = sizes.iter().map(|&size| size as f64 / images as f64).collect();
            assert_eq!(parts.iter().map(|(_, share)| *share).collect::<Vec<_>>(), shares);
            let counted = parts.iter().filter(|(_, share)| *share > 0.0);
            let targets: Vec<usize> = counted.flat_map(|(part, _)| part.targets.clone()).collect();
            assert_eq!(targets, (0..images).collect::<Vec<_>>());
            assert!(parts.iter().all(|(part, _)| part.images.dims()[0] == part.targets.len().max(1)));
        }
    }

    #[test]
    fn a_device_without_all_gradients_is_an_error() {
        let device = alexnet_ops::Backend::in_this_build()[0].device().unwrap().autodiff();
        let network = alexnet_model::Preset::ALL.iter().find(|preset| preset.name == "mini").unwrap();
        let network: alexnet_model::Network = toml::from_str(network.toml).unwrap();
        let model = Classifier::new(&network, 0, &device).unwrap();
        let batch = Batch {
            images: Tensor::ones([2, 1, network.input.size, network.input.size], &device),
            targets: vec![0, 1],
            keys: vec![Key::new([0; 4]); 2],
        };
        let whole = model.part_of_step(batch, 0.5).grads;
        assert!(model.check_gradients(&whole).is_ok());
        // These are the gradients of a copy whose parameters are not leaves. A sum with another copy's
        // gradients would look complete.
        let error = model.check_gradients(&GradientsParams::new()).unwrap_err().to_string();
        assert!(error.contains("0 gradients for "), "{error}");
    }

    #[test]
    fn a_panic_on_one_thread_is_passed_on_while_another_waits() {
        let threads = Threads::start(2);
        let (_never, wait) = channel::<TrainOutput<Score>>();
        let work: Vec<Work> =
            vec![Box::new(move || wait.recv().unwrap()), Box::new(|| panic!("the device is gone"))];
        let panic = catch_unwind(AssertUnwindSafe(|| threads.run(work))).err().unwrap();
        assert_eq!(panic.downcast_ref(), Some(&"the device is gone"));
    }
}
