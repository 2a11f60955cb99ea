//! The gradient of a convolution with respect to the weights.

use crate::threads::*;

use super::buffers::{Buffers, sized, with_buffers};
use super::correlation::Correlation;
use super::geometry::Geometry;
use super::images::Images;
use super::tiling::{PARTIAL_SUMS, Tiling};
use super::winograd::Rows;
use crate::flex::product::{COLUMNS, Panel, panels, product};
use crate::flex::transpose::to_lines;

/// How the products of some images are added up.
enum Method {
    Direct(Direct),
    /// Minimal filtering.
    Rows(Rows),
}

impl Method {
    /// The method for a convolution. It depends only on the shapes.
    fn of(shape: &Geometry) -> Self {
        let correlation = shape.forward();
        match correlation.filtered_rows(shape.method, shape.batch) {
            Some(rows) => Self::Rows(rows),
            None => Self::Direct(Direct {
                correlation,
                panels: panels(correlation.planes).collect(),
                tiling: correlation.tiling(shape.batch),
            }),
        }
    }

    /// Images that are added up together.
    fn images(&self) -> usize {
        match self {
            Self::Direct(direct) => direct.tiling.images,
            Self::Rows(rows) => rows.images,
        }
    }

    /// The number of sums.
    fn size(&self) -> usize {
        match self {
            Self::Direct(direct) => direct.size(),
            Self::Rows(rows) => rows.size(),
        }
    }

    /// Adds the products of some images to the sums.
    fn add(&self, input: &[f32], gradient: &[f32], buffers: &mut Buffers, sums: &mut [f32]) {
        match self {
            Self::Direct(direct) => direct.add(input, gradient, buffers, sums),
            Self::Rows(rows) => rows.add(input, gradient, buffers, sums),
        }
    }

    /// Returns the weights that the sums stand for: `[group][panel][tap][filter]`.
    fn weights(&self, sums: Vec<f32>) -> Vec<f32> {
        match self {
            Self::Direct(_) => sums,
            Self::Rows(rows) => rows.weights(&sums),
        }
    }
}

/// The direct method.
struct Direct {
    correlation: Correlation,
    /// The filters of a group.
    panels: Vec<Panel>,
    tiling: Tiling,
}

impl Direct {
    /// Taps of a kernel.
    fn taps(&self) -> usize {
        self.correlation.sources * self.correlation.kernel[0] * self.correlation.kernel[1]
    }

    /// Elements of the sums, `[group][panel][tap][filter]`.
    fn size(&self) -> usize {
        self.correlation.groups * self.taps() * self.panels.iter().map(|panel| panel.width).sum::<usize>()
    }

    fn add(&self, input: &[f32], gradient: &[f32], buffers: &mut Buffers, sums: &mut [f32]) {
        let Correlation { sources, planes, groups, output: [height, length], .. } = self.correlation;
        let images = input.len() / self.correlation.sizes()[0];
        let window = sized(&mut buffers.window, self.tiling.size(sources));
        for tile in self.correlation.tiles(&self.tiling, images) {
            let count = tile.rows * length;
            let mut rest = &mut *sums;
            for group in 0..groups {
                self.correlation.lay_out(input, group, tile, &self.tiling, window);
                for panel in &self.panels {
                    let lines = sized(&mut buffers.sums, tile.images * count * panel.width);
                    if panel.count < panel.width {
                        lines.fill(0.0);
                    }
                    for (image, lines) in lines.chunks_exact_mut(count * panel.width).enumerate() {
                        let filter = (image * groups + group) * planes + panel.first;
                        let from = &gradient[(filter * height + tile.first) * length..];
                        to_lines(from, [panel.count, height * length], lines, [count, panel.width]);
                    }
                    let sums;
                    (sums, rest) = rest.split_at_mut(self.taps() * panel.width);
                    let pixels = self.tiling.pixels.first(tile.images * count);
                    let taps = self.tiling.taps.all();
                    product(window, taps, pixels, (lines, panel.width), sums, true, COLUMNS);
                }
            }
        }
    }
}

/// The gradient with respect to the weights.
pub(super) fn weight_gradient(input: &[f32], gradient: Images<'_>, shape: &Geometry) -> Vec<f32> {
    let taps = shape.taps();
    if input.is_empty() || gradient.is_empty() {
        return vec![0.0; shape.filters * taps];
    }
    let method = Method::of(shape);
    let total = total(&method, input, gradient, shape);
    let planes = shape.filters / shape.groups;
    let panels: Vec<Panel> = panels(planes).collect();
    let group = total.len() / shape.groups;
    let mut weights = vec![0.0; shape.filters * taps];
    weights.par_chunks_mut(taps).enumerate().for_each(|(filter, weights)| {
        let (in_group, filter) = (filter / planes * group, filter % planes);
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

/// Adds up a batch: `[group][panel][tap][filter]`. The order of the sum depends only on the shapes.
fn total(method: &Method, input: &[f32], gradient: Images<'_>, shape: &Geometry) -> Vec<f32> {
    let together = method.images();
    let images = shape.batch.div_ceil(PARTIAL_SUMS).next_multiple_of(together);
    let [image_in, image_out] = shape.forward().sizes();
    let partial_sum = |part: usize| {
        let mut sums = vec![0.0; method.size()];
        let end = ((part + 1) * images).min(shape.batch);
        for first in (part * images..end).step_by(together) {
            let together = first..(first + together).min(end);
            let input = &input[first * image_in..together.end * image_in];
            gradient.with(together, [shape.batch, image_out], |gradient| {
                with_buffers(|buffers| method.add(input, gradient, buffers, &mut sums));
            });
        }
        method.weights(sums)
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
    total
}
