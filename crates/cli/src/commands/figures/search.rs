//! Figures of images that are near in feature space, and of their codes.

use alexnet_analysis::{AutoEncoder, CodeConfig, Table, nearest};
use alexnet_data::Split;
use alexnet_report::{Anchor, Figure, FinishedFigure};
use anyhow::Result;

use super::Studio;
use crate::batch::{BATCH, values};
use crate::commands::analyze::check_stop;
use crate::commands::analyze::features::layer;

const QUERIES: usize = 5;
const NEIGHBOURS: usize = 6;

/// Features of training images and of some test images.
struct Gallery {
    layer: String,
    queries: Vec<usize>,
    asked: Vec<f32>,
    table: Table,
    count: usize,
}

fn gallery(studio: &Studio) -> Result<Gallery> {
    let layer = layer(&studio.look, None, None)?;
    let features = |split: &Split, images: &[usize]| -> Result<Vec<f32>> {
        let mut all = Vec::new();
        for images in images.chunks(BATCH) {
            check_stop(studio.stop)?;
            let views = studio.look.views(split, images)?;
            all.extend(values(studio.look.model.features(studio.look.tensor(views), &layer)));
        }
        Ok(all)
    };
    let queries = studio.chosen(QUERIES, 4);
    let asked = features(&studio.test, &queries)?;
    let all: Vec<usize> = (0..studio.train.len()).collect();
    let found = features(&studio.train, &all)?;
    let table = Table { values: found, width: asked.len() / queries.len().max(1) };
    Ok(Gallery { layer, queries, asked, table, count: all.len() })
}

/// Draws a row of images: a query and its neighbours.
fn row(
    studio: &Studio,
    figure: &mut Figure,
    top: f64,
    wide: f64,
    query: usize,
    near: &[usize],
) -> Result<()> {
    let inner = wide - 10.0;
    figure.picture([0.0, top], [inner, inner], &studio.picture(&studio.view(query)?));
    figure.label([inner / 2.0, top + inner + 12.0], Anchor::Middle, wide, studio.class(query));
    for (place, &image) in near.iter().enumerate() {
        let left = 24.0 + (place + 1) as f64 * wide;
        let view = studio.look.views(&studio.train, &[image])?;
        figure.picture([left, top], [inner, inner], &studio.picture(&view));
        let (class, right) = (studio.train.label(image), studio.test.label(query));
        let colour = if class == right { "black" } else { "#b34700" };
        let name = &studio.names[studio.outputs[class]];
        figure.coloured_label([left + inner / 2.0, top + inner + 12.0], Anchor::Middle, colour, wide, name);
    }
    Ok(())
}

/// Draws test images with the nearest training images (Krizhevsky et al. 2012, figure 4, right).
pub(super) fn retrieval(studio: &Studio) -> Result<FinishedFigure> {
    let Gallery { layer, queries, asked, mut table, count } = gallery(studio)?;
    let width = table.width;
    let near = nearest(&asked, width, &mut table, count, NEIGHBOURS.min(count), &studio.look.device)?;
    let mut figure = Figure::new("Images that the network finds alike");
    let wide = (Figure::width() - 24.0) / (NEIGHBOURS + 1) as f64;
    for (number, (&query, near)) in queries.iter().zip(&near).enumerate() {
        let rows: Vec<usize> = near.iter().map(|one| one.row).collect();
        row(studio, &mut figure, number as f64 * (wide + 24.0), wide, query, &rows)?;
    }
    Ok(figure.finish(&format!(
        "Krizhevsky et al. 2012, figure 4, right. First column: test images. Others: of {count} training images the {NEIGHBOURS} \
         whose {layer} is nearest (Euclidean distance). Orange names: another class.",
    )))
}

/// Draws test images with their binary codes, and the training images with the most similar codes.
pub(super) fn codes(studio: &Studio) -> Result<FinishedFigure> {
    const BITS: usize = 28;
    let Gallery { layer, queries, asked, mut table, count } = gallery(studio)?;
    let config = CodeConfig { bits: BITS, hidden: 128, epochs: 5, noise: 4.0, seed: studio.args.seed };
    let width = table.width;
    let mut heard = |_, _| !studio.stop.load(std::sync::atomic::Ordering::SeqCst);
    let Ok(encoder) = AutoEncoder::train(&mut table, count, width, config, &studio.look.device, &mut heard);
    check_stop(studio.stop)?;
    let Ok(all) = encoder.encode_all(&mut table, count);
    let asked = encoder.encode(&asked);
    let near = all.nearest(&asked, NEIGHBOURS.min(count));
    let mut figure = Figure::new(&format!("Images by codes of {BITS} bits"));
    let wide = (Figure::width() - 24.0) / (NEIGHBOURS + 1) as f64;
    let bit = (Figure::width() - 24.0) / BITS as f64;
    for (number, (&query, near)) in queries.iter().zip(&near).enumerate() {
        let top = number as f64 * (wide + 44.0);
        for (place, set) in asked.code(number).into_iter().enumerate() {
            let colour = if set { "#0072b2" } else { "#dfe3e7" };
            figure.fill([place as f64 * bit, top], [bit - 3.0, 10.0], colour);
        }
        let rows: Vec<usize> = near.iter().map(|one| one.row).collect();
        row(studio, &mut figure, top + 16.0, wide, query, &rows)?;
    }
    let precision = all.precision(&asked, NEIGHBOURS, &|query, row| {
        studio.test.label(queries[query]) == studio.train.label(row)
    });
    let share = 100.0 * precision.iter().sum::<f64>() / precision.len().max(1) as f64;
    Ok(figure.finish(&format!(
        "The auto-encoder that Krizhevsky et al. 2012 propose in §6.1: {layer} as {BITS} bits (the stripe; blue is 1). Below each \
         stripe its test image and training images whose codes differ in the fewest bits; among equally near ones {share:.0} % \
         have the query's class. Orange names: another class.",
    )))
}
