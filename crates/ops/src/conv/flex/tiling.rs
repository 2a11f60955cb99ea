//! The tiles of a correlation, and the copy of the source under a tile.

use super::correlation::Correlation;
use crate::flex::product::Table;
use crate::flex::sweep::{clear, copy};

/// The largest number of partial sums of a weight gradient.
pub(super) const PARTIAL_SUMS: usize = 16;

/// Approximate number of pixels in a tile.
const PIXELS: usize = 192;

/// The split of a correlation into tiles, and the tables that every tile uses.
#[derive(Debug)]
pub(super) struct Tiling {
    /// Images per tile.
    pub(super) images: usize,
    /// Tiles per image.
    pub(super) tiles: usize,
    /// `[rows, columns]` of the source under a tile.
    pub(super) window: [usize; 2],
    /// Offsets in the window of each pixel's first tap: image by image, row by row.
    pub(super) pixels: Table,
    /// Offsets from a pixel's first tap to each of its taps.
    pub(super) taps: Table,
}

impl Tiling {
    /// The size of a window that holds all images of a tile.
    pub(super) fn size(&self, sources: usize) -> usize {
        self.images * sources * self.window[0] * self.window[1]
    }
}

/// A run of output rows of one image, or of several images.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tile {
    pub(super) images: usize,
    pub(super) first: usize,
    pub(super) rows: usize,
}

impl Correlation {
    /// Returns the tiling for a batch. It depends only on the shapes.
    pub(super) fn tiling(&self, batch: usize) -> Tiling {
        let [rows, columns] = self.output;
        let pixels = rows * columns;
        let (tiles, images) = ((pixels / PIXELS).clamp(1, rows), (PIXELS / pixels).clamp(1, batch.max(1)));
        let rows = rows.div_ceil(tiles);
        let [tall, wide] = self.kernel;
        let window = [(rows - 1) * self.stride + tall, (columns - 1) * self.stride + wide];
        let (plane, line) = (window[0] * window[1], window[1]);
        let of_pixel = (0..images).flat_map(|image| {
            (0..rows).flat_map(move |row| {
                (0..columns)
                    .map(move |column| image * self.sources * plane + (row * line + column) * self.stride)
            })
        });
        let of_tap = (0..self.sources).flat_map(|source| {
            (0..tall).flat_map(move |y| (0..wide).map(move |x| source * plane + y * line + x))
        });
        Tiling { images, tiles, window, pixels: Table::new(of_pixel), taps: Table::new(of_tap) }
    }

    /// Returns the tiles of `images`. They have nearly equal sizes, since a small last tile would take almost
    /// as long as a full one.
    pub(super) fn tiles(&self, tiling: &Tiling, images: usize) -> impl Iterator<Item = Tile> + use<> {
        let (rows, tiles) = (self.output[0], tiling.tiles);
        (0..tiles).map(move |tile| {
            let (first, end) = (tile * rows / tiles, (tile + 1) * rows / tiles);
            Tile { images, first, rows: end - first }
        })
    }

    /// Copies the source under a tile, with its zero padding, into `window`: `[image][source][row][column]`.
    pub(super) fn lay_out(
        &self,
        source: &[f32],
        group: usize,
        tile: Tile,
        tiling: &Tiling,
        window: &mut [f32],
    ) {
        let ([height, width], [lines, length]) = (self.source, tiling.window);
        let used = (tile.rows - 1) * self.stride + self.kernel[0];
        let inside = |at: isize, side: usize| at.clamp(0, side as isize) as usize;
        let left = inside(-self.first[1], length);
        let right = inside(width as isize - self.first[1], length).max(left);
        let from = inside(self.first[1], width);
        let top = self.first[0] + (tile.first * self.stride) as isize;
        let planes = window.chunks_exact_mut(lines * length).take(tile.images * self.sources);
        for (index, plane) in planes.enumerate() {
            let (image, channel) = (index / self.sources, index % self.sources);
            let channel = (image * self.groups + group) * self.sources + channel;
            let source = &source[channel * height * width..][..height * width];
            for (row, line) in plane.chunks_exact_mut(length).take(used).enumerate() {
                let row = top + row as isize;
                if row < 0 || row >= height as isize {
                    line.fill(0.0);
                    continue;
                }
                clear(&mut line[..left]);
                copy(&source[row as usize * width + from..][..right - left], &mut line[left..right]);
                clear(&mut line[right..]);
            }
        }
    }
}
