//! The nearest neighbours by features and by pixels (Krizhevsky et al. 2012, figure 4, right).

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use alexnet_analysis::{Neighbour, Rows, Table};
use anyhow::{Context, Result, bail};
use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;
use serde::Serialize;

use super::features::{Asked, Gallery, PixelRows};
use super::{Inspector, TILE, photographs};
use crate::args::{BenchNearestArgs, Format, NearestArgs};
use crate::batch::BATCH;
use crate::contact_sheet::Sheet;
use crate::machine::backend;
use crate::output::print;

#[derive(Debug, Serialize)]
struct NearestFindings {
    layer: String,
    images: usize,
    queries: usize,
    k: usize,
    /// The fraction of neighbours with the query's class; absent if the queries have no classes.
    precision: Option<Precision>,
    shown: Vec<ShownNeighbours>,
}

#[derive(Debug, Serialize)]
struct Precision {
    features: f64,
    pixels: f64,
    chance: f64,
    /// The mean rank, by pixels, of the nearest neighbours by features: 0 is nearest, 1 farthest. Near 0.5,
    /// they are not similar as pixels. Computed for the drawn queries.
    place_by_pixels: f64,
}

#[derive(Debug, Serialize)]
struct ShownNeighbours {
    query: String,
    neighbours: Vec<(String, f32)>,
}

/// `experiments analyze nearest`.
pub(super) fn nearest(args: &NearestArgs, stop: &AtomicBool) -> Result<()> {
    const SHOWN: usize = 5;
    let look = Inspector::open(&args.look)?;
    let mut gallery = Gallery::open(&look, &args.gallery, None, None, stop)?;
    if gallery.split.len() < args.query.k {
        bail!("{} images are fewer than the {} neighbours asked for", gallery.split.len(), args.query.k);
    }
    let (queries, test) = match args.images.is_empty() {
        false => (photographs(&look, &args.images)?, None),
        true => {
            let asked = gallery.asked(&look, &args.gallery, args.query.queries, args.query.seed)?;
            (asked.views.clone(), Some(asked))
        }
    };
    let [channels, side] = look.input();
    let pixels = channels * side * side;
    let asked = queries.len() / pixels;
    let features = gallery.features(&look, &queries);
    let (width, count) = (gallery.file.width(), gallery.split.len());
    let near =
        alexnet_analysis::nearest(&features, width, &mut gallery.file, count, args.query.k, &look.device)?;
    let (split, layer) = (&gallery.split, &gallery.layer);
    let mut rows = PixelRows { look: &look, split, stop };
    let precision = match &test {
        None => None,
        Some(found) => {
            let Asked { test, chosen, .. } = found;
            let by_pixels = alexnet_analysis::nearest(
                &queries,
                pixels,
                &mut rows,
                split.len(),
                args.query.k,
                &look.device,
            )?;
            let right = |near: &[Vec<Neighbour>]| {
                let of = near.iter().zip(chosen).map(|(near, &query)| {
                    let same = near.iter().filter(|one| split.label(one.row) == test.label(query));
                    same.count() as f64 / near.len() as f64
                });
                of.sum::<f64>() / near.len() as f64
            };
            let shown = asked.min(SHOWN);
            let mut all: Vec<Vec<f32>> = vec![Vec::with_capacity(split.len()); shown];
            for start in (0..split.len()).step_by(BATCH) {
                let block = rows.read(start..(start + BATCH).min(split.len()))?;
                for (all, query) in all.iter_mut().zip(queries.chunks_exact(pixels)) {
                    let distance =
                        |row: &[f32]| row.iter().zip(query).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
                    all.par_extend(block.par_chunks_exact(pixels).map(distance));
                }
            }
            let place = |(all, near): (&Vec<f32>, &Vec<Neighbour>)| -> f64 {
                let of = near.iter().map(|one| {
                    let nearer = all.iter().filter(|distance| **distance < all[one.row]).count();
                    nearer as f64 / (all.len() - 1).max(1) as f64
                });
                of.sum::<f64>() / near.len() as f64
            };
            Some(Precision {
                features: right(&near),
                pixels: right(&by_pixels),
                chance: gallery.chance(found),
                place_by_pixels: all.iter().zip(&near).map(place).sum::<f64>() / shown as f64,
            })
        }
    };
    if let Some(Precision { features, pixels, chance, place_by_pixels }) = &precision {
        print(&format!(
            "of {} neighbours of {asked} test images, {:.1} % are of the same class by {layer}, {:.1} % by pixels, {:.1} % by chance",
            args.query.k,
            100.0 * features,
            100.0 * pixels,
            100.0 * chance
        ));
        print(&format!(
            "by pixels those neighbours come at {:.0} % of the way from the nearest image to the farthest",
            100.0 * place_by_pixels
        ));
    }
    let mut sheet = Sheet::new(args.query.k + 1, asked.min(SHOWN), side.max(TILE));
    let mut shown = Vec::new();
    for (number, near) in near.iter().take(SHOWN).enumerate() {
        let query = match &test {
            Some(Asked { test, chosen, .. }) => test.key(chosen[number])?.into_owned(),
            None => args.images[number].display().to_string(),
        };
        let picture = look.preprocessing().shown(&queries[number * pixels..(number + 1) * pixels]);
        let title = match &test {
            Some(Asked { test, chosen, .. }) => gallery.class(test.label(chosen[number])),
            None => query.rsplit('/').next().unwrap_or_default().to_owned(),
        };
        sheet.tile(number * (args.query.k + 1), &picture, channels, side, &title);
        let mut neighbours = Vec::new();
        for (place, one) in near.iter().enumerate() {
            let picture = look.preprocessing().shown(&look.views(split, &[one.row])?);
            let tile = number * (args.query.k + 1) + place + 1;
            sheet.tile(tile, &picture, channels, side, &gallery.class(split.label(one.row)));
            neighbours.push((split.key(one.row)?.into_owned(), one.distance.sqrt()));
        }
        shown.push(ShownNeighbours { query, neighbours });
    }
    let path = look.path("nearest.png")?;
    sheet.save(&path).with_context(|| format!("cannot write {}", path.display()))?;
    print(&path.display().to_string());
    let layer = layer.clone();
    let findings =
        NearestFindings { layer, images: split.len(), queries: asked, k: args.query.k, precision, shown };
    look.write("nearest.json", &findings)
}

/// `experiments bench nearest`.
pub(crate) fn bench(args: &BenchNearestArgs) -> Result<()> {
    let (width, device) = (args.width, backend(args.machine.backend)?.device()?);
    // Any values will do, because all rows are compared regardless.
    let number = |at: usize| (at.wrapping_mul(2_654_435_761) >> 9 & 0xffff) as f32 / 65_536.0 - 0.5;
    let values = (0..args.rows * width).into_par_iter().map(number).collect();
    let mut table = Table { values, width };
    let queries: Vec<f32> = (0..args.queries * width).into_par_iter().map(|at| number(at + 7)).collect();
    let begun = Instant::now();
    let found = alexnet_analysis::nearest(&queries, width, &mut table, args.rows, args.k, &device)?;
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(found.len(), args.queries);
    // The product of the queries with a square matrix of as many rows: the unavoidable part of the work.
    let square = Tensor::<2>::from_data(
        TensorData::new(table.read(0..width.min(args.rows))?, [width.min(args.rows), width]),
        &device,
    );
    let queries = Tensor::<2>::from_data(TensorData::new(queries, [args.queries, width]), &device);
    let square = square.transpose();
    let mut rates: Vec<f64> = (0..5)
        .map(|_| {
            let begun = Instant::now();
            let _ = queries.clone().matmul(square.clone()).into_data();
            (2 * args.queries * square.dims()[1] * width) as f64 / begun.elapsed().as_secs_f64()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    let product = rates[rates.len() / 2];
    let rate = (2 * args.queries * args.rows * width) as f64 / seconds;
    match args.output.format {
        Format::Json => print(&serde_json::to_string_pretty(&serde_json::json!({
            "seconds": seconds, "queries_per_second": args.queries as f64 / seconds,
            "flops": rate, "matrix_product_flops": product, "share": rate / product,
        }))?),
        Format::Text => print(&format!(
            "{} nearest of {} × {width} for {} queries: {seconds:.2} s, {:.1} GFLOP/s, {:.0} % of a matrix product's {:.1}",
            args.k,
            args.rows,
            args.queries,
            rate / 1e9,
            100.0 * rate / product,
            product / 1e9
        )),
    }
    Ok(())
}
