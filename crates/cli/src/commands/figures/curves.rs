//! Figures of trainings, whose curves are in the repository.

use std::collections::BTreeMap;
use std::path::Path;

use alexnet_analysis::kernels::{self, Range, Tower};
use alexnet_report::{Anchor, Curve, Figure, FinishedFigure, Picture};
use alexnet_weights::Weights;
use anyhow::{Context, Result};
use serde::Deserialize;

use crate::trained;

/// Curves of some trainings, as `experiments/weights/make.py` writes them.
#[derive(Debug, Deserialize)]
struct Trainings {
    title: String,
    caption: String,
    across: String,
    up: String,
    threshold: Option<f64>,
    curves: Vec<Drawn>,
}

#[derive(Debug, Deserialize)]
struct Drawn {
    name: String,
    #[serde(default)]
    dashed: bool,
    points: Vec<(f64, f64)>,
}

/// Draws the curves of this name, if they are in the repository.
pub(super) fn figure(name: &str) -> Result<Option<FinishedFigure>> {
    let Some(path) = trained::beside("curves.json") else { return Ok(None) };
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut all: BTreeMap<String, Trainings> =
        serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
    let Some(found) = all.remove(name) else { return Ok(None) };
    let curves =
        found.curves.into_iter().map(|Drawn { name, dashed, points }| Curve { name, dashed, points });
    let mut figure = Figure::new(&found.title);
    figure.curves(0.0, [&found.across, &found.up], &curves.collect::<Vec<_>>(), found.threshold);
    Ok(Some(figure.finish(&found.caption)))
}

/// Draws the first layer's kernels of `mini` after some epochs, a row for each.
pub(super) fn kernels() -> Result<Option<FinishedFigure>> {
    let Some(path) = trained::beside("kernels/mini.safetensors") else { return Ok(None) };
    Ok(Some(rows(&Weights::read(&path)?)))
}

fn rows(weights: &Weights) -> FinishedFigure {
    const NAME: f64 = 110.0;
    let mut figure = Figure::new("The kernels of conv1 while they learn");
    let largest = weights
        .tensors
        .values()
        .flat_map(|tensor| &tensor.values)
        .fold(0.0f32, |most, it| most.max(it.abs()));
    for (row, (name, tensor)) in weights.tensors.iter().enumerate() {
        let [kernels, channels, side] = [tensor.shape[0], tensor.shape[1], tensor.shape[2]];
        let wide = (Figure::width() - NAME) / kernels as f64;
        let top = row as f64 * (wide + 6.0);
        let epoch =
            name.split('.').next().unwrap_or_default().trim_start_matches("epoch-").trim_start_matches('0');
        let epoch = if epoch.is_empty() { "at the start".to_owned() } else { format!("epoch {epoch}") };
        figure.text([0.0, top + wide / 2.0], Anchor::Start, &epoch);
        for (kernel, values) in tensor.values.chunks_exact(channels * side * side).enumerate() {
            let level = |value: &f32| (127.5 + 127.5 * value / largest.max(f32::MIN_POSITIVE)) as u8;
            let pixels: Vec<u8> = values.iter().map(level).collect();
            let at = [NAME + kernel as f64 * wide, top];
            figure.picture(at, [wide - 6.0, wide - 6.0], &Picture::planar(&pixels, channels, side));
        }
    }
    figure.finish(
        "The network `mini`, seed 0; grey is 0, black and white the largest weight of all rows. The left half belongs to one \
         tower, the right half to the other.",
    )
}

/// Draws the kernels of each tower.
pub(super) fn by_tower(towers: &[Tower], network: &str, path: &Path) -> FinishedFigure {
    let mut figure = Figure::new("The first layer's kernels, tower by tower");
    let (colour, whole) = (kernels::colourfulness(towers), Figure::width());
    let mut top = 0.0;
    for (index, tower) in towers.iter().enumerate() {
        let picture = kernels::picture(std::slice::from_ref(tower), Range::Global, 8);
        let tall = whole * picture.height as f64 / picture.width as f64;
        let share = match tower.channels {
            1 => String::new(),
            _ => format!(": {:.0} % of the energy is colour", 100.0 * colour.means[index]),
        };
        figure.text([0.0, top + 10.0], Anchor::Start, &format!("tower {}{share}", index + 1));
        let shown = Picture { width: picture.width, height: picture.height, pixels: picture.pixels };
        figure.picture([0.0, top + 26.0], [whole, tall], &shown);
        top += tall + 44.0;
    }
    figure.finish(&format!(
        "Krizhevsky et al. 2012, figure 3, for the network `{network}`. Whether the towers differ by more than random halves of their \
         kernels would: `experiments analyze kernels {}`.",
        path.display()
    ))
}
