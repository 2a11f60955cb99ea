//! Short binary codes of features, and what they cost (Krizhevsky et al. 2012, §6.1; Krizhevsky & Hinton 2011).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use alexnet_analysis::{AutoEncoder, CodeConfig, Codes, Neighbour, Rows};
use anyhow::{Context, Result, bail};
use rayon::prelude::*;
use serde::Serialize;

use super::features::{Asked, Gallery, PixelRows};
use super::{Look, TILE, check_stop};
use crate::cli::{BenchCodesArgs, CodesArgs, Format};
use crate::commands::print;
use crate::sheet::Sheet;

#[derive(Debug, Serialize)]
struct Findings {
    layer: String,
    images: usize,
    queries: usize,
    k: usize,
    /// The share of the k nearest that are of the query's class.
    chance: f64,
    /// By the features themselves, with what they take.
    features: Whole,
    pixels: Whole,
    codes: Vec<OfCode>,
}

#[derive(Debug, Serialize)]
struct Whole {
    precision: f64,
    bytes_per_image: usize,
    queries_per_second: f64,
}

#[derive(Debug, Serialize)]
struct OfCode {
    /// `features` or `pixels`.
    of: &'static str,
    bits: usize,
    precision: f64,
    bytes_per_image: usize,
    queries_per_second: f64,
    /// The auto-encoder's mean squared error a number in its last pass, in variances.
    loss: f64,
}

/// `experiments analyze codes`.
pub(super) fn codes(args: &CodesArgs, stop: &AtomicBool) -> Result<()> {
    let look = Look::open(&args.look)?;
    let mut gallery = Gallery::open(&look, &args.gallery, None, stop)?;
    let count = gallery.split.len();
    if count < args.k {
        bail!("{count} images are fewer than the {} neighbours asked for", args.k);
    }
    let asked = gallery.asked(&look, &args.gallery, args.queries, args.seed)?;
    let queries = gallery.features(&look, &asked.views);
    let chance = gallery.chance(&asked);
    let (width, queried) = (gallery.file.width(), asked.chosen.len());
    let [channels, side] = look.input();
    let pixels = channels * side * side;
    let split = gallery.split.clone();
    let same = |query: usize, row: usize| asked.test.label(asked.chosen[query]) == split.label(row);
    let whole = |rows: &mut dyn Searched, queries: &[f32], width: usize, bytes: usize| -> Result<Whole> {
        let begun = Instant::now();
        let near = rows.nearest(queries, width, count, args.k, &look)?;
        let seconds = begun.elapsed().as_secs_f64();
        let right = near.iter().enumerate().map(|(query, near)| {
            near.iter().filter(|one| same(query, one.row)).count() as f64 / near.len() as f64
        });
        Ok(Whole {
            precision: right.sum::<f64>() / queried as f64,
            bytes_per_image: bytes,
            queries_per_second: queried as f64 / seconds,
        })
    };
    let features = whole(&mut gallery.file, &queries, width, 4 * width)?;
    // A byte is enough for a pixel.
    let mut rows = PixelRows { look: &look, split: &split, stop };
    let by_pixels = whole(&mut rows, &asked.views, pixels, pixels)?;
    print(&line(&gallery.layer, &features, chance, args.k));
    print(&line("pixels", &by_pixels, chance, args.k));
    let mut found = Vec::new();
    for &bits in &args.bits {
        for of in ["features", "pixels"] {
            let (code, codes, asked_codes) = match of {
                "features" => {
                    learned(&mut gallery.file, count, width, &queries, bits, args, &look, stop, of)?
                }
                _ => learned(&mut rows, count, pixels, &asked.views, bits, args, &look, stop, of)?,
            };
            let begun = Instant::now();
            let near = codes.nearest(&asked_codes, args.k);
            let seconds = begun.elapsed().as_secs_f64();
            let precision = codes.precision(&asked_codes, args.k, &same);
            let code = OfCode {
                precision: precision.iter().sum::<f64>() / queried as f64,
                bytes_per_image: codes.bytes(),
                queries_per_second: queried as f64 / seconds,
                ..code
            };
            print(&format!(
                "{bits} bits of {of}: {:.1} % of {} neighbours are of the same class, {} bytes an image, {:.0} queries/s",
                100.0 * code.precision,
                args.k,
                code.bytes_per_image,
                code.queries_per_second
            ));
            if of == "features" {
                let rows: Vec<Vec<usize>> =
                    near.iter().map(|near| near.iter().map(|one| one.row).collect()).collect();
                draw(&look, &gallery, &asked, &rows, &format!("codes-{bits}.png"))?;
            }
            found.push(code);
        }
    }
    let layer = gallery.layer.clone();
    let findings = Findings {
        layer,
        images: count,
        queries: queried,
        k: args.k,
        chance,
        features,
        pixels: by_pixels,
        codes: found,
    };
    look.write("codes.json", &findings)
}

fn line(what: &str, whole: &Whole, chance: f64, k: usize) -> String {
    format!(
        "{what}: {:.1} % of {k} neighbours are of the same class ({:.1} % by chance), {} bytes an image, {:.0} queries/s",
        100.0 * whole.precision,
        100.0 * chance,
        whole.bytes_per_image,
        whole.queries_per_second
    )
}

/// Rows of either kind.
trait Searched {
    fn nearest(
        &mut self,
        queries: &[f32],
        width: usize,
        count: usize,
        k: usize,
        look: &Look,
    ) -> Result<Vec<Vec<Neighbour>>>;
}

impl<R: Rows<Error: Into<anyhow::Error>>> Searched for R {
    fn nearest(
        &mut self,
        queries: &[f32],
        width: usize,
        count: usize,
        k: usize,
        look: &Look,
    ) -> Result<Vec<Vec<Neighbour>>> {
        alexnet_analysis::nearest(queries, width, self, count, k, &look.device).map_err(Into::into)
    }
}

/// Trains an auto-encoder on rows; the codes of all and of the queries.
#[allow(clippy::too_many_arguments)] // what it learns from, and how
fn learned<R: Rows<Error: Into<anyhow::Error>>>(
    rows: &mut R,
    count: usize,
    width: usize,
    queries: &[f32],
    bits: usize,
    args: &CodesArgs,
    look: &Look,
    stop: &AtomicBool,
    of: &'static str,
) -> Result<(OfCode, Codes, Codes)> {
    let config =
        CodeConfig { bits, hidden: args.hidden, epochs: args.epochs, noise: args.noise, seed: args.seed };
    let mut last = 0.0;
    let mut heard = |epoch: usize, loss: f64| {
        last = loss;
        eprintln!("{bits} bits of {of}: pass {epoch} of {}, error {loss:.3} of the variance", args.epochs);
        !stop.load(Ordering::SeqCst)
    };
    let encoder = AutoEncoder::train(rows, count, width, config, &look.device, &mut heard);
    let encoder = encoder.map_err(Into::into)?;
    check_stop(stop)?;
    let codes = encoder.encode_all(rows, count).map_err(Into::into)?;
    let code = OfCode { of, bits, precision: 0.0, bytes_per_image: 0, queries_per_second: 0.0, loss: last };
    Ok((code, codes, encoder.encode(queries)))
}

/// A few queries with what is near them.
pub(super) fn draw(
    look: &Look,
    gallery: &Gallery,
    asked: &Asked,
    near: &[Vec<usize>],
    name: &str,
) -> Result<()> {
    const SHOWN: usize = 5;
    let [channels, side] = look.input();
    let (pixels, columns) = (channels * side * side, near.first().map_or(0, Vec::len) + 1);
    let mut sheet = Sheet::new(columns, near.len().min(SHOWN), side.max(TILE));
    for (number, near) in near.iter().take(SHOWN).enumerate() {
        let picture = look.how().shown(&asked.views[number * pixels..(number + 1) * pixels]);
        let class = gallery.class(asked.test.label(asked.chosen[number]));
        sheet.tile(number * columns, &picture, channels, side, &class);
        for (place, &row) in near.iter().enumerate() {
            let picture = look.how().shown(&look.views(&gallery.split, &[row])?);
            let class = gallery.class(gallery.split.label(row));
            sheet.tile(number * columns + place + 1, &picture, channels, side, &class);
        }
    }
    let path = look.out.join(name);
    sheet.save(&path).with_context(|| format!("cannot write {}", path.display()))?;
    print(&path.display().to_string());
    Ok(())
}

/// `experiments bench codes`.
pub(crate) fn bench(args: &BenchCodesArgs) -> Result<()> {
    let mut found = Vec::new();
    for &bits in &args.bits {
        // Any codes will do: all are compared whatever they are.
        let sign = |at: usize| if (at.wrapping_mul(2_654_435_761) >> 13) & 1 == 0 { 1.0 } else { -1.0 };
        let codes_of = |count: usize, salt: usize| {
            let mut codes = Codes::new(bits);
            for start in (0..count).step_by(4096) {
                let rows = start..(start + 4096).min(count);
                let row: Vec<f32> =
                    (rows.start * bits..rows.end * bits).map(|at| sign(at * at + salt)).collect();
                codes.extend(&row);
            }
            codes
        };
        let (codes, queries) = (codes_of(args.rows, 0), codes_of(args.queries, 99));
        let mut seconds: Vec<f64> = (0..5)
            .map(|_| {
                let begun = Instant::now();
                let near = codes.nearest(&queries, args.k);
                assert_eq!(near.len(), args.queries);
                begun.elapsed().as_secs_f64()
            })
            .collect();
        seconds.sort_by(f64::total_cmp);
        let seconds = seconds[seconds.len() / 2];
        // How fast the same threads only add up as many bytes, which lie in memory as codes do.
        let memory: Vec<u64> = (0..args.rows * codes.bytes() / 8).map(|at| at as u64).collect();
        let mut rates: Vec<f64> = (0..5)
            .map(|_| {
                let begun = Instant::now();
                let part = memory.len().div_ceil(rayon::current_num_threads()).max(1);
                let sums = memory.par_chunks(part).map(|part| part.iter().fold(0u64, |sum, x| sum ^ x));
                std::hint::black_box(sums.reduce(|| 0, |a, b| a ^ b));
                (8 * memory.len()) as f64 / begun.elapsed().as_secs_f64()
            })
            .collect();
        rates.sort_by(f64::total_cmp);
        let (compared, memory) = ((args.rows * codes.bytes() * args.queries) as f64 / seconds, rates[2]);
        found.push(serde_json::json!({
            "bits": bits, "rows": args.rows, "queries": args.queries, "seconds": seconds,
            "queries_per_second": args.queries as f64 / seconds,
            "bytes_per_second": compared, "memory_bytes_per_second": memory, "share": compared / memory,
        }));
        if args.format == Format::Text {
            print(&format!(
                "{} of {} codes of {bits} bits: {:.0} queries/s, {:.1} GB/s compared, {:.2} times as fast as memory is read ({:.1} GB/s)",
                args.k,
                args.rows,
                args.queries as f64 / seconds,
                compared / 1e9,
                compared / memory,
                memory / 1e9
            ));
        }
    }
    if args.format == Format::Json {
        print(&serde_json::to_string_pretty(&found)?);
    }
    Ok(())
}
