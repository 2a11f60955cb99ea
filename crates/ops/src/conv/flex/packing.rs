//! Kernels in the order in which the product reads them.

use crate::threads::*;

use super::correlation::Correlation;
use super::geometry::Geometry;
use crate::flex::product::{Panel, panels};
use crate::flex::transpose::to_lines;

/// The layout of a correlation's kernels in the weights.
pub(super) struct Strides {
    /// The index of the first tap of the first plane and source.
    pub(super) first: usize,
    pub(super) group: usize,
    pub(super) plane: usize,
    pub(super) source: usize,
    pub(super) y: isize,
    pub(super) x: isize,
}

/// Kernels of adjacent planes of a group, interleaved: `[source, y, x][plane]`.
pub(super) struct Packed {
    pub(super) group: usize,
    /// The first of the planes, numbered across all groups.
    pub(super) plane: usize,
    pub(super) panel: Panel,
    pub(super) values: Vec<f32>,
}

impl Correlation {
    /// Packs the kernels in `weight` for the product.
    pub(super) fn pack(&self, weight: &[f32], place: &Strides) -> Vec<Packed> {
        let [tall, wide] = self.kernel;
        let pack = |(group, panel): (usize, Panel)| {
            let mut values = vec![0.0; self.sources * tall * wide * panel.width];
            let first = place.first + group * place.group + panel.first * place.plane;
            for (source, lines) in values.chunks_exact_mut(tall * wide * panel.width).enumerate() {
                let first = first + source * place.source;
                if place.x == 1 && place.y == wide as isize {
                    to_lines(&weight[first..], [panel.count, place.plane], lines, [tall * wide, panel.width]);
                } else if place.x == -1 && place.y == -(wide as isize) {
                    let last = first + 1 - tall * wide;
                    to_lines(&weight[last..], [panel.count, place.plane], lines, [tall * wide, panel.width]);
                    reverse(lines, panel.width);
                } else {
                    self.pack_taps(weight, first, place, &panel, lines);
                }
            }
            Packed { group, plane: group * self.planes + panel.first, panel, values }
        };
        let cut: Vec<(usize, Panel)> =
            (0..self.groups).flat_map(|group| panels(self.planes).map(move |panel| (group, panel))).collect();
        cut.into_par_iter().map(pack).collect()
    }

    /// Packs the kernels of a source whose taps are not adjacent.
    fn pack_taps(&self, weight: &[f32], first: usize, place: &Strides, panel: &Panel, lines: &mut [f32]) {
        let wide = self.kernel[1];
        for (tap, line) in lines.chunks_exact_mut(panel.width).enumerate() {
            let at = first as isize + (tap / wide) as isize * place.y + (tap % wide) as isize * place.x;
            let weight = &weight[at as usize..];
            for (lane, value) in line[..panel.count].iter_mut().enumerate() {
                *value = weight[lane * place.plane];
            }
        }
    }
}

/// Reverses the order of lines.
fn reverse(lines: &mut [f32], width: usize) {
    let (front, back) = lines.split_at_mut(lines.len() / width / 2 * width);
    for (line, other) in front.chunks_exact_mut(width).zip(back.chunks_exact_mut(width).rev()) {
        line.swap_with_slice(other);
    }
}

impl Geometry {
    /// The layout of the weights for the forward pass.
    pub(super) fn forward_strides(&self) -> Strides {
        Strides {
            first: 0,
            group: self.filters / self.groups * self.taps(),
            plane: self.taps(),
            source: self.kernel[0] * self.kernel[1],
            y: self.kernel[1] as isize,
            x: 1,
        }
    }
}
