//! The location in an image of the evidence for a class.

use std::sync::atomic::AtomicBool;

use alexnet_model::Mode;
use anyhow::{Context, Result, bail};
use burn::tensor::{Int, Tensor, TensorData};
use serde::Serialize;

use super::{Inspector, TILE, check_stop, largest, photograph};
use crate::args::{EvidenceArgs, OcclusionArgs};
use crate::batch::{BATCH, batch};
use crate::contact_sheet::Canvas;
use crate::output::print;

/// The location of the evidence for a class in one image.
#[derive(Debug, Serialize)]
struct Evidence {
    image: String,
    class: usize,
    label: String,
    /// The probability of the class for the unchanged image.
    probability: f32,
    /// The map `[rows, columns]`. For occlusion, the probability with the square there. For saliency, the
    /// largest magnitude of the gradient over the channels.
    map: Vec<Vec<f32>>,
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

/// `experiments analyze occlusion` (Zeiler & Fergus 2013, §4.2).
pub(crate) fn occlusion(args: &OcclusionArgs, stop: &AtomicBool) -> Result<()> {
    let look = Inspector::open(&args.evidence.look)?;
    let [channels, side] = look.input();
    let square = args.square.unwrap_or((side / 5).max(1));
    let stride = args.stride.unwrap_or((square / 4).max(1));
    if square > side {
        bail!("a square of {square} pixels covers the input of {side} whole; give a smaller `--square`");
    }
    let mut found = Vec::new();
    for path in &args.evidence.images {
        let view = photograph(&look, path)?;
        let probabilities = look.probabilities(view.clone())?;
        let (class, label) = class_of(&look, &args.evidence, &probabilities)?;
        let places: Vec<usize> = (0..=side - square).step_by(stride).collect();
        let corners: Vec<(usize, usize)> =
            places.iter().flat_map(|&top| places.iter().map(move |&left| (top, left))).collect();
        let mut map = Vec::with_capacity(corners.len());
        for corners in corners.chunks(BATCH) {
            check_stop(stop)?;
            let inputs = corners.iter().flat_map(|&(top, left)| {
                let mut view = view.clone();
                for channel in 0..channels {
                    for y in top..top + square {
                        // 0 is the mean, which is grey: an input without content.
                        view[(channel * side + y) * side + left..][..square].fill(0.0);
                    }
                }
                view
            });
            let all = look.probabilities(inputs.collect())?;
            map.extend(all.chunks_exact(look.loaded.network.classes).map(|all| all[class]));
        }
        let map: Vec<Vec<f32>> = map.chunks_exact(places.len()).map(<[f32]>::to_vec).collect();
        // The loss of probability at a pixel: the mean over the squares that cover it.
        let loss = |y: usize, x: usize| {
            let covers = |place: &usize, at: usize| (*place..place + square).contains(&at);
            let mut lost = (0.0, 0);
            for (row, _) in places.iter().enumerate().filter(|(_, place)| covers(place, y)) {
                for (column, _) in places.iter().enumerate().filter(|(_, place)| covers(place, x)) {
                    lost = (lost.0 + (probabilities[class] - map[row][column]).max(0.0), lost.1 + 1);
                }
            }
            if lost.1 == 0 { 0.0 } else { lost.0 / lost.1 as f32 }
        };
        let heat: Vec<f32> = (0..side * side).map(|at| loss(at / side, at % side)).collect();
        let name = format!("occlusion-{}.png", found.len());
        look.draw(&name, &overlay(&look, &view, &heat, &label))?;
        let image = path.display().to_string();
        found.push(Evidence { image, class, label, probability: probabilities[class], map });
    }
    say(&found);
    look.write("occlusion.json", &found)
}

/// `experiments analyze saliency` (Simonyan, Vedaldi & Zisserman 2013, §3).
pub(crate) fn saliency(args: &EvidenceArgs) -> Result<()> {
    let look = Inspector::open(&args.look)?;
    let [channels, side] = look.input();
    let device = look.device.clone().autodiff();
    let model = look.loaded.model(&device)?;
    let mut found = Vec::new();
    for path in &args.images {
        let view = photograph(&look, path)?;
        let probabilities = look.probabilities(view.clone())?;
        let (class, label) = class_of(&look, args, &probabilities)?;
        let input = batch(view.clone(), [1, channels, side], &device).require_grad();
        let logits = model.forward(input.clone(), Mode::Evaluation);
        let index = Tensor::<2, Int>::from_data(TensorData::new(vec![class as i64], [1, 1]), &device);
        let gradients = logits.gather(1, index).sum().backward();
        let gradient = input.grad(&gradients).context("the network's answer does not depend on its input")?;
        let gradient: Vec<f32> = gradient.into_data().convert::<f32>().try_to_vec().expect("an f32 tensor");
        let heat: Vec<f32> = (0..side * side)
            .map(|at| (0..channels).map(|c| gradient[c * side * side + at].abs()).fold(0.0, f32::max))
            .collect();
        let name = format!("saliency-{}.png", found.len());
        look.draw(&name, &overlay(&look, &view, &heat, &label))?;
        let map = heat.chunks_exact(side).map(<[f32]>::to_vec).collect();
        let image = path.display().to_string();
        found.push(Evidence { image, class, label, probability: probabilities[class], map });
    }
    say(&found);
    look.write("saliency.json", &found)
}

fn say(found: &[Evidence]) {
    for Evidence { image, label, probability, .. } in found {
        print(&format!("{image}: {label}, {:.1} %", 100.0 * probability));
    }
}

/// Draws the image, the heat map alone, and the heat map in red on the image.
fn overlay(look: &Inspector, view: &[f32], heat: &[f32], label: &str) -> Canvas {
    const GAP: usize = 6;
    let [channels, side] = look.input();
    let times = TILE.div_ceil(side);
    let wide = side * times;
    let shown = look.preprocessing().shown(view);
    // The hottest hundredth is fully red, so that a single pixel does not dim the others.
    let mut sorted = heat.to_vec();
    sorted.sort_by(f32::total_cmp);
    let most = sorted[(sorted.len() - 1) * 99 / 100].max(f32::MIN_POSITIVE);
    let level = |at: usize| (heat[at] / most).min(1.0);
    let area = side * side;
    let alone: Vec<u8> = (0..area).map(|at| (255.0 * level(at)) as u8).collect();
    let colour = |at: usize| {
        let (channel, place) = (at / area, at % area);
        let pixel = f32::from(shown[channel.min(channels - 1) * area + place]);
        let red = if channel == 0 { 255.0 } else { 0.0 };
        // The image is grey and paler under the heat map.
        let share = 0.75 * level(place);
        (pixel * 0.6 * (1.0 - share) + red * share) as u8
    };
    let over: Vec<u8> = (0..3 * area).map(colour).collect();
    let mut canvas = Canvas::new(3 * (wide + GAP) + GAP, wide + 2 * GAP + 16);
    for (number, (picture, channels)) in [(&shown, channels), (&alone, 1), (&over, 3)].into_iter().enumerate()
    {
        canvas.picture([GAP + number * (wide + GAP), GAP], picture, channels, side, times);
    }
    canvas.text([GAP, GAP + wide + 1], label, 3 * wide);
    canvas
}
