//! The direct method, tile by tile.

use crate::threads::*;

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
        let plane_out = self.whole[0] * self.whole[1];
        let images = source.len() / self.sizes()[0];
        // With too few images for all threads, threads share an image's planes, or its rows if it has few planes. The
        // split does not affect any sum.
        let shared = batch < MANY_IMAGES && self.groups == 1 && tiling.images == 1;
        let threads = if shared { current_num_threads().div_ceil(batch.max(1)) } else { 1 };
        // Only where the outputs are all of their planes: a band's outputs are whole rows then.
        if (1..threads).contains(&kernels.len()) && tiling.tiles > 1 && self.whole == self.output {
            return self.run_bands(source, kernels, finish, threads.min(self.output[0]), out);
        }
        let at_once = kernels.len().div_ceil(threads);
        let task = |(kernels, planes, out): (&[Packed], Planes, &mut [f32])| {
            with_buffers(|Buffers { window, sums, .. }| {
                let window = sized(window, tiling.size(self.sources));
                for tile in self.tiles(tiling, images) {
                    let mut laid_out = None;
                    let pixels = images * tile.rows * self.output[1];
                    for kernel in kernels {
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
        let mut rest = out;
        let tasks = kernels.chunks(at_once.max(1)).map(|kernels| {
            let count = kernels.iter().map(|kernel| kernel.panel.count).sum();
            let (part, others) = std::mem::take(&mut rest).split_at_mut(images * count * plane_out);
            rest = others;
            (kernels, Planes { first: kernels[0].plane, count }, part)
        });
        let tasks: Vec<(&[Packed], Planes, &mut [f32])> = tasks.collect();
        tasks.into_par_iter().for_each(task);
    }

    /// Correlates one image in bands of rows.
    fn run_bands(&self, source: &[f32], kernels: &[Packed], finish: &Finish, bands: usize, out: &mut [f32]) {
        let [rows, columns] = self.output;
        let bands = (0..bands).into_par_iter().map(|band| {
            let (first, end) = (band * rows / bands, (band + 1) * rows / bands);
            let output = [end - first, columns];
            let top = self.first[0] + (first * self.stride) as isize;
            let part = Self { first: [top, self.first[1]], output, whole: output, ..*self };
            let mut planes = vec![0.0; part.sizes()[1]];
            // With a batch of many images, since a band is not shared again.
            part.run_direct(source, kernels, finish, MANY_IMAGES, &part.tiling(1), &mut planes);
            (first * columns, planes)
        });
        for (first, planes) in bands.collect::<Vec<_>>() {
            let length = planes.len() / self.planes;
            for (out, plane) in out.chunks_exact_mut(rows * columns).zip(planes.chunks_exact(length)) {
                out[first..][..length].copy_from_slice(plane);
            }
        }
    }
}
