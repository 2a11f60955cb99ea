//! Figures of trainings, whose curves are in the repository.

use std::collections::BTreeMap;

use alexnet_report::{Anchor, Curve, Figure, FigureError, FinishedFigure, Picture};
use alexnet_weights::Weights;
use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::Drawn;
use crate::trained;

/// Why a figure is left out whose data lie beside the weights.
const ABSENT: &str = "the repository's experiments/weights is not here";

/// Curves of some trainings, as `experiments/weights/make.py` writes them.
#[derive(Debug, Deserialize)]
struct Trainings {
    title: String,
    caption: String,
    across: String,
    up: String,
    threshold: Option<f64>,
    curves: Vec<Line>,
}

#[derive(Debug, Deserialize)]
struct Line {
    name: String,
    #[serde(default)]
    dashed: bool,
    points: Vec<(f64, f64)>,
}

/// Draws the curves of this name, if they are in the repository.
pub(super) fn figure(name: &str) -> Result<Drawn> {
    let Some(path) = trained::beside("curves.json") else { return Ok(Drawn::LeftOut(ABSENT)) };
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut all: BTreeMap<String, Trainings> =
        serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
    let Some(found) = all.remove(name) else { return Ok(Drawn::LeftOut("its runs have not been made")) };
    let curves = found.curves.into_iter().map(|Line { name, dashed, points }| Curve { name, dashed, points });
    let mut figure = Figure::new(&found.title);
    figure.curves(0.0, [&found.across, &found.up], &curves.collect::<Vec<_>>(), found.threshold);
    Ok(figure.finish(&found.caption).into())
}

/// Draws the first layer's kernels of `mini` after some epochs, a row for each.
pub(super) fn kernels() -> Result<Drawn> {
    let Some(path) = trained::beside("kernels/mini.safetensors") else { return Ok(Drawn::LeftOut(ABSENT)) };
    let weights = Weights::read(&path)?;
    let wrong = |shape: &[usize]| !matches!(shape, [kernels, 1 | 3, high, wide] if high == wide && *kernels > 0 && *high > 0);
    if weights.tensors.values().any(|tensor| wrong(&tensor.shape)) {
        bail!("{}: these are no kernels of grey or coloured images", path.display());
    }
    Ok(rows(&weights)?.into())
}

fn rows(weights: &Weights) -> Result<FinishedFigure, FigureError> {
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
            figure.picture(at, [wide - 6.0, wide - 6.0], &Picture::planar(&pixels, channels, side))?;
        }
    }
    Ok(figure.finish(
        "The network mini, seed 0; grey is 0, black and white the largest weight of all rows. The left half belongs to one \
         tower, the right half to the other.",
    ))
}
