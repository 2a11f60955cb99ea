//! The feature maps of an image, layer by layer, and dead units.

use std::sync::atomic::AtomicBool;

use alexnet_model::Activation;
use anyhow::{Result, bail};
use serde::Serialize;

use super::{Inspector, check_stop, photograph, shuffled};
use crate::args::MapsArgs;
use crate::batch::{BATCH, values};
use crate::contact_sheet::Canvas;
use crate::data_sets::{find_data, manifest, open_split};
use crate::output::print;

/// The maximum number of maps drawn per layer, and the number of columns.
const DRAWN: usize = 64;
const COLUMNS: usize = 16;
/// The default number of images on which units are tested for activity.
const WATCHED: usize = 1000;

/// The number and size of the maps that are drawn.
#[derive(Clone, Copy)]
struct Extent {
    /// The maximum number per layer.
    maps: usize,
    /// The side of a map's pixel, if it is requested.
    zoom: Option<usize>,
}

/// The largest picture, in pixels.
const LARGEST: usize = 1 << 27;

/// The output of a layer, after its stages.
struct Layer {
    name: String,
    /// The number of maps, or of units.
    maps: usize,
    /// The side of a map, in pixels; 1 for a unit.
    side: usize,
}

#[derive(Debug, Serialize)]
struct Findings {
    image: String,
    /// The number of images on which units were tested; 0 for no test.
    images: usize,
    layers: Vec<OfLayer>,
}

#[derive(Debug, Serialize)]
struct OfLayer {
    layer: String,
    maps: usize,
    side: usize,
    /// The fraction of the outputs above 0, for the drawn image.
    active: f64,
    /// The maps or units that were not above 0 anywhere on any image; absent without a test.
    dead: Option<Vec<usize>>,
}

/// `experiments analyze maps`.
pub(super) fn maps(args: &MapsArgs, stop: &AtomicBool) -> Result<()> {
    let look = Inspector::open(&args.look)?;
    let network = &look.loaded.network;
    let trace = network.trace()?;
    let layers: Vec<Layer> = trace
        .layers
        .iter()
        .enumerate()
        .map(|(at, layer)| Layer {
            name: layer.name.clone(),
            maps: layer.towers * layer.outputs,
            side: match at < network.conv.len() {
                true => layer.stages.last().map_or(layer.side, |stage| stage.side),
                false => 1,
            },
        })
        .collect();
    let view = photograph(&look, &args.image)?;
    let outputs: Vec<Vec<f32>> = layers
        .iter()
        .map(|layer| values(look.model.features(look.tensor(view.clone()), &layer.name)))
        .collect();
    let chosen: Vec<usize> = match &args.layer {
        None => (0..layers.len()).collect(),
        Some(name) => match layers.iter().position(|layer| layer.name == *name) {
            Some(at) => vec![at],
            None => {
                let names: Vec<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
                bail!("network `{}` has no layer `{name}`; it has {}", network.name, names.join(", "))
            }
        },
    };
    let drawn_layers: Vec<(&Layer, &[f32])> =
        chosen.iter().map(|&at| (&layers[at], outputs[at].as_slice())).collect();
    look.draw("maps.png", &drawn(&look, &view, &drawn_layers, Extent::of(args))?)?;
    // The logits are excluded, because a logit below 0 is also an answer.
    let hidden = layers.len().saturating_sub(1);
    let mut awake: Vec<Vec<bool>> = layers[..hidden].iter().map(|layer| vec![false; layer.maps]).collect();
    let mut watched = 0;
    // Units are watched on the images that are asked for; those of the training only if they are here.
    let set = look.loaded.data_set_or(args.data.data.as_deref(), args.data.set.as_deref());
    let asked = args.data.data.is_some() || args.data.set.is_some();
    let here = |set| manifest(set).is_ok_and(|set| set.held_out.is_none() && find_data(&set).is_some());
    let data = asked || set.is_some_and(here);
    if !data && args.images.is_some() {
        bail!("give the images to watch units on with `--data` or `--set`");
    }
    if data {
        let (split, ..) = open_split(args.data.data.as_deref(), set, false)?;
        let chosen: Vec<usize> =
            shuffled(split.len(), 0).into_iter().take(args.images.unwrap_or(WATCHED)).collect();
        watched = chosen.len();
        for images in chosen.chunks(BATCH) {
            check_stop(stop)?;
            let inputs = look.tensor(look.views(&split, images)?);
            for (layer, awake) in layers.iter().zip(&mut awake) {
                let area = layer.side * layer.side;
                let found = values(look.model.features(inputs.clone(), &layer.name));
                for (at, map) in found.chunks_exact(area).enumerate() {
                    awake[at % layer.maps] |= map.iter().any(|value| *value > 0.0);
                }
            }
        }
    }
    let found = layers.iter().zip(&outputs).enumerate().map(|(at, (layer, output))| OfLayer {
        layer: layer.name.clone(),
        maps: layer.maps,
        side: layer.side,
        active: output.iter().filter(|value| **value > 0.0).count() as f64 / output.len().max(1) as f64,
        dead: (watched > 0 && at < hidden).then(|| (0..layer.maps).filter(|&map| !awake[at][map]).collect()),
    });
    let layers: Vec<OfLayer> = found.collect();
    for OfLayer { layer, maps, side, active, dead } in &layers {
        let dead = match dead {
            Some(dead) => format!(", {} dead: never above 0 on {watched} images", dead.len()),
            None => String::new(),
        };
        let what = if *side == 1 { "units".to_owned() } else { format!("maps of {side} × {side}") };
        print(&format!("{layer}: {maps} {what}, {:.1} % above 0 here{dead}", 100.0 * active));
    }
    if network.activation != Activation::Relu {
        print("units that are no rectifiers are hardly ever dead");
    }
    let image = args.image.display().to_string();
    look.write("maps.json", &Findings { image, images: watched, layers })
}

/// Draws the image, then each layer's maps, from black for 0 to white for the layer's largest value.
fn drawn(look: &Inspector, view: &[f32], layers: &[(&Layer, &[f32])], extent: Extent) -> Result<Canvas> {
    const GAP: usize = 3;
    const TITLE: usize = 18;
    const WIDE: usize = 40;
    let [channels, side] = look.input();
    let times = |side: usize| extent.zoom.unwrap_or((WIDE / side.max(1)).max(1));
    let rows = |layer: &Layer| layer.maps.min(extent.maps).div_ceil(COLUMNS);
    let cell = |layer: &Layer| match layer.side {
        1 => extent.zoom.unwrap_or(12),
        side => side * times(side),
    };
    let first = side * (128 / side).max(1);
    let widest =
        layers.iter().map(|(layer, _)| COLUMNS * (cell(layer) + GAP)).max().unwrap_or(0).max(first) + GAP;
    let height = |layer: &Layer| TITLE + rows(layer) * (cell(layer) + GAP) + GAP;
    let tall = 2 * GAP + first + layers.iter().map(|(layer, _)| height(layer)).sum::<usize>();
    if widest.saturating_mul(tall) > LARGEST {
        bail!("a picture of {widest} × {tall} pixels is too large; give a smaller `--zoom`");
    }
    let mut canvas = Canvas::new(widest, tall);
    canvas.picture([GAP, GAP], &look.preprocessing().shown(view), channels, side, (128 / side).max(1));
    let mut top = 2 * GAP + first;
    for (layer, output) in layers {
        let area = layer.side * layer.side;
        let shown = layer.maps.min(extent.maps);
        let what = match layer.side {
            1 => "units".to_owned(),
            side => format!("maps of {side} × {side}"),
        };
        let title = format!("{}: {shown} of {} {what}", layer.name, layer.maps);
        canvas.text([GAP, top + 2], &title, widest - GAP);
        let largest = output.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        // The towers' maps follow one another, so the same number of each is drawn.
        for number in 0..shown {
            let map = number * layer.maps / shown;
            let level = |value: &f32| (255.0 * (value / largest).clamp(0.0, 1.0)) as u8;
            let picture: Vec<u8> = output[map * area..(map + 1) * area].iter().map(level).collect();
            let place = [
                GAP + number % COLUMNS * (cell(layer) + GAP),
                top + TITLE + number / COLUMNS * (cell(layer) + GAP),
            ];
            canvas.picture(place, &picture, 1, layer.side, cell(layer) / layer.side);
        }
        top += height(layer);
    }
    Ok(canvas)
}

impl Extent {
    fn of(args: &MapsArgs) -> Self {
        Self { maps: if args.all { usize::MAX } else { DRAWN }, zoom: args.zoom }
    }
}
