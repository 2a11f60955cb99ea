//! The direct method, tile by tile.

use rayon::prelude::*;

use super::buffers::{Buffers, sized, with_buffers};
use super::correlation::Correlation;
use super::packing::Packed;
use super::store::{Finish, Planes};
use super::tiling::Tiling;
use crate::flex::MANY_IMAGES;
use crate::flex::product::{COLUMNS, product};

impl Correlation {
    /// Correlates a group of images that are computed together.
    pub(super) fn run_direct(
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
                        product(
                            window,
                            tiling.pixels.first(pixels),
                            tiling.taps.all(),
                            panel,
                            sums,
                            false,
                            COLUMNS,
                        );
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
}
