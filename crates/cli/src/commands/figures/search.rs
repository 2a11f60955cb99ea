//! Figures of images that are near in feature space, and of their codes.

use std::sync::atomic::Ordering;

use alexnet_analysis::{AutoEncoder, CodeConfig, Table, nearest};
use alexnet_data::Split;
use alexnet_report::{Anchor, FIGURE_COLOURS, Figure};
use anyhow::Result;

use super::{Drawn, Studio};
use crate::batch::{BATCH, values};
use crate::commands::analyze::features::layer;
use crate::commands::analyze::{check_stop, shuffled};

const QUERIES: usize = 4;
const NEIGHBOURS: usize = 6;

/// The most images that are searched: features of all images of a large data set would not fit into memory.
const SEARCHED: usize = 20_000;

/// Features of training images and of some test images.
pub(super) struct Gallery {
    layer: String,
    queries: Vec<usize>,
    asked: Vec<f32>,
    /// The images that are searched, and their features.
    searched: Vec<usize>,
    features: Vec<f32>,
}

impl Gallery {
    fn table(&self) -> Table {
        Table { values: self.features.clone(), width: self.asked.len() / self.queries.len().max(1) }
    }
}

/// Returns the gallery, whose features are computed once; none if all images are shown.
fn gallery<'a>(studio: &'a Studio) -> Result<Option<(&'a Gallery, &'a Split)>> {
    let Some(train) = &studio.train else { return Ok(None) };
    if let Some(found) = studio.gallery.get() {
        return Ok(Some((found, train)));
    }
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
    let searched: Vec<usize> = shuffled(train.len(), 0).into_iter().take(SEARCHED).collect();
    let features = features(train, &searched)?;
    Ok(Some((studio.gallery.get_or_init(|| Gallery { layer, queries, asked, searched, features }), train)))
}

/// Why there is nothing to search.
const ALONE: &str = "the images have no training split, and the shown ones are among them";

/// Draws a row of images: a query and its neighbours.
fn row(
    studio: &Studio,
    train: &Split,
    figure: &mut Figure,
    top: f64,
    wide: f64,
    query: usize,
    near: &[usize],
) -> Result<()> {
    let inner = wide - 10.0;
    figure.picture([0.0, top], [inner, inner], &studio.picture(&studio.view(query)?))?;
    figure.label([inner / 2.0, top + inner + 12.0], Anchor::Middle, wide, studio.class(query));
    for (place, &image) in near.iter().enumerate() {
        let left = 24.0 + (place + 1) as f64 * wide;
        let view = studio.look.views(train, &[image])?;
        figure.picture([left, top], [inner, inner], &studio.picture(&view))?;
        let (class, right) = (train.label(image), studio.test.label(query));
        let colour = if class == right { "black" } else { "#b34700" };
        let name = &studio.names[studio.outputs[class]];
        figure.coloured_label([left + inner / 2.0, top + inner + 12.0], Anchor::Middle, colour, wide, name);
    }
    Ok(())
}

/// Draws test images with the nearest training images (Krizhevsky et al. 2012, figure 4, right).
pub(super) fn retrieval(studio: &Studio) -> Result<Drawn> {
    let Some((found, train)) = gallery(studio)? else { return Ok(Drawn::LeftOut(ALONE)) };
    let Gallery { layer, queries, asked, searched, .. } = found;
    let (mut table, count) = (found.table(), searched.len());
    let width = table.width;
    let near = nearest(asked, width, &mut table, count, NEIGHBOURS.min(count), &studio.look.device)?;
    let mut figure = Figure::new("Images that the network finds alike");
    let wide = (Figure::width() - 24.0) / (NEIGHBOURS + 1) as f64;
    for (number, (&query, near)) in queries.iter().zip(&near).enumerate() {
        let rows: Vec<usize> = near.iter().map(|one| searched[one.row]).collect();
        row(studio, train, &mut figure, number as f64 * (wide + 24.0), wide, query, &rows)?;
    }
    let figure = figure.finish(&format!(
        "Krizhevsky et al. 2012, figure 4, right. First column: {} images. Others: of {count} training images the {NEIGHBOURS} \
         whose {layer} is nearest (Euclidean distance). Orange names: another class.",
        studio.split
    ));
    Ok(figure.into())
}

/// Draws test images with their binary codes, and the training images with the most similar codes.
pub(super) fn codes(studio: &Studio) -> Result<Drawn> {
    const BITS: usize = 28;
    let Some((found, train)) = gallery(studio)? else { return Ok(Drawn::LeftOut(ALONE)) };
    let Gallery { layer, queries, asked, searched, .. } = found;
    let (mut table, count) = (found.table(), searched.len());
    let config = CodeConfig { bits: BITS, hidden: 128, epochs: 5, noise: 4.0, seed: studio.args.seed };
    let width = table.width;
    let mut heard = |_, _| !studio.stop.load(Ordering::SeqCst);
    let Ok(encoder) = AutoEncoder::train(&mut table, count, width, config, &studio.look.device, &mut heard);
    check_stop(studio.stop)?;
    let Ok(all) = encoder.encode_all(&mut table, count);
    let asked = encoder.encode(asked);
    let near = all.nearest(&asked, NEIGHBOURS.min(count));
    let mut figure = Figure::new(&format!("Images by codes of {BITS} bits"));
    let wide = (Figure::width() - 24.0) / (NEIGHBOURS + 1) as f64;
    let bit = (Figure::width() - 24.0) / BITS as f64;
    for (number, (&query, near)) in queries.iter().zip(&near).enumerate() {
        let top = number as f64 * (wide + 44.0);
        for (place, set) in asked.code(number).into_iter().enumerate() {
            let colour = if set { FIGURE_COLOURS[0] } else { "#dfe3e7" };
            figure.fill([place as f64 * bit, top], [bit - 3.0, 10.0], colour);
        }
        let rows: Vec<usize> = near.iter().map(|one| searched[one.row]).collect();
        row(studio, train, &mut figure, top + 16.0, wide, query, &rows)?;
    }
    let figure = figure.finish(&format!(
        "The auto-encoder that Krizhevsky et al. 2012 propose in §6.1: {layer} as {BITS} bits (the stripe; blue is 1). Below each stripe \
         its image, and of {count} training images the {NEIGHBOURS} whose codes differ in the fewest bits. Orange names: another class.",
    ));
    Ok(figure.into())
}
