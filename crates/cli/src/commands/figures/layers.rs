//! Figures of what layers do: kernels, feature maps, local response normalization and pooling.

use std::path::Path;

use alexnet_analysis::kernels::{self, Range, Tower};
use alexnet_model::Stage;
use alexnet_ops::Pool;
use alexnet_report::{Anchor, FIGURE_COLOURS, Figure, FigureError, FinishedFigure, Picture};
use anyhow::Result;

use super::{Drawn, Studio, inspector};
use crate::batch::values;
use crate::first_layer::towers;
use crate::trained;

/// The maps of one layer for one image: `[maps, side, side]`.
struct Maps {
    side: usize,
    values: Vec<f32>,
}

impl Maps {
    fn count(&self) -> usize {
        self.values.len() / (self.side * self.side)
    }

    fn map(&self, index: usize) -> &[f32] {
        &self.values[index * self.side * self.side..(index + 1) * self.side * self.side]
    }

    fn largest(&self, index: usize) -> f32 {
        self.map(index).iter().copied().fold(0.0, f32::max)
    }
}

/// A stage of a layer with the maps of its towers that enter and leave it.
struct Around {
    layer: String,
    stage: Stage,
    before: Maps,
    after: Maps,
}

/// Returns what the first stage that is `wanted` does to an image, if there is one.
fn around(studio: &Studio, view: &[f32], wanted: fn(&Stage) -> bool) -> Option<Around> {
    let layers = studio.look.loaded.network.conv.iter();
    let mut places =
        layers.flat_map(|layer| layer.stages.iter().enumerate().map(move |(at, stage)| (layer, at, stage)));
    let (layer, place, stage) = places.find(|(.., stage)| wanted(stage))?;
    let empty = || Maps { side: 1, values: Vec::new() };
    let mut around = Around { layer: layer.name.clone(), stage: *stage, before: empty(), after: empty() };
    studio.look.observe(view, &mut |at, maps| {
        let into = match at.passed.checked_sub(place) {
            Some(0) if at.layer == layer.name => &mut around.before,
            Some(1) if at.layer == layer.name => &mut around.after,
            _ => return maps,
        };
        into.side = maps.dims()[3];
        into.values.extend(values(maps.clone()));
        maps
    });
    Some(around)
}

/// Draws the first layer's kernels: of `cifar10`, whose images have colour, in place of those of `mini`.
pub(super) fn kernels(studio: &Studio) -> Result<Drawn> {
    let (asked, colour) = (studio.args.weights.as_path(), Path::new("cifar10"));
    let weights = if asked == Path::new("mini") && trained::find(colour).is_some() { colour } else { asked };
    let look = inspector(studio.args, weights)?;
    match towers(&look.loaded.network, &look.model) {
        Ok(towers) => Ok(by_tower(&towers, &look.loaded.network.name, weights)?.into()),
        Err(_) => Ok(Drawn::LeftOut("the network's first layer has no kernels")),
    }
}

/// Draws some maps before and after local response normalization, and one place of all maps.
pub(super) fn lrn(studio: &Studio) -> Result<Drawn> {
    const SHOWN: usize = 8;
    let image = studio.chosen(1, 11)[0];
    let view = studio.view(image)?;
    let found = around(studio, &view, |stage| matches!(stage, Stage::Lrn(_)));
    let Some(Around { layer, stage: Stage::Lrn(config), before: maps, after }) = found else {
        return Ok(Drawn::LeftOut("the network has no local response normalization over maps"));
    };
    let area = maps.side * maps.side;
    // The gain of small activities.
    let gain = config.k.powf(-config.beta) as f32;
    let scaled = |map: usize, place: usize| after.values[map * area + place] / gain;
    let mut order: Vec<usize> = (0..maps.count()).collect();
    order.sort_by(|a, b| maps.largest(*b).total_cmp(&maps.largest(*a)));
    let most = maps.largest(order[0]);
    let mut chosen: Vec<usize> = order.into_iter().take(SHOWN).collect();
    chosen.sort_unstable();
    let (name, wide) = (130.0, (Figure::width() - 130.0) / SHOWN as f64);
    let mut figure = Figure::new("What local response normalization does");
    for (row, title) in ["before", "after", "lost"].into_iter().enumerate() {
        let top = 24.0 + row as f64 * (wide + 4.0);
        figure.text([0.0, top + wide / 2.0], Anchor::Start, title);
        for (column, &map) in chosen.iter().enumerate() {
            let all: Vec<f32> = (0..area)
                .map(|place| match row {
                    0 => maps.map(map)[place],
                    1 => scaled(map, place),
                    _ => maps.map(map)[place] - scaled(map, place),
                })
                .collect();
            let at = [name + column as f64 * wide, top];
            figure.picture(at, [wide - 6.0, wide - 6.0], &Picture::grey(&all, maps.side, most))?;
            if row == 0 {
                figure.text([at[0] + wide / 2.0 - 3.0, 6.0], Anchor::Middle, &format!("map {}", map + 1));
            }
        }
    }
    // The place with the largest sum of activities, across all maps.
    let sum = |place: usize| (0..maps.count()).map(|map| maps.values[map * area + place]).sum::<f32>();
    let place = (0..area).max_by(|a, b| sum(*a).total_cmp(&sum(*b))).unwrap_or(0);
    let (base, tall) = (24.0 + 3.0 * (wide + 4.0) + 150.0, 120.0);
    let bar = (Figure::width() - name) / maps.count() as f64;
    let highest =
        (0..maps.count()).map(|map| maps.values[map * area + place]).fold(f32::MIN_POSITIVE, f32::max);
    figure.text([0.0, base - tall / 2.0], Anchor::Start, "one place");
    for map in 0..maps.count() {
        let left = name + map as f64 * bar;
        if maps.count() <= 32 {
            figure.plain_text([left + (bar - 3.0) / 2.0, base + 14.0], &(map + 1).to_string());
        }
        for (value, colour) in
            [(maps.values[map * area + place], "#c9ced4"), (scaled(map, place), FIGURE_COLOURS[0])]
        {
            let height = tall * f64::from(value / highest).max(0.0);
            figure.fill([left, base - height], [(bar - 3.0).max(1.0), height], colour);
        }
    }
    figure.fill([name, base], [Figure::width() - name, 1.5], "#5b6168");
    let figure = figure.finish(&format!(
        "{layer} of the network {} for an image of class {}: the {} strongest maps, before and after normalization over {} \
         neighbouring maps (without the constant factor, {gain:.2}), and what it takes away, all on one scale. Below: all {} maps at the \
         place of most activity; grey before, blue after. Strong neighbours inhibit each other.",
        studio.look.loaded.network.name,
        studio.class(image),
        chosen.len(),
        config.size,
        maps.count(),
    ));
    Ok(figure.into())
}

/// Draws pooling by windows that overlap and by windows that do not.
pub(super) fn pooling(studio: &Studio) -> Result<Drawn> {
    let image = studio.chosen(1, 11)[0];
    let view = studio.view(image)?;
    let found = around(studio, &view, |stage| matches!(stage, Stage::MaxPool(_)));
    let Some(Around { layer, before: maps, .. }) = found else {
        return Ok(Drawn::LeftOut("the network has no max pooling"));
    };
    let strongest =
        (0..maps.count()).max_by(|a, b| maps.largest(*a).total_cmp(&maps.largest(*b))).unwrap_or(0);
    let (map, side, most) = (maps.map(strongest), maps.side, maps.largest(strongest));
    let mut figure = Figure::new("Pooling with and without overlap");
    let wide = 280.0;
    let pixel = wide / side as f64;
    for (column, (size, title)) in
        [(3, "windows of 3, stride 2: they overlap"), (2, "windows of 2, stride 2")].into_iter().enumerate()
    {
        let left = column as f64 * 470.0;
        let pool = Pool { size, stride: 2, padding: 0, rounding: alexnet_ops::Rounding::Ceil };
        let out = pool.output_side(side).unwrap_or(1);
        figure.text([left, 8.0], Anchor::Start, title);
        figure.picture([left, 28.0], [wide, wide], &Picture::grey(map, side, most))?;
        let pooled: Vec<f32> = (0..out * out)
            .map(|at| {
                let (top, left) = (at / out * 2, at % out * 2);
                let rows = top..(top + size).min(side);
                let all = rows.flat_map(|y| (left..(left + size).min(side)).map(move |x| (y, x)));
                all.map(|(y, x)| map[y * side + x]).fold(f32::MIN, f32::max)
            })
            .collect();
        let small = out as f64 * pixel;
        figure.picture([left + wide + 20.0, 28.0], [small, small], &Picture::grey(&pooled, out, most))?;
        // Two windows, and the pixels that they give.
        for (window, colour) in [1, 2].into_iter().zip(["#e69f00", "#56b4e9"]) {
            let at = [left + 2.0 * window as f64 * pixel, 28.0 + 2.0 * pixel];
            figure.frame(at, [size as f64 * pixel, size as f64 * pixel], colour);
            let at = [left + wide + 20.0 + window as f64 * pixel, 28.0 + pixel];
            figure.frame(at, [pixel, pixel], colour);
        }
    }
    let figure = figure.finish(&format!(
        "Krizhevsky et al. 2012, §3.4: a map of {layer}, {side} × {side}, and its largest values in windows that move by two pixels. Two \
         windows are framed, and the values that they give.{}",
        if side % 2 == 0 { " With this side, windows of 3 hang over the edge at the end, and windows of 2 do not." } else { "" }
    ));
    Ok(figure.into())
}

/// Draws some maps of each convolutional layer.
pub(super) fn maps(studio: &Studio) -> Result<Drawn> {
    const SHOWN: usize = 12;
    let image = studio.chosen(1, 11)[0];
    let view = studio.view(image)?;
    let mut layers: Vec<(String, Maps)> = Vec::new();
    studio.look.observe(&view, &mut |at, maps| {
        if at.next.is_none() {
            let (side, numbers) = (maps.dims()[3], values(maps.clone()));
            match layers.last_mut() {
                Some((name, all)) if name == at.layer => all.values.extend(numbers),
                _ => layers.push((at.layer.to_owned(), Maps { side, values: numbers })),
            }
        }
        maps
    });
    if layers.is_empty() {
        return Ok(Drawn::LeftOut("the network has no convolutional layers"));
    }
    let mut figure = Figure::new("An image on its way through the network");
    let (name, wide) = (150.0, (Figure::width() - 150.0) / SHOWN as f64);
    figure.picture([0.0, 0.0], [126.0, 126.0], &studio.picture(&view))?;
    figure.text([150.0, 63.0], Anchor::Start, &format!("an image of class {}", studio.class(image)));
    let mut top = 142.0;
    for (layer, maps) in &layers {
        figure.text([0.0, top + wide / 2.0 - 10.0], Anchor::Start, layer);
        figure.text(
            [0.0, top + wide / 2.0 + 10.0],
            Anchor::Start,
            &format!("{} maps, {1} × {1}", maps.count(), maps.side),
        );
        let most = (0..maps.count()).map(|map| maps.largest(map)).fold(0.0, f32::max);
        let shown = SHOWN.min(maps.count());
        for number in 0..shown {
            let map = maps.map(number * maps.count() / shown);
            let at = [name + number as f64 * wide, top];
            figure.picture(at, [wide - 6.0, wide - 6.0], &Picture::grey(map, maps.side, most))?;
            figure.frame(at, [wide - 6.0, wide - 6.0], "#5b6168");
        }
        top += wide + 2.0;
    }
    let figure = figure.finish(
        "Some feature maps of each convolutional layer after its stages, evenly spaced over the towers: black is 0, white the layer's \
         largest value.",
    );
    Ok(figure.into())
}

/// Draws the kernels of each tower.
fn by_tower(towers: &[Tower], network: &str, path: &Path) -> Result<FinishedFigure, FigureError> {
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
        figure.text([0.0, top + 10.0], Anchor::Start, &format!("tower {index}{share}"));
        let shown = Picture { width: picture.width, height: picture.height, pixels: picture.pixels };
        figure.picture([0.0, top + 26.0], [whole, tall], &shown)?;
        top += tall + 44.0;
    }
    let chance = match colour.difference {
        Some(_) if towers[0].channels > 1 => {
            let p = kernels::by_chance(&colour).p;
            format!(" Random halves of these kernels differ in colour as much with a probability of {p:.2}.")
        }
        _ => String::new(),
    };
    Ok(figure.finish(&format!(
        "Krizhevsky et al. 2012, figure 3, for the network {network} ({}).{chance}",
        path.display()
    )))
}
