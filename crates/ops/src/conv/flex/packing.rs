//! Kernels in the order in which the product reads them.

use crate::threads::*;

use super::correlation::Correlation;
use super::geometry::Geometry;
use crate::flex::product::{Panel, panels};

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
            let mut lines = values.chunks_exact_mut(panel.width);
            let first = place.first + group * place.group + panel.first * place.plane;
            for source in 0..self.sources {
                for y in 0..tall {
                    let at = (first + source * place.source) as isize + y as isize * place.y;
                    for (x, line) in (0..wide).zip(&mut lines) {
                        let weight = &weight[(at + x as isize * place.x) as usize..];
                        for (lane, value) in line[..panel.count].iter_mut().enumerate() {
                            *value = weight[lane * place.plane];
                        }
                    }
                }
            }
            Packed { group, plane: group * self.planes + panel.first, panel, values }
        };
        let cut: Vec<(usize, Panel)> =
            (0..self.groups).flat_map(|group| panels(self.planes).map(move |panel| (group, panel))).collect();
        cut.into_par_iter().map(pack).collect()
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
