//! The location in an image of the evidence for a class.

pub(crate) mod grad_cam;
pub(crate) mod occlusion;
pub(crate) mod saliency;

use std::sync::atomic::AtomicBool;

use alexnet_analysis::Heat;
use anyhow::{Result, bail};
use serde::Serialize;

use self::occlusion::Square;
use super::{Inspector, TILE, check_stop, largest, photograph};
use crate::args::{EvidenceArgs, GradCamArgs, OcclusionArgs};
use crate::contact_sheet::Canvas;
use crate::output::print;

/// A network's input and the class to explain.
pub(crate) struct Seen<'a> {
    /// `[channels, side, side]`.
    pub(crate) view: &'a [f32],
    pub(crate) class: usize,
    /// The probability of the class.
    pub(crate) probability: f32,
}

/// The location of the evidence for a class in one image.
#[derive(Debug, Serialize)]
struct Evidence {
    image: String,
    class: usize,
    label: String,
    /// The probability of the class for the unchanged image.
    probability: f32,
    /// The map `[rows, columns]`. For occlusion, the probability with the square there. For saliency, the
    /// largest magnitude of the gradient over the channels. For Grad-CAM, the weighted sum of the feature maps.
    map: Vec<Vec<f32>>,
}

/// `experiments analyze occlusion`.
pub(super) fn occlusion(args: &OcclusionArgs, stop: &AtomicBool) -> Result<()> {
    let look = Inspector::open(&args.evidence.look)?;
    let square = Square { side: args.square, stride: args.stride };
    explain(&look, "occlusion", &args.evidence, stop, |seen| occlusion::heat(&look, seen, square, stop))
}

/// `experiments analyze saliency`.
pub(super) fn saliency(args: &EvidenceArgs, stop: &AtomicBool) -> Result<()> {
    let look = Inspector::open(&args.look)?;
    let model = look.loaded.model(&look.device.clone().autodiff())?;
    explain(&look, "saliency", args, stop, |seen| saliency::heat(&look, &model, seen))
}

/// `experiments analyze grad-cam`.
pub(super) fn grad_cam(args: &GradCamArgs, stop: &AtomicBool) -> Result<()> {
    let look = Inspector::open(&args.evidence.look)?;
    let model = look.loaded.model(&look.device.clone().autodiff())?;
    let layer = args.layer.as_deref();
    explain(&look, "grad-cam", &args.evidence, stop, |seen| grad_cam::heat(&look, &model, seen, layer))
}

/// Draws the evidence in each photograph, and writes it as JSON.
fn explain(
    look: &Inspector,
    method: &str,
    args: &EvidenceArgs,
    stop: &AtomicBool,
    heat: impl Fn(&Seen) -> Result<Heat>,
) -> Result<()> {
    let mut found = Vec::new();
    for path in &args.images {
        check_stop(stop)?;
        let view = photograph(look, path)?;
        let probabilities = look.probabilities(view.clone())?;
        let (class, label) = class_of(look, args, &probabilities)?;
        let seen = Seen { view: &view, class, probability: probabilities[class] };
        let Heat { map, pixels } = heat(&seen)?;
        look.draw(&format!("{method}-{}.png", found.len()), &drawn(look, &view, &pixels, &label))?;
        let image = path.display().to_string();
        found.push(Evidence { image, class, label, probability: probabilities[class], map });
    }
    for Evidence { image, label, probability, .. } in &found {
        print(&format!("{image}: {label}, {:.1} %", 100.0 * probability));
    }
    look.write(&format!("{method}.json"), &found)
}

fn class_of(look: &Inspector, args: &EvidenceArgs, probabilities: &[f32]) -> Result<(usize, String)> {
    let count = look.loaded.network.classes;
    let class = args.class.unwrap_or_else(|| largest(probabilities, 1)[0]);
    if class >= count {
        bail!("there is no class {class}; network `{}` tells {count} apart", look.loaded.network.name);
    }
    let label = look.loaded.labels().swap_remove(class);
    Ok((class, label))
}

/// Draws the image, the heat map alone, and the heat map in red on the image.
fn drawn(look: &Inspector, view: &[f32], heat: &[f32], label: &str) -> Canvas {
    const GAP: usize = 6;
    let [channels, side] = look.input();
    let times = TILE.div_ceil(side);
    let wide = side * times;
    let shown = look.preprocessing().shown(view);
    let alone: Vec<u8> = levels(heat).into_iter().map(|level| (255.0 * level) as u8).collect();
    let over = overlaid(&shown, channels, heat);
    let mut canvas = Canvas::new(3 * (wide + GAP) + GAP, wide + 2 * GAP + 16);
    for (number, (picture, channels)) in [(&shown, channels), (&alone, 1), (&over, 3)].into_iter().enumerate()
    {
        canvas.picture([GAP + number * (wide + GAP), GAP], picture, channels, side, times);
    }
    canvas.text([GAP, GAP + wide + 1], label, 3 * wide);
    canvas
}

/// Scales heat to 0–1. The hottest hundredth is 1, so that a single pixel does not dim the others.
fn levels(heat: &[f32]) -> Vec<f32> {
    let mut sorted = heat.to_vec();
    sorted.sort_by(f32::total_cmp);
    let most = sorted[(sorted.len() - 1) * 99 / 100].max(f32::MIN_POSITIVE);
    heat.iter().map(|heat| (heat / most).min(1.0)).collect()
}

/// Returns an image `[channels, side, side]` with heat in red on it, `[3, side, side]`.
pub(crate) fn overlaid(image: &[u8], channels: usize, heat: &[f32]) -> Vec<u8> {
    let (area, levels) = (heat.len(), levels(heat));
    let colour = |at: usize| {
        let (channel, place) = (at / area, at % area);
        let pixel = f32::from(image[channel.min(channels - 1) * area + place]);
        let red = if channel == 0 { 255.0 } else { 0.0 };
        // The image is paler under the heat.
        let share = 0.75 * levels[place];
        (pixel * 0.6 * (1.0 - share) + red * share) as u8
    };
    (0..3 * area).map(colour).collect()
}
