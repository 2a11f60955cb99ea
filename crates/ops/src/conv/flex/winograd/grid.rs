//! Tiles of feature maps.

use std::ops::Range;

use super::super::correlation::Correlation;
use super::transforms::{KernelSide, LONG, SHORT};
use crate::flex::product::{Offsets, Table};

/// Points of a tile in two dimensions.
pub(super) const POINTS: usize = LONG * LONG;

/// About how many tiles are computed together. Their points fit into a near cache, and each kernel that is read serves many
/// tiles.
const TILES: usize = 56;

/// Source planes that are transformed together, one a lane: a multiple of the widest register.
pub(super) const LANES: usize = 16;

/// Adjacent tiles along one side of a feature map: long ones, then short ones, which compute one output fewer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tiles {
    long: usize,
    short: usize,
    /// Outputs of a long tile.
    step: usize,
}

impl Tiles {
    /// As few tiles as cover this many outputs, as many of them short as possible.
    pub(super) fn cover(outputs: usize, kernel: KernelSide) -> Self {
        let step = kernel.step();
        let tiles = outputs.div_ceil(step);
        let long = match kernel {
            KernelSide::Three => outputs.saturating_sub(tiles * (step - 1)),
            // A short tile would have a single output.
            KernelSide::Five => tiles,
        };
        Self { long, short: tiles - long, step }
    }

    pub(super) fn count(self) -> usize {
        self.long + self.short
    }

    /// Points of all tiles.
    fn points(self) -> usize {
        self.long * LONG + self.short * SHORT
    }

    /// The first output of a tile, and its first input.
    pub(super) fn first(self, tile: usize) -> usize {
        tile * self.step - tile.saturating_sub(self.long)
    }

    /// Inputs under all tiles.
    pub(super) fn inputs(self) -> usize {
        match self.count() {
            0 => 0,
            count => self.first(count - 1) + if self.short > 0 { SHORT } else { LONG },
        }
    }

    fn part(self, tiles: Range<usize>) -> Self {
        let long = self.long.clamp(tiles.start, tiles.end) - tiles.start;
        Self { long, short: tiles.len() - long, ..self }
    }

    /// The tiles with this many points.
    pub(super) fn of(self, points: usize) -> Range<usize> {
        if points == LONG { 0..self.long } else { self.long..self.count() }
    }
}

/// The tiles of a correlation, in bands of rows that are computed together.
#[derive(Debug)]
pub(in super::super) struct Grid {
    pub(super) kernel: KernelSide,
    /// Images per group.
    pub(in super::super) images: usize,
    rows: Tiles,
    columns: Tiles,
    /// Rows of tiles of a band.
    in_band: usize,
    /// The most tiles of a band.
    pub(super) capacity: usize,
    /// The offset of each tile in a transformed source plane.
    places: Table,
    /// The offsets of source planes at one point.
    pub(super) planes: Table,
}

impl Grid {
    /// The tiles of a correlation with such kernels.
    pub(super) fn new(correlation: &Correlation, kernel: KernelSide, batch: usize) -> Self {
        let [rows, columns] = correlation.output.map(|side| Tiles::cover(side, kernel));
        let tiles = rows.count() * columns.count();
        let images = (TILES / tiles).clamp(1, batch.max(1));
        let in_band = rows.count().div_ceil(tiles.div_ceil(TILES));
        let capacity = images * in_band * columns.count();
        let place = |source: usize| source / LANES * capacity * LANES + source % LANES;
        Self {
            kernel,
            images,
            rows,
            columns,
            in_band,
            capacity,
            places: Table::new((0..capacity).map(|tile| tile * LANES)),
            planes: Table::new((0..correlation.sources).map(place)),
        }
    }

    /// Multiplications of a source plane with a kernel in one image.
    pub(super) fn products(&self) -> usize {
        self.rows.points() * self.columns.points()
    }

    /// The bands of this many images.
    pub(super) fn bands(&self, images: usize) -> impl Iterator<Item = Band> {
        let (rows, columns) = (self.rows, self.columns);
        (0..rows.count()).step_by(self.in_band).map(move |start| {
            let end = (start + self.in_band).min(rows.count());
            Band { images, first: rows.first(start), rows: rows.part(start..end), columns }
        })
    }

    /// The offsets of tiles in a transformed source plane.
    pub(super) fn places(&self, tiles: Range<usize>) -> Offsets<'_> {
        self.places.range(tiles)
    }

    /// Elements of the transformed source planes at one point. The odd number of cache lines keeps the points apart: with
    /// a power of two between them they would evict each other.
    pub(super) fn at_point(&self, sources: usize) -> usize {
        ((sources.div_ceil(LANES) * self.capacity) | 1) * LANES
    }

    /// Elements of the source under a band of one image.
    pub(super) fn window(&self) -> usize {
        self.rows.part(0..self.in_band).inputs() * self.columns.inputs() * LANES
    }

    /// Elements of the buffer that [`transform`](Self::transform) works in.
    pub(super) fn work(&self) -> usize {
        self.window() + LONG * self.columns.inputs() * LANES
    }
}

/// Rows of tiles of some images.
#[derive(Debug)]
pub(super) struct Band {
    pub(super) images: usize,
    /// The first row of outputs.
    pub(super) first: usize,
    pub(super) rows: Tiles,
    pub(super) columns: Tiles,
}

impl Band {
    /// Tiles of all images.
    pub(super) fn count(&self) -> usize {
        self.images * self.rows.count() * self.columns.count()
    }

    /// Rows of outputs of all tiles.
    pub(super) fn outputs(&self) -> usize {
        self.rows.first(self.rows.count())
    }

    /// The tiles that have this point. Narrow tiles come first and wide tiles last; tall tiles lie between low ones. So the
    /// tiles of each point are adjacent.
    pub(super) fn tiles_at(&self, point: usize) -> Range<usize> {
        let [a, b, c, d] =
            [[SHORT, SHORT], [LONG, SHORT], [LONG, LONG], [SHORT, LONG]].map(|size| self.of(size).tiles);
        match [point / LONG < SHORT, point % LONG < SHORT] {
            [true, true] => a.start..d.end,
            [false, true] => b.start..c.end,
            [true, false] => c.start..d.end,
            [false, false] => c,
        }
    }

    /// The tiles of this size, in points.
    pub(super) fn of(&self, [tall, wide]: [usize; 2]) -> Part {
        let [rows, columns] = [self.rows.of(tall), self.columns.of(wide)];
        let [short, long] = [self.columns.short, self.columns.long].map(|columns| self.images * columns);
        let start = match [tall, wide] {
            [SHORT, SHORT] => 0,
            [_, SHORT] => self.rows.short * short,
            [LONG, _] => self.rows.count() * short,
            _ => self.rows.count() * short + self.rows.long * long,
        };
        Part { tiles: start..start + self.images * rows.len() * columns.len(), rows, columns }
    }

    /// The first output of a tile in the band.
    pub(super) fn output(&self, [row, column]: [usize; 2]) -> [usize; 2] {
        [self.rows.first(row), self.columns.first(column)]
    }
}

/// The tiles of a band that have one size, image by image and row by row.
#[derive(Debug)]
pub(super) struct Part {
    tiles: Range<usize>,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Part {
    /// Each tile of an image, with its row and column.
    pub(super) fn of_image(&self, image: usize) -> impl Iterator<Item = (usize, [usize; 2])> {
        self.rows
            .clone()
            .flat_map(move |row| self.of_row(image, row).map(move |(tile, column)| (tile, [row, column])))
    }

    /// Each tile of one of an image's rows, with its column.
    pub(super) fn of_row(&self, image: usize, row: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let row = image * self.rows.len() + row - self.rows.start;
        (self.tiles.start + row * self.columns.len()..).zip(self.columns.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_outputs_with_the_fewest_points() {
        for (outputs, long, short) in
            [(1, 0, 1), (4, 1, 0), (5, 0, 2), (6, 0, 2), (8, 2, 0), (13, 1, 3), (27, 6, 1)]
        {
            let tiles = Tiles::cover(outputs, KernelSide::Three);
            assert_eq!((tiles.long, tiles.short), (long, short), "{outputs}");
            assert!((outputs..outputs + 4).contains(&tiles.first(tiles.count())), "{outputs}");
            // Each tile begins where the one before ends.
            for tile in 0..tiles.count() {
                let outputs = if tile < long { 4 } else { 3 };
                assert_eq!(tiles.first(tile + 1), tiles.first(tile) + outputs);
            }
        }
        assert_eq!(Tiles::cover(27, KernelSide::Five).count(), 14);
    }

    #[test]
    fn a_point_has_the_tiles_of_its_sizes() {
        let rows = Tiles::cover(13, KernelSide::Three);
        for rows in [rows, rows.part(0..2), rows.part(1..4)] {
            let band = Band { images: 3, first: 0, rows, columns: Tiles::cover(14, KernelSide::Three) };
            let sizes = [[SHORT, SHORT], [SHORT, LONG], [LONG, SHORT], [LONG, LONG]];
            let mut numbers = Vec::new();
            for size in sizes {
                for (tile, [row, column]) in
                    (0..3).flat_map(|image| band.of(size).of_image(image).collect::<Vec<_>>())
                {
                    assert_eq!([row < rows.long, column < 2], size.map(|points| points == LONG));
                    for point in 0..POINTS {
                        let has = point / LONG < size[0] && point % LONG < size[1];
                        assert_eq!(
                            band.tiles_at(point).contains(&tile),
                            has,
                            "{rows:?}, tile {tile}, point {point}"
                        );
                    }
                    numbers.push(tile);
                }
            }
            numbers.sort_unstable();
            assert!(numbers.into_iter().eq(0..band.count()));
        }
    }
}
