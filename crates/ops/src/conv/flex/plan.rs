//! A correlation of a whole batch, by the method that suits its shapes.

use std::ops::Range;

use crate::threads::*;

use super::correlation::Correlation;
use super::images::Images;
use super::packing::{Packed, Strides};
use super::store::Finish;
use super::tiling::Tiling;
use super::winograd::Grid;
use crate::config::ConvMethod;
use crate::flex::par_fill::filled;

/// A correlation of a batch, ready to run: its tiles and its kernels in the order in which they are read.
pub(super) struct Plan {
    correlation: Correlation,
    batch: usize,
    tiles: Tiles,
    kernels: Vec<Packed>,
}

enum Tiles {
    Direct(Tiling),
    Winograd(Grid),
}

impl Plan {
    /// The plan for kernels that lie in `weight` as `place` says.
    pub(super) fn new(
        correlation: Correlation,
        weight: &[f32],
        place: &Strides,
        batch: usize,
        method: ConvMethod,
    ) -> Self {
        let kernels = correlation.pack(weight, place);
        let (tiles, kernels) = match correlation.winograd(method, batch) {
            Some(grid) => {
                let kernels = grid.kernels(kernels);
                (Tiles::Winograd(grid), kernels)
            }
            None => (Tiles::Direct(correlation.tiling(batch)), kernels),
        };
        Self { correlation, batch, tiles, kernels }
    }

    /// Images that are computed together.
    pub(super) fn images(&self) -> usize {
        match &self.tiles {
            Tiles::Direct(tiling) => tiling.images,
            Tiles::Winograd(grid) => grid.images,
        }
    }

    /// The groups of images that are computed together.
    pub(super) fn parts(&self) -> impl IndexedParallelIterator<Item = Range<usize>> + use<> {
        let (images, batch) = (self.images(), self.batch);
        let parts = (0..batch.div_ceil(images)).into_par_iter();
        parts.map(move |part| part * images..((part + 1) * images).min(batch))
    }

    /// Correlates `source`, for output planes that belong to this correlation only.
    pub(super) fn new_planes(&self, source: Images<'_>, finish: &Finish) -> Vec<f32> {
        let [image_in, image_out] = self.correlation.sizes();
        filled(self.batch * image_out, self.images() * image_out, self.parts(), |images, out| {
            source.with(images, [self.batch, image_in], |source| self.run(source, finish, out));
        })
    }

    /// Correlates `source` and writes this correlation's positions of `out`.
    pub(super) fn fill_planes(&self, source: Images<'_>, finish: &Finish, out: &mut [f32]) {
        let [image_in, image_out] = self.correlation.sizes();
        let out = out.par_chunks_mut(self.images() * image_out);
        out.zip(self.parts()).for_each(|(out, images)| {
            source.with(images, [self.batch, image_in], |source| self.run(source, finish, out));
        });
    }

    /// Correlates a group of images that are computed together.
    pub(super) fn run(&self, source: &[f32], finish: &Finish, out: &mut [f32]) {
        match &self.tiles {
            Tiles::Direct(tiling) => {
                self.correlation.run_direct(source, &self.kernels, finish, self.batch, tiling, out);
            }
            Tiles::Winograd(grid) => self.correlation.run_winograd(source, &self.kernels, finish, grid, out),
        }
    }
}
