//! Convolutions of stride 1 with fewer multiplications: Winograd's minimal filtering.
//!
//! A tile of six by six inputs and a kernel are transformed to 36 points ([`transforms`]), where a convolution is a
//! product, point by point; the sum over source planes is a matrix product at each point; and its results are
//! transformed to outputs. Kernels of three taps a side give tiles of four by four outputs with 36 multiplications, not
//! 144; kernels of five taps tiles of two by two with 36, not 100. Where tiles of four outputs would overhang, short ones
//! of three outputs take their place: 13 outputs are 4 + 3 + 3 + 3. The input gradient is such a convolution too. The
//! weight gradient of large layers is filtered along rows only ([`rows`]).
//!
//! The rounding error is up to four times that of the direct method, most of it from the sums at the points. For
//! that reason the partial sums of outputs and input gradients are short.

mod grid;
mod kernels;
mod rows;
mod source;
#[cfg(test)]
mod tests;
mod transforms;

pub(super) use self::grid::Grid;
pub(super) use self::rows::Rows;

use crate::threads::*;

use self::grid::{Band, POINTS};
use self::kernels::{transform_kernels, transform_outputs};
use self::transforms::KernelSide;
use super::buffers::{Buffers, sized, with_buffers};
use super::correlation::Correlation;
use super::packing::Packed;
use super::store::{Finish, Planes};
use super::tiling::Tile;
use crate::config::ConvMethod;
use crate::flex::MANY_IMAGES;
use crate::flex::product::product;

/// The most terms of a partial sum at a point. Longer ones would exceed four times the direct method's error.
const TERMS: usize = 28;

/// With fewer source planes or output planes in a group the transformations cost more than the multiplications that they
/// save.
const PLANES: usize = 32;

impl Grid {
    /// Transforms the kernels of each panel.
    pub(super) fn kernels(&self, packed: Vec<Packed>) -> Vec<Packed> {
        let transformed = |packed: Packed| {
            let values = transform_kernels(&packed.values, self.kernel, packed.panel.width);
            Packed { values, ..packed }
        };
        packed.into_par_iter().map(transformed).collect()
    }
}

impl Correlation {
    /// Returns the tiles of minimal filtering if it pays. The rule knows shapes only, since a rule that measured would
    /// make results depend on the machine.
    pub(super) fn winograd(&self, method: ConvMethod, batch: usize) -> Option<Grid> {
        let kernel = KernelSide::of(self.kernel)?;
        let fits = method == ConvMethod::Winograd && self.stride == 1 && self.step == 1;
        if !fits || batch < MANY_IMAGES || self.sources.min(self.planes) < PLANES {
            return None;
        }
        let grid = Grid::new(self, kernel, batch);
        let direct = self.output[0] * self.output[1] * self.kernel[0] * self.kernel[1];
        (direct >= 2 * grid.products()).then_some(grid)
    }

    /// Correlates a group of images that are computed together.
    pub(super) fn run_winograd(
        &self,
        source: &[f32],
        kernels: &[Packed],
        finish: &Finish,
        grid: &Grid,
        out: &mut [f32],
    ) {
        let images = source.len() / self.sizes()[0];
        // Partial sums of equal length.
        let terms = self.sources.div_ceil(self.sources.div_ceil(TERMS));
        let planes = Planes { first: 0, count: self.groups * self.planes };
        let bands: Vec<Band> = grid.bands(images).collect();
        for (kernels, band) in kernels
            .chunk_by(|a, b| a.group == b.group)
            .flat_map(|kernels| bands.iter().map(move |band| (kernels, band)))
        {
            let rows = band.outputs().min(self.output[0] - band.first);
            let tile = Tile { images, first: band.first, rows };
            let (tiles, at_point) = (band.count(), grid.at_point(self.sources));
            with_buffers(|Buffers { window, sums, transformed, products }| {
                let transformed = sized(transformed, POINTS * at_point);
                grid.transform(self, source, kernels[0].group, band, sized(window, grid.work()), transformed);
                for kernel in kernels {
                    let width = kernel.panel.width;
                    let products = sized(products, POINTS * tiles * width);
                    for (point, values) in transformed.chunks_exact(at_point).enumerate() {
                        let computed = band.tiles_at(point);
                        let panel = &kernel.values[point * self.sources * width..][..self.sources * width];
                        let products = &mut products[(point * tiles + computed.start) * width..];
                        let products = &mut products[..computed.len() * width];
                        let (places, planes) = (grid.places(computed), grid.planes.all());
                        product(values, places, planes, (panel, width), products, false, terms);
                    }
                    let sums = sized(sums, images * rows * self.output[1] * width);
                    transform_outputs(band, grid.kernel, [rows, self.output[1]], products, width, sums);
                    self.put(sums, kernel, tile, finish, planes, out);
                }
            });
        }
    }
}
