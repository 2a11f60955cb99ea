//! Measures how fast a network trains or infers on this machine, on synthetic images, and the time of each
//! layer.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::Instant;

use alexnet_data::Batch;
use alexnet_model::{AlexNet, LayerTrace, Mode, Network, Preset};
use alexnet_ops::{Backend, Implementation, Key, LaunchCount, Precision, count_launches, fits};
use alexnet_train::{Classifier, Elapsed, UpdateRule, optimizer};
use anyhow::{Context, Result};
use burn::tensor::{Device, Distribution, Tensor};
use burn::train::TrainStep;
use serde::Serialize;

use super::{analyze, bench_data};
use crate::args::{BenchArgs, BenchCommand, Format};
use crate::interrupted::Interrupted;
use crate::machine::{backend, precision_missing};
use crate::output::print;

/// `experiments bench`.
pub(crate) fn bench(args: &BenchArgs) -> Result<()> {
    match &args.command {
        Some(BenchCommand::Data(args)) => return bench_data::run_bench(args),
        Some(BenchCommand::Nearest(args)) => return analyze::bench_nearest(args),
        Some(BenchCommand::Codes(args)) => return analyze::bench_codes(args),
        None => {}
    }
    let network = Preset::load(&args.preset)?;
    let backend = backend(args.machine.backend)?;
    fits(&backend, (network.trace()?.largest_tensor(args.batch) as u64).saturating_mul(4))?;
    // As in an ablation's runs, this thread is one of the pool, so that no kernel has to be handed to another.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads.unwrap_or_default());
    pool.use_current_thread().build_global()?;
    let (batch, samples) = (args.batch, args.samples);
    let precision = args.precision.precision;
    precision.check(&backend.device()?).map_err(precision_missing)?;
    let (train, whole) = (!args.infer, args.whole);
    let plan = Plan { backend, ops: args.ops, precision, batch, train, whole, samples };
    let measurement = measure(&network, plan)?;
    match args.output.format {
        Format::Json => print(&serde_json::to_string_pretty(&measurement)?),
        Format::Text => print(measurement.text().trim_end()),
    }
    Ok(())
}

/// The settings of a measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) backend: Backend,
    pub(crate) ops: Implementation,
    pub(crate) precision: Precision,
    pub(crate) batch: usize,
    /// Whether to measure training steps; otherwise inference.
    pub(crate) train: bool,
    /// Whether to leave out the single layers and the matrix product.
    pub(crate) whole: bool,
    /// The number of timed steps.
    pub(crate) samples: usize,
}

/// The result of a measurement.
#[derive(Debug, Serialize)]
pub(crate) struct Measurement {
    network: String,
    backend: String,
    ops: String,
    precision: Precision,
    mode: &'static str,
    batch: usize,
    threads: usize,
    /// The rate of the median step.
    images_per_second: f64,
    /// The step before those that are timed: memory is allocated, and a GPU's kernels are compiled and tried out.
    first_step_seconds: f64,
    seconds_per_step: Steps,
    /// The peak resident set size of the process; not known on every system.
    peak_rss_bytes: Option<u64>,
    /// The machine's rate for a product of two matrices of 2048 × 2048.
    #[serde(skip_serializing_if = "Option::is_none")]
    matmul_gflops: Option<f64>,
    /// The rate of the whole network, with two operations per multiply-add of convolutions and fully
    /// connected layers. The gradient of the image is not computed.
    gflops: f64,
    /// The number of kernels that a step launches on a GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    launches_per_step: Option<usize>,
    /// The same by kernel, the most frequent first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kernels: Vec<LaunchCount>,
    layers: Vec<Layer>,
}

#[derive(Debug, Serialize)]
struct Steps {
    median: f64,
    samples: Vec<f64>,
}

/// A layer with its stages, measured alone.
#[derive(Debug, Serialize)]
struct Layer {
    name: String,
    forward_seconds: f64,
    /// The gradients of weights, biases and, except for the first layer, inputs; training only.
    backward_seconds: Option<f64>,
    gflops: f64,
}

/// Measures `network`.
pub(crate) fn measure(network: &Network, plan: Plan) -> Result<Measurement> {
    let Plan { backend, batch, train, .. } = plan;
    let trace = network.trace()?;
    let device = backend.device()?;
    let Timed { first, seconds: steps, kernels } = if train {
        training(network, plan, &device.clone().autodiff())?
    } else {
        inference(network, plan, &device)?
    };
    let peak_rss_bytes = alexnet_train::peak_memory();
    let flop: usize = trace.layers.iter().enumerate().map(|(index, layer)| flop(layer, index, train)).sum();
    let median = median(&steps);
    Ok(Measurement {
        network: network.name.clone(),
        backend: backend.to_string(),
        ops: plan.ops.to_string(),
        precision: plan.precision,
        mode: if train { "train" } else { "infer" },
        batch,
        threads: rayon::current_num_threads(),
        images_per_second: batch as f64 / median,
        first_step_seconds: first,
        seconds_per_step: Steps { median, samples: steps },
        peak_rss_bytes,
        matmul_gflops: if plan.whole { None } else { Some(matmul_rate(&device)?) },
        gflops: (batch * flop) as f64 / median / 1e9,
        launches_per_step: (!backend.is_processor())
            .then(|| kernels.iter().map(|count| count.launches).sum()),
        kernels,
        layers: if plan.whole { Vec::new() } else { layers(network, &trace.layers, plan)? },
    })
}

/// Returns the floating-point operations for one image.
fn flop(layer: &LayerTrace, index: usize, train: bool) -> usize {
    let products = match (train, index) {
        (false, _) => 1,
        (true, 0) => 2, // the image needs no gradient
        (true, _) => 3,
    };
    2 * products * layer.multiply_adds
}

fn random<const D: usize>(shape: [usize; D], std: f64, device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, std), device)
}

/// The approximate standard deviation of 0–255 pixels minus their mean.
const PIXEL_STD: f64 = 60.0;

fn images(network: &Network, batch: usize, device: &Device) -> Tensor<4> {
    random([batch, network.input.channels, network.input.size, network.input.size], PIXEL_STD, device)
}

fn keys(step: usize, batch: usize) -> Vec<Key> {
    (0..batch).map(|sample| Key::new([0, step as u64, sample as u64, 0])).collect()
}

/// The times of a step.
struct Timed {
    /// The seconds of the first call.
    first: f64,
    /// The seconds of each call after it.
    seconds: Vec<f64>,
    /// The kernels that one more call launches.
    kernels: Vec<LaunchCount>,
}

/// Returns the seconds of `samples` calls, after one that is not counted and stands first.
fn timed(samples: usize, device: &Device, mut step: impl FnMut(usize)) -> Result<Vec<f64>> {
    let mut seconds = Vec::with_capacity(samples + 1);
    for index in 0..=samples {
        if crate::STOP.load(Ordering::SeqCst) {
            return Err(Interrupted("interrupted; nothing was measured".to_owned()).into());
        }
        let begun = Instant::now();
        step(index);
        device.sync().map_err(|error| anyhow::anyhow!("{error:?}")).context("the device failed")?;
        seconds.push(begun.elapsed().as_secs_f64());
    }
    Ok(seconds)
}

/// Returns the median of the seconds of `samples` calls, after one that is not counted.
fn median_of(samples: usize, device: &Device, step: impl FnMut(usize)) -> Result<f64> {
    Ok(median(&timed(samples, device, step)?[1..]))
}

/// Times `samples` calls after the first, and counts the kernels of one more.
fn timed_and_counted(samples: usize, device: &Device, mut step: impl FnMut(usize)) -> Result<Timed> {
    let mut seconds = timed(samples, device, &mut step)?;
    let (waited, kernels) = count_launches(|| {
        step(samples + 1);
        device.sync()
    });
    waited.map_err(|error| anyhow::anyhow!("{error:?}")).context("the device failed")?;
    let first = seconds.remove(0);
    Ok(Timed { first, seconds, kernels })
}

fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

/// Measures whole steps as in a run: forward, backward and update.
fn training(network: &Network, plan: Plan, device: &Device) -> Result<Timed> {
    let Plan { ops: operations, precision, batch, samples, .. } = plan;
    // The constants do not affect the speed, as long as nothing diverges.
    const RATE: f64 = 1e-4;
    let mut optimizer = optimizer(network, &UpdateRule::default(), &Elapsed::default(), operations);
    let model = Classifier::new(network, 0, device)?.with_operations(operations);
    let mut model = Some(model.with_precision(precision));
    let images = images(network, batch, &device.clone().inner());
    let targets: Vec<usize> = (0..batch).map(|image| image % network.classes).collect();
    timed_and_counted(samples, device, |step| {
        let images = Tensor::from_inner(images.clone());
        let batch = Batch { images, targets: targets.clone(), keys: keys(step, batch) };
        model = model.take().map(|model| {
            let gradients = TrainStep::step(&model, batch).grads;
            optimizer.step(RATE, model, gradients)
        });
    })
}

fn inference(network: &Network, plan: Plan, device: &Device) -> Result<Timed> {
    let Plan { ops: operations, precision, batch, samples, .. } = plan;
    let model = network.init(0, device)?.with_operations(operations).with_precision(precision);
    let images = images(network, batch, device);
    timed_and_counted(samples, device, |_| drop(model.forward(images.clone(), Mode::Evaluation).into_data()))
}

/// Returns the GFLOP/s of a product of two matrices of 2048 × 2048.
fn matmul_rate(device: &Device) -> Result<f64> {
    const SIDE: usize = 2048;
    let (left, right) = (random([SIDE, SIDE], 1.0, device), random([SIDE, SIDE], 1.0, device));
    let seconds = median_of(7, device, |_| drop(left.clone().matmul(right.clone())))?;
    Ok(2.0 * (SIDE as f64).powi(3) / seconds / 1e9)
}

/// Measures each layer alone, on inputs of its shape.
fn layers(network: &Network, traces: &[LayerTrace], plan: Plan) -> Result<Vec<Layer>> {
    let device = plan.backend.device()?;
    let device = if plan.train { device.autodiff() } else { device };
    let model = network.init(0, &device)?.with_operations(plan.ops).with_precision(plan.precision);
    let mut map = network.input.size;
    let mut layers = Vec::new();
    for (index, trace) in traces.iter().enumerate() {
        // A unit is a map of one pixel.
        let side = if index < network.conv.len() { map } else { 1 };
        layers.push(layer(&model, index, trace, side, plan, &device)?);
        map = trace.stages.last().map_or(trace.side, |stage| stage.side);
    }
    Ok(layers)
}

fn layer(
    model: &AlexNet,
    index: usize,
    trace: &LayerTrace,
    side: usize,
    plan: Plan,
    device: &Device,
) -> Result<Layer> {
    const SAMPLES: usize = 3;
    let Plan { batch, train, .. } = plan;
    let keys = keys(0, batch);
    let mode = if train { Mode::Training(&keys) } else { Mode::Evaluation };
    let asks = |inputs: Tensor<4>| if train && index > 0 { inputs.require_grad() } else { inputs };
    let inputs: Vec<Tensor<4>> =
        (0..trace.towers).map(|_| asks(random([batch, trace.inputs, side, side], 1.0, device))).collect();
    let convolutions = model.network().conv.len();
    let forward = || match index.checked_sub(convolutions) {
        None => {
            let maps = model.conv_layer(index, inputs.clone(), mode);
            maps.into_iter().map(|maps| maps.flatten(1, 3)).collect::<Vec<Tensor<2>>>()
        }
        Some(index) => {
            let units = inputs.iter().map(|inputs| inputs.clone().flatten(1, 3)).collect();
            model.fc_layer(index, units, mode)
        }
    };
    let forward_seconds = median_of(SAMPLES, device, |_| drop(forward()))?;
    let both = train
        .then(|| median_of(SAMPLES, device, |_| forward().into_iter().for_each(|out| drop(out.backward()))));
    let backward_seconds = both.transpose()?.map(|seconds| (seconds - forward_seconds).max(0.0));
    let seconds = forward_seconds + backward_seconds.unwrap_or(0.0);
    let gflops = (batch * flop(trace, index, train)) as f64 / seconds / 1e9;
    Ok(Layer { name: trace.name.clone(), forward_seconds, backward_seconds, gflops })
}

impl Measurement {
    /// Returns the text for people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let Self { network, backend, ops, mode, batch, threads, .. } = self;
        let precision = match self.precision {
            Precision::Device => String::new(),
            precision => format!(", products in {precision}"),
        };
        let share = |gflops: f64| 100.0 * gflops / self.matmul_gflops.unwrap_or(f64::INFINITY);
        let _ = writeln!(
            text,
            "{network}, {mode}, batch {batch}, {backend} ({ops} operations{precision}), {threads} thread(s)"
        );
        let (samples, seconds) = (self.seconds_per_step.samples.len(), self.seconds_per_step.median);
        let _ = writeln!(
            text,
            "  {:.1} images/s: {seconds:.4} s a step, the median of {samples}",
            self.images_per_second
        );
        let _ = match self.matmul_gflops {
            None => writeln!(text, "  {:.1} GFLOP/s", self.gflops),
            Some(rate) => writeln!(
                text,
                "  {:.1} GFLOP/s: {:.0} % of this machine's {rate:.1} in a product of 2048 × 2048 matrices",
                self.gflops,
                share(self.gflops),
            ),
        };
        if self.launches_per_step.is_some() {
            let _ = writeln!(text, "  {:.1} s for the first step, with its kernels", self.first_step_seconds);
        }
        if let Some(launches) = self.launches_per_step {
            let most = self.kernels.iter().take(3);
            let most: Vec<String> =
                most.map(|count| format!("{} {}", count.launches, count.kernel)).collect();
            let _ = writeln!(text, "  {launches} kernel launches a step, most of all {}", most.join(", "));
        }
        if let Some(bytes) = self.peak_rss_bytes {
            let _ = writeln!(text, "  {:.2} GB of memory at most", bytes as f64 / 1e9);
        }
        if self.layers.is_empty() {
            return text;
        }
        let _ = writeln!(
            text,
            "\n  {:<8} {:>12} {:>12} {:>9} {:>7}",
            "layer", "forward, ms", "backward, ms", "GFLOP/s", "share"
        );
        for layer in &self.layers {
            let backward = layer.backward_seconds.map_or("-".to_owned(), |s| format!("{:.1}", 1e3 * s));
            let _ = writeln!(
                text,
                "  {:<8} {:>12.1} {backward:>12} {:>9.1} {:>5.0} %",
                layer.name,
                1e3 * layer.forward_seconds,
                layer.gflops,
                share(layer.gflops)
            );
        }
        text
    }
}
