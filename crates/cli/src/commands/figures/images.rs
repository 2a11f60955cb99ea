//! Figures of images with the network's answers, and of the ten views.

use alexnet_report::{Anchor, FIGURE_COLOURS, Figure, FinishedFigure, Picture};
use anyhow::Result;

use super::Studio;
use crate::commands::analyze::largest;

/// Draws four images with five bars each (Krizhevsky et al. 2012, figure 4, left). At least one is a mistake, if there is one
/// among those looked through.
pub(super) fn predictions(studio: &Studio) -> Result<FinishedFigure> {
    const SHOWN: usize = 4;
    const SEARCHED: usize = 400;
    let (mut right, mut wrong) = (Vec::new(), Vec::new());
    for image in studio.chosen(SEARCHED, 1) {
        let all = studio.look.probabilities(studio.view(image)?)?;
        let truth = studio.outputs[studio.test.label(image)];
        if largest(&all, 1)[0] == truth { &mut right } else { &mut wrong }.push((image, all));
        if right.len() >= SHOWN && !wrong.is_empty() {
            break;
        }
    }
    wrong.truncate(1);
    right.truncate(SHOWN - wrong.len());
    let (recognized, mistakes) = (right.len(), wrong.len());
    let mut figure = Figure::new("Images with the five most probable classes");
    let wide = Figure::width() / SHOWN as f64;
    for (column, (image, all)) in right.into_iter().chain(wrong).enumerate() {
        let (left, truth) = (column as f64 * wide, studio.outputs[studio.test.label(image)]);
        let inner = wide - 20.0;
        figure.picture([left, 0.0], [inner, inner], &studio.picture(&studio.view(image)?))?;
        figure.label([left + inner / 2.0, inner + 16.0], Anchor::Middle, inner, studio.class(image));
        for (row, class) in largest(&all, 5).into_iter().enumerate() {
            let top = inner + 34.0 + 26.0 * row as f64;
            let colour = if class == truth { "#9fc9e6" } else { "#f2c19c" };
            figure.fill([left, top], [inner, 22.0], "#f1f3f5");
            figure.fill([left, top], [inner * f64::from(all[class]), 22.0], colour);
            figure.label([left + 6.0, top + 11.0], Anchor::Start, inner - 70.0, &studio.names[class]);
            figure.text(
                [left + inner - 4.0, top + 11.0],
                Anchor::End,
                &format!("{:.0} %", 100.0 * all[class]),
            );
        }
    }
    Ok(figure.finish(&format!(
        "Krizhevsky et al. 2012, figure 4, left, for the network {}: of the {}, at random {recognized} that the network recognizes and \
         {mistakes} that it does not, with their class below. Blue: the right class.",
        studio.look.loaded.network.name,
        studio.split,
    )))
}

/// Draws the ten views of an image in the paper's proportions.
pub(super) fn views(studio: &Studio) -> Result<FinishedFigure> {
    let image = studio.chosen(1, 12)[0];
    let view = studio.view(image)?;
    let whole = studio.picture(&view);
    let side = whole.width;
    // 224 of 256 pixels, in whole pixels of this image.
    let crop = (side * 224 + 128) / 256;
    let room = side - crop;
    let corners = [[0, 0], [room, 0], [0, room], [room, room], [room / 2, room / 2]];
    let names = ["top left", "top right", "bottom left", "bottom right", "centre"];
    let mut figure = Figure::new("Ten views of an image");
    let wide = 280.0;
    let pixel = wide / side as f64;
    figure.picture([0.0, 36.0], [wide, wide], &whole)?;
    for (at, colour) in corners.iter().zip(FIGURE_COLOURS.iter().cycle()) {
        let place = [at[0] as f64 * pixel, 36.0 + at[1] as f64 * pixel];
        figure.frame(place, [crop as f64 * pixel, crop as f64 * pixel], colour);
    }
    let small = (Figure::width() - wide - 40.0) / 5.0;
    for (column, ([x, y], name)) in corners.into_iter().zip(names).enumerate() {
        let left = wide + 40.0 + column as f64 * small;
        let colour = FIGURE_COLOURS[column % FIGURE_COLOURS.len()];
        let cut = |mirrored: bool| {
            let pixels = (0..crop * crop).flat_map(|at| {
                let column = if mirrored { crop - 1 - at % crop } else { at % crop };
                let from = ((y + at / crop) * side + x + column) * 3;
                whole.pixels[from..from + 3].to_vec()
            });
            Picture { width: crop, height: crop, pixels: pixels.collect() }
        };
        figure.label([left + small / 2.0 - 5.0, 20.0], Anchor::Middle, small + 6.0, name);
        for (row, mirrored) in [false, true].into_iter().enumerate() {
            let top = 36.0 + row as f64 * (small + 26.0);
            figure.picture([left, top], [small - 10.0, small - 10.0], &cut(mirrored))?;
            figure.frame([left, top], [small - 10.0, small - 10.0], colour);
        }
    }
    figure.text([wide + 40.0, 36.0 + 2.0 * small + 40.0], Anchor::Start, "second row: mirrored");
    Ok(figure.finish(&format!(
        "Krizhevsky et al. 2012, §4.1: four corners and the centre, each also mirrored; the ten answers are averaged. Drawn in the \
         paper's proportions, 224 of 256 pixels, on an image of {side} pixels.",
    )))
}
