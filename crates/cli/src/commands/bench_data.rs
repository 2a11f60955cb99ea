//! `experiments bench data`: how fast batches come.

use std::time::{Duration, Instant};

use alexnet_data::{
    ColourReading, Dataset, Draws, Encoding, Loader, LoaderConfig, MeanKind, PixelScale, Scratch, Split,
    Upload, Views,
};
use anyhow::{Result, anyhow, bail};
use serde::Serialize;

use super::data::{cores, open, paper_side};
use super::data_show::augmentation;
use crate::args::{BenchDataArgs, BenchView, Format};
use crate::data_sets::statistics;
use crate::machine::backend;
use crate::output::print;

/// The rate at which images are loaded.
#[derive(Debug, Serialize)]
struct Feed {
    data: String,
    view: &'static str,
    decoder: &'static str,
    upload: String,
    workers: usize,
    batch: usize,
    side: usize,
    images: usize,
    seconds: f64,
    images_per_second: f64,
    /// The peak resident set size of the process; not known on every system.
    peak_rss_bytes: Option<u64>,
}

/// The minimum time of a measurement, which follows an unmeasured epoch.
const MEASURED: Duration = Duration::from_secs(5);

pub(crate) fn run_bench(args: &BenchDataArgs) -> Result<()> {
    if args.upload == Upload::Once {
        bail!("--upload once: the processor prepares no batches then; measure floats or bytes");
    }
    let set = open(&args.data)?;
    let mut split = set.official_train();
    let mut decoder = decoder(&set)?;
    if args.no_decode {
        (split, decoder) =
            (split.without_decoding()?, "none: files are read, and the first image's pixels used");
    }
    let workers = args.workers.unwrap_or_else(cores);
    let side = args.side.unwrap_or_else(|| paper_side(set.size));
    let (images, seconds) = match args.view {
        BenchView::Decode => decoding(&split, workers)?,
        _ => feeding(&set, &split, args, workers, side)?,
    };
    let feed = Feed {
        data: set.name.clone(),
        view: args.view.name(),
        decoder,
        upload: args.upload.to_string(),
        workers,
        batch: args.batch,
        side,
        images,
        seconds,
        images_per_second: images as f64 / seconds,
        peak_rss_bytes: alexnet_train::peak_memory(),
    };
    match args.data.output.format {
        Format::Json => print(&serde_json::to_string_pretty(&feed)?),
        Format::Text => {
            let memory = feed
                .peak_rss_bytes
                .map_or(String::new(), |bytes| format!(", {:.2} GB at most", bytes as f64 / 1e9));
            print(&format!(
                "{}: {:.0} images/s ({}, {} × {} as {}, decoder {}, {} worker(s){memory})",
                feed.data, feed.images_per_second, feed.view, side, side, feed.upload, feed.decoder, workers
            ));
        }
    }
    Ok(())
}

/// Returns the name of the decoder of the set's files.
fn decoder(set: &Dataset) -> Result<&'static str> {
    Ok(match &set.prepared {
        None => "none: images are in memory",
        Some(folder) => match alexnet_data::Prepared::read(folder)?.encoding {
            Encoding::Jpeg => "libjpeg-turbo-rs",
            Encoding::Raw => "none: images are raw",
        },
    })
}

/// Measures whole batches, as training loads them.
fn feeding(
    set: &Dataset,
    split: &Split,
    args: &BenchDataArgs,
    workers: usize,
    side: usize,
) -> Result<(usize, f64)> {
    let training = |colour| Draws::Training { seed: 0, augmentation: augmentation(colour) };
    let draws = match args.view {
        BenchView::Train | BenchView::Decode => training(None),
        BenchView::TrainColour => training(Some(ColourReading::StandardDeviation)),
        BenchView::Centre => Draws::Views(Views::Centre),
        BenchView::Ten => Draws::Views(Views::Ten),
    };
    let statistics = statistics(set)?;
    let config = LoaderConfig {
        batch_size: args.batch,
        side,
        padding: 0,
        mean: MeanKind::Image,
        scale: PixelScale::Levels,
        upload: args.upload,
        draws,
        workers,
    };
    let loader = Loader::new(split.clone(), &statistics, config, backend(args.machine.backend)?.device()?)?;
    let epoch = |number: usize| -> Result<usize> {
        loader.set_epoch(number, 0);
        Ok(loader.dry_run()?)
    };
    repeated(epoch)
}

/// Repeats an epoch until the minimum time is reached, after one that is not counted.
fn repeated(mut epoch: impl FnMut(usize) -> Result<usize>) -> Result<(usize, f64)> {
    epoch(1)?;
    let (begun, mut images, mut number) = (Instant::now(), 0, 2);
    while begun.elapsed() < MEASURED {
        images += epoch(number)?;
        number += 1;
    }
    Ok((images, begun.elapsed().as_secs_f64()))
}

/// Measures decoding of all images on `workers` threads, without further processing.
fn decoding(split: &Split, workers: usize) -> Result<(usize, f64)> {
    let workers = workers.max(1);
    repeated(|_| {
        std::thread::scope(|scope| {
            let threads = (0..workers).map(|worker| {
                scope.spawn(move || {
                    let mut scratch = Scratch::default();
                    let mut images = (worker..split.len()).step_by(workers);
                    images.try_for_each(|at| split.pixels(at, &mut scratch).map(drop))
                })
            });
            let threads: Vec<_> = threads.collect();
            for thread in threads {
                thread.join().map_err(|_| anyhow!("a thread failed"))??;
            }
            Ok(split.len())
        })
    })
}
