//! The computation of a correlation, by groups of images and tile by tile.

use std::ops::Range;

use rayon::prelude::*;

use super::buffers::{Buffers, sized, with_buffers};
use super::correlation::Correlation;
use super::images::Images;
use super::packing::{Packed, Strides};
use super::tiling::{Tile, Tiling};
use super::winograd::Grid;
use crate::config::ConvMethod;
use crate::flex::MANY_IMAGES;
use crate::flex::par_fill::filled;
use crate::flex::product::{Panel, product};
use crate::flex::rectify::rectified;

/// The steps applied to sums before they are stored.
pub(super) struct Finish<'a> {
    pub(super) bias: Option<&'a [f32]>,
    pub(super) relu: bool,
}

impl Finish<'_> {
    /// Stores one lane of sums after the final steps.
    #[inline(always)]
    fn put<'a>(
        &self,
        bias: f32,
        sums: &[f32],
        [lane, lanes]: [usize; 2],
        to: impl Iterator<Item = &'a mut f32>,
    ) {
        let sums = to.zip(sums.chunks_exact(lanes));
        if self.relu {
            sums.for_each(|(to, sums)| *to = rectified(sums[lane] + bias));
        } else {
            sums.for_each(|(to, sums)| *to = sums[lane] + bias);
        }
    }
}

/// Adjacent planes of a result.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planes {
    pub(super) first: usize,
    pub(super) count: usize,
}

impl Planes {
    fn have(self, plane: usize) -> bool {
        (self.first..self.first + self.count).contains(&plane)
    }
}

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
            Some(grid) => (Tiles::Winograd(grid), correlation.winograd_kernels(kernels)),
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
        parts(self.images(), self.batch)
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
                self.correlation.run(source, &self.kernels, finish, self.batch, tiling, out);
            }
            Tiles::Winograd(grid) => self.correlation.run_winograd(source, &self.kernels, finish, grid, out),
        }
    }
}

/// The groups of `images` of a batch that are computed together.
pub(super) fn parts(
    images: usize,
    batch: usize,
) -> impl IndexedParallelIterator<Item = Range<usize>> + use<> {
    let parts = (0..batch.div_ceil(images)).into_par_iter();
    parts.map(move |part| part * images..((part + 1) * images).min(batch))
}

impl Correlation {
    /// Correlates a group of images that are computed together.
    fn run(
        &self,
        source: &[f32],
        kernels: &[Packed],
        finish: &Finish,
        batch: usize,
        tiling: &Tiling,
        out: &mut [f32],
    ) {
        let (all, plane_out) = (self.groups * self.planes, self.whole[0] * self.whole[1]);
        let images = source.len() / self.sizes()[0];
        // With too few images for all threads, threads share an image's planes. There are only two tasks per
        // thread, since each lays out its own window. The split does not affect any sum.
        let planes = match kernels.first() {
            Some(kernel) if batch < MANY_IMAGES && self.groups == 1 && tiling.images == 1 => {
                let tasks = (2 * rayon::current_num_threads()).div_ceil(batch.max(1));
                (kernels.len().div_ceil(tasks) * kernel.panel.width).min(all)
            }
            _ => all,
        };
        let task = |planes: Planes, out: &mut [f32]| {
            with_buffers(|Buffers { window, sums, .. }| {
                let window = sized(window, tiling.size(self.sources));
                for tile in self.tiles(tiling, images) {
                    let mut laid_out = None;
                    let pixels = images * tile.rows * self.output[1];
                    for kernel in kernels.iter().filter(|kernel| planes.have(kernel.plane)) {
                        if laid_out != Some(kernel.group) {
                            self.lay_out(source, kernel.group, tile, tiling, window);
                            laid_out = Some(kernel.group);
                        }
                        let sums = sized(sums, pixels * kernel.panel.width);
                        let panel = (kernel.values.as_slice(), kernel.panel.width);
                        product(window, tiling.pixels.first(pixels), tiling.taps.all(), panel, sums, false);
                        self.put(sums, kernel, tile, finish, planes, out);
                    }
                }
            });
        };
        out.par_chunks_mut(images * planes * plane_out).enumerate().for_each(|(index, out)| {
            let first = index * planes;
            task(Planes { first, count: planes.min(all - first) }, out);
        });
    }

    /// Writes the sums of a panel of planes to their positions in `out`, which starts at the first of
    /// `planes`.
    pub(super) fn put(
        &self,
        sums: &[f32],
        panel: &Packed,
        tile: Tile,
        finish: &Finish,
        planes: Planes,
        out: &mut [f32],
    ) {
        let (columns, [height, width]) = (self.output[1], self.whole);
        let Panel { count, width: lanes, .. } = panel.panel;
        for (image, sums) in sums.chunks_exact(tile.rows * columns * lanes).enumerate() {
            for lane in 0..count {
                let plane = image * planes.count + panel.plane - planes.first + lane;
                let plane = &mut out[plane * height * width..][..height * width];
                let bias = finish.bias.map_or(0.0, |bias| bias[panel.plane + lane]);
                if self.step == 1 {
                    // The outputs form one run. Splitting it into rows would cost more than copying them.
                    let run = &mut plane[tile.first * columns..][..tile.rows * columns];
                    finish.put(bias, sums, [lane, lanes], run.iter_mut());
                    continue;
                }
                for (row, sums) in sums.chunks_exact(columns * lanes).enumerate() {
                    let row = self.at[0] + (tile.first + row) * self.step;
                    let line = plane[row * width + self.at[1]..(row + 1) * width].iter_mut();
                    finish.put(bias, sums, [lane, lanes], line.step_by(self.step));
                }
            }
        }
    }
}
