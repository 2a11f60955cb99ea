//! The gradient of a convolution with respect to the weights.

use crate::threads::*;

use super::buffers::{Buffers, sized, with_buffers};
use super::geometry::Geometry;
use super::images::Images;
use super::tiling::Tile;
use crate::flex::product::{COLUMNS, Panel, panels, product};
use crate::flex::transpose::to_lines;

/// The largest number of partial sums of a weight gradient.
const PARTIAL_SUMS: usize = 16;

/// The gradient with respect to the weights.
pub(super) fn weight_gradient(input: &[f32], gradient: Images<'_>, shape: &Geometry) -> Vec<f32> {
    let (correlation, taps) = (shape.forward(), shape.taps());
    if input.is_empty() || gradient.is_empty() {
        return vec![0.0; shape.filters * taps];
    }
    let tiling = correlation.tiling(shape.batch);
    let images = shape.batch.div_ceil(PARTIAL_SUMS).next_multiple_of(tiling.images);
    let image_in = shape.channels * shape.input[0] * shape.input[1];
    let map = shape.output[0] * shape.output[1];
    let image_out = shape.filters * map;
    // The layout of a sum is `[group][panel][tap][filter]`.
    let panels: Vec<Panel> = panels(correlation.planes).collect();
    let size: usize = shape.groups * panels.iter().map(|panel| taps * panel.width).sum::<usize>();
    let add_tile = |sums: &mut [f32], input: &[f32], gradient: &[f32], tile: Tile, buffers: &mut Buffers| {
        let window = sized(&mut buffers.window, tiling.size(correlation.sources));
        let count = tile.rows * shape.output[1];
        let mut rest = sums;
        for group in 0..shape.groups {
            correlation.lay_out(input, group, tile, &tiling, window);
            for panel in &panels {
                let lines = sized(&mut buffers.sums, tile.images * count * panel.width);
                for (image, lines) in lines.chunks_exact_mut(count * panel.width).enumerate() {
                    let filter = image * shape.filters + group * correlation.planes + panel.first;
                    let from = filter * map + tile.first * shape.output[1];
                    if panel.count < panel.width {
                        lines.fill(0.0);
                    }
                    to_lines(&gradient[from..], [panel.count, map], lines, panel.width);
                }
                let sums;
                (sums, rest) = rest.split_at_mut(taps * panel.width);
                let pixels = tiling.pixels.first(tile.images * count);
                product(window, tiling.taps.all(), pixels, (lines, panel.width), sums, true, COLUMNS);
            }
        }
    };
    let partial_sum = |part: usize| {
        let mut sums = vec![0.0; size];
        let end = ((part + 1) * images).min(shape.batch);
        for first in (part * images..end).step_by(tiling.images) {
            let together = first..(first + tiling.images).min(end);
            let input = &input[first * image_in..together.end * image_in];
            gradient.with(together.clone(), [shape.batch, image_out], |gradient| {
                with_buffers(|buffers| {
                    for tile in correlation.tiles(&tiling, together.len()) {
                        add_tile(&mut sums, input, gradient, tile, buffers);
                    }
                });
            });
        }
        sums
    };
    let parts = (0..shape.batch.div_ceil(images)).into_par_iter();
    let sums: Vec<Vec<f32>> = parts.map(partial_sum).collect();
    let mut sums = sums.into_iter();
    let mut total = sums.next().unwrap_or_default();
    let rest: Vec<Vec<f32>> = sums.collect();
    const SPAN: usize = 1 << 12;
    total.par_chunks_mut(SPAN).enumerate().for_each(|(span, total)| {
        for sum in &rest {
            for (total, sum) in total.iter_mut().zip(&sum[span * SPAN..]) {
                *total += sum;
            }
        }
    });
    let mut weights = vec![0.0; shape.filters * taps];
    let group = size / shape.groups;
    weights.par_chunks_mut(taps).enumerate().for_each(|(filter, weights)| {
        let (in_group, filter) = (filter / correlation.planes * group, filter % correlation.planes);
        // All panels before a filter's panel are full.
        if let Some(panel) = panels.iter().rfind(|panel| panel.first <= filter) {
            let sums = &total[in_group + panel.first * taps..][..taps * panel.width];
            for (weight, sums) in weights.iter_mut().zip(sums.chunks_exact(panel.width)) {
                *weight = sums[filter - panel.first];
            }
        }
    });
    weights
}
