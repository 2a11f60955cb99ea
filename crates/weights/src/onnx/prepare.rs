//! The preparation of images as the first nodes of a graph.

use alexnet_data::{Preprocessing, Resize};

use super::graph::{Builder, int, ints, text};

/// Scales images with an antialiased bilinear filter, cuts the centre, subtracts the mean and multiplies by the gain.
pub(super) fn prepare(graph: &mut Builder, images: &str, how: &Preprocessing) -> String {
    let (channels, crop) = (how.gain.len(), how.crop);
    let (side, policy) = match how.resize {
        Resize::ShorterSide(side) => (side, "not_smaller"),
        Resize::Square(side) => (side, "stretch"),
    };
    let sizes = graph.numbers("prepare.sizes", &[side as i64; 2]);
    let scaled = graph.node(
        "prepare.scaled",
        "Resize",
        &[images, "", "", &sizes],
        vec![
            int("antialias", 1),
            ints("axes", &[2, 3]),
            text("coordinate_transformation_mode", "half_pixel"),
            text("keep_aspect_ratio_policy", policy),
            text("mode", "linear"),
        ],
    );
    let shape = graph.numbers("prepare.crop", &[crop as i64; 2]);
    let cut = graph.node("prepare.cut", "CenterCropPad", &[&scaled, &shape], vec![ints("axes", &[2, 3])]);
    let extents: &[usize] =
        if how.mean.len() == channels { &[1, channels, 1, 1] } else { &[1, channels, crop, crop] };
    let mean = graph.floats("prepare.mean", extents, &how.mean);
    let centred = graph.node("prepare.centred", "Sub", &[&cut, &mean], Vec::new());
    let gain = graph.floats("prepare.gain", &[1, channels, 1, 1], &how.gain);
    graph.node("prepared", "Mul", &[&centred, &gain], Vec::new())
}
