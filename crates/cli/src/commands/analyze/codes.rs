//! Short binary codes of features, and their cost (Krizhevsky et al. 2012, §6.1; Krizhevsky & Hinton 2011).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use alexnet_analysis::{AutoEncoder, CodeConfig, Codes, Rows};
use alexnet_data::Split;
use anyhow::{Context, Result, bail};
use rayon::prelude::*;
use serde::Serialize;

use super::features::{Asked, Gallery, PixelRows};
use super::{Inspector, TILE, check_stop};
use crate::args::{BenchCodesArgs, CodesArgs, Format};
use crate::contact_sheet::Sheet;
use crate::output::{note, print};

#[derive(Debug, Serialize)]
struct Findings {
    layer: String,
    images: usize,
    queries: usize,
    k: usize,
    /// The expected fraction of the k nearest images with the query's class, by chance.
    chance: f64,
    /// The search by the features themselves, with its cost.
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
    /// The input: `features` or `pixels`.
    of: &'static str,
    bits: usize,
    precision: f64,
    bytes_per_image: usize,
    queries_per_second: f64,
    /// The auto-encoder's mean squared error per number in its last pass, in variances.
    loss: f64,
}

/// The queries and the images to search.
struct Search<'a> {
    look: &'a Inspector,
    args: &'a CodesArgs,
    /// The images to search.
    split: &'a Split,
    asked: &'a Asked,
    stop: &'a AtomicBool,
}

/// `experiments analyze codes`.
pub(super) fn codes(args: &CodesArgs, stop: &AtomicBool) -> Result<()> {
    let look = Inspector::open(&args.look)?;
    let mut gallery = Gallery::open(&look, &args.gallery, None, None, stop)?;
    let (split, width) = (gallery.split.clone(), gallery.file.width());
    if split.len() < args.query.k {
        bail!("{} images are fewer than the {} neighbours asked for", split.len(), args.query.k);
    }
    let asked = gallery.asked(&look, &args.gallery, args.query.queries, args.query.seed)?;
    let queries = gallery.features(&look, &asked.views);
    let chance = gallery.chance(&asked);
    let [channels, side] = look.input();
    let pixels = channels * side * side;
    let search = Search { look: &look, args, split: &split, asked: &asked, stop };
    let mut rows = PixelRows { look: &look, split: &split, stop };
    let features = search.whole(&mut gallery.file, &queries, width, 4 * width)?;
    // A pixel needs one byte.
    let by_pixels = search.whole(&mut rows, &asked.views, pixels, pixels)?;
    for (what, whole) in [(gallery.layer.as_str(), &features), ("pixels", &by_pixels)] {
        print(&format!(
            "{what}: {:.1} % of {} neighbours are of the same class ({:.1} % by chance), {} bytes an image, {:.0} queries/s",
            100.0 * whole.precision,
            args.query.k,
            100.0 * chance,
            whole.bytes_per_image,
            whole.queries_per_second
        ));
    }
    let mut found = Vec::new();
    for &bits in &args.bits {
        let (code, near) = search.coded("features", &mut gallery.file, &queries, width, bits)?;
        draw(&look, &gallery, &asked, &near, &format!("codes-{bits}.png"))?;
        found.push(code);
        found.push(search.coded("pixels", &mut rows, &asked.views, pixels, bits)?.0);
    }
    let layer = gallery.layer.clone();
    let (images, queries, k) = (split.len(), asked.chosen.len(), args.query.k);
    let findings = Findings { layer, images, queries, k, chance, features, pixels: by_pixels, codes: found };
    look.write("codes.json", &findings)
}

impl Search<'_> {
    /// Returns whether an image has a query's class.
    fn same(&self, query: usize, row: usize) -> bool {
        self.asked.test.label(self.asked.chosen[query]) == self.split.label(row)
    }

    /// Searches by the rows themselves.
    fn whole<R: Rows<Error: Into<anyhow::Error>>>(
        &self,
        rows: &mut R,
        queries: &[f32],
        width: usize,
        bytes: usize,
    ) -> Result<Whole> {
        let (count, begun) = (self.split.len(), Instant::now());
        let near =
            alexnet_analysis::nearest(queries, width, rows, count, self.args.query.k, &self.look.device);
        let (near, seconds) = (near.map_err(Into::into)?, begun.elapsed().as_secs_f64());
        let right = near.iter().enumerate().map(|(query, near)| {
            near.iter().filter(|one| self.same(query, one.row)).count() as f64 / near.len() as f64
        });
        Ok(Whole {
            precision: right.sum::<f64>() / near.len() as f64,
            bytes_per_image: bytes,
            queries_per_second: near.len() as f64 / seconds,
        })
    }

    /// Learns codes of rows. Returns their precision and cost, and the nearest images of each query.
    fn coded<R: Rows<Error: Into<anyhow::Error>>>(
        &self,
        of: &'static str,
        rows: &mut R,
        queries: &[f32],
        width: usize,
        bits: usize,
    ) -> Result<(OfCode, Vec<Vec<usize>>)> {
        let Self { look, args, stop, .. } = self;
        let CodesArgs { hidden, epochs, noise, query, .. } = **args;
        let (seed, k) = (query.seed, query.k);
        let config = CodeConfig { bits, hidden, epochs, noise, seed };
        let mut last = 0.0;
        let mut heard = |epoch: usize, loss: f64| {
            last = loss;
            note(&format!("{bits} bits of {of}: pass {epoch} of {epochs}, error {loss:.3} of the variance"));
            !stop.load(Ordering::SeqCst)
        };
        let count = self.split.len();
        let encoder = AutoEncoder::train(rows, count, width, config, &look.device, &mut heard);
        let encoder = encoder.map_err(Into::into)?;
        check_stop(stop)?;
        let (codes, queries) =
            (encoder.encode_all(rows, count).map_err(Into::into)?, encoder.encode(queries));
        let begun = Instant::now();
        let near = codes.nearest(&queries, k);
        let seconds = begun.elapsed().as_secs_f64();
        let precision = codes.precision(&queries, k, &|query, row| self.same(query, row));
        let code = OfCode {
            of,
            bits,
            precision: precision.iter().sum::<f64>() / queries.len() as f64,
            bytes_per_image: codes.bytes(),
            queries_per_second: queries.len() as f64 / seconds,
            loss: last,
        };
        print(&format!(
            "{bits} bits of {of}: {:.1} % of {k} neighbours are of the same class, {} bytes an image, {:.0} queries/s",
            100.0 * code.precision,
            code.bytes_per_image,
            code.queries_per_second
        ));
        let near = near.iter().map(|near| near.iter().map(|one| one.row).collect());
        Ok((code, near.collect()))
    }
}

/// Draws a few queries with their nearest images.
fn draw(look: &Inspector, gallery: &Gallery, asked: &Asked, near: &[Vec<usize>], name: &str) -> Result<()> {
    const SHOWN: usize = 5;
    let [channels, side] = look.input();
    let (pixels, columns) = (channels * side * side, near.first().map_or(0, Vec::len) + 1);
    let mut sheet = Sheet::new(columns, near.len().min(SHOWN), side.max(TILE));
    for (number, near) in near.iter().take(SHOWN).enumerate() {
        let picture = look.preprocessing().shown(&asked.views[number * pixels..(number + 1) * pixels]);
        let class = gallery.class(asked.test.label(asked.chosen[number]));
        sheet.tile(number * columns, &picture, channels, side, &class);
        for (place, &row) in near.iter().enumerate() {
            let picture = look.preprocessing().shown(&look.views(&gallery.split, &[row])?);
            let class = gallery.class(gallery.split.label(row));
            sheet.tile(number * columns + place + 1, &picture, channels, side, &class);
        }
    }
    let path = look.path(name)?;
    sheet.save(&path).with_context(|| format!("cannot write {}", path.display()))?;
    print(&path.display().to_string());
    Ok(())
}

/// `experiments bench codes`.
pub(crate) fn bench(args: &BenchCodesArgs) -> Result<()> {
    let mut found = Vec::new();
    for &bits in &args.bits {
        // Any codes will do, because all are compared regardless.
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
        // The rate at which the same threads sum as many bytes, stored as codes are.
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
        if args.output.format == Format::Text {
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
    if args.output.format == Format::Json {
        print(&serde_json::to_string_pretty(&found)?);
    }
    Ok(())
}
