//! Tiles of source planes, and their transformation.
//!
//! Tiles overlap: each has [`SIDE`] rows and columns and begins `step` after the one before. The source under a group of
//! images is split into `step · step` phases: phase `[y, x]` holds the pixels whose row and column have the remainders
//! `y` and `x`. The same pixel of adjacent tiles is adjacent in its phase. So the transformation works on whole runs of
//! tiles, one tile a lane.

use super::super::correlation::Correlation;
use super::transforms::{Inputs, KernelSide, SIDE, Transformation};
use crate::flex::product::Table;
use crate::flex::registers::{Registers, WithRegisters, on_registers};

/// Points of a tile in two dimensions.
pub(super) const POINTS: usize = SIDE * SIDE;

/// Tiles to compute together, about: their points and products stay in a near cache.
const TILES: usize = 56;

/// The place of a row or column that no tile reaches.
const OUTSIDE: usize = usize::MAX;

/// Runs of tiles are a multiple of the widest register.
const LANES: usize = 16;

/// The tiles of a group of images, or of a band of rows of one image.
#[derive(Debug)]
pub(in super::super) struct Grid {
    pub(super) kernel: KernelSide,
    /// Images per group.
    pub(in super::super) images: usize,
    /// Bands of an image.
    pub(super) bands: usize,
    /// `[rows, columns]` of the tiles of a band.
    pub(super) tiles: [usize; 2],
    /// Rows of tiles of an image.
    rows: usize,
    /// Tiles from a row of tiles to the next; those of all images lie between.
    down: usize,
    /// Length of a transformed plane at one point.
    pub(super) length: usize,
    /// Length of the vertically transformed tiles at one point.
    longer: usize,
    /// Size of a phase.
    phase: usize,
    /// For each band, the places of the source's rows in the phases.
    reached_rows: Vec<Vec<usize>>,
    /// The places of the source's columns in the phases.
    reached_columns: Vec<usize>,
    /// Tiles from an image to the next.
    across: usize,
    /// The places of tiles in a plane: image by image, row by row.
    pub(super) places: Table,
    /// The offsets of source planes at one point.
    pub(super) planes: Table,
}

impl Grid {
    /// The tiles of a correlation with such kernels.
    pub(super) fn new(correlation: &Correlation, kernel: KernelSide, batch: usize) -> Self {
        let step = kernel.step();
        let [rows, columns] = correlation.output.map(|side| side.div_ceil(step));
        let images = (TILES / (rows * columns)).clamp(1, batch.max(1));
        let in_band = rows.div_ceil((rows * columns).div_ceil(TILES));
        let (bands, tiles) = (rows.div_ceil(in_band), [in_band, columns]);
        let beyond = (SIDE - 1) / step;
        let across = tiles[1] + beyond;
        let down = images * across;
        let length = (tiles[0] * down).next_multiple_of(LANES);
        let longer = (length + beyond).next_multiple_of(LANES);
        let phase = longer + beyond * down;
        // Rows and columns before the first tile or after the last are not reached.
        let reached = |d: usize, first: usize, [of_remainder, of_tile]: [usize; 2]| {
            let side = (tiles[d] + beyond) * step;
            let first = correlation.first[d] + (first * step) as isize;
            let inside = (0..correlation.source[d] as isize).map(move |at| at - first);
            let place = move |at: isize| {
                let at = usize::try_from(at).ok().filter(|at| *at < side);
                at.map_or(OUTSIDE, |at| at % step * of_remainder + at / step * of_tile)
            };
            inside.map(place).collect::<Vec<usize>>()
        };
        let reached_rows = (0..bands).map(|band| reached(0, band * in_band, [step * phase, down])).collect();
        let reached_columns = reached(1, 0, [phase, 1]);
        let place = move |image: usize| {
            (0..tiles[0])
                .flat_map(move |row| (0..tiles[1]).map(move |column| row * down + image * across + column))
        };
        Self {
            kernel,
            images,
            bands,
            tiles,
            rows,
            down,
            length,
            longer,
            phase,
            reached_rows,
            reached_columns,
            across,
            places: Table::new((0..images).flat_map(place)),
            planes: Table::new((0..correlation.sources).map(|source| source * length)),
        }
    }

    /// Tiles of a band of this many images.
    pub(super) fn count(&self, images: usize, band: usize) -> usize {
        images * self.tiles[0].min(self.rows - band * self.tiles[0]) * self.tiles[1]
    }

    /// The first row of outputs of a band.
    pub(super) fn first_row(&self, band: usize) -> usize {
        band * self.tiles[0] * self.kernel.step()
    }

    /// Tiles of an image.
    pub(super) fn of_image(&self) -> usize {
        self.rows * self.tiles[1]
    }

    /// Elements of the buffer that [`transform`](Self::transform) works in.
    pub(super) fn work(&self) -> usize {
        let step = self.kernel.step();
        step * step * self.phase + step * SIDE * self.longer
    }

    /// Transforms the source planes of a group in a band: `out` is `[point][source][place]`. `work` is of arbitrary content.
    pub(super) fn transform(
        &self,
        correlation: &Correlation,
        source: &[f32],
        [group, band]: [usize; 2],
        work: &mut [f32],
        out: &mut [f32],
    ) {
        on_registers(Transform { grid: self, correlation, source, group, band, work, out });
    }

    /// Copies a source plane of each image into the phases. What lies outside of the plane is zero already.
    #[inline(always)]
    fn split(
        &self,
        planes: &[f32],
        [plane, next]: [usize; 2],
        width: usize,
        band: usize,
        phases: &mut [f32],
    ) {
        let (rows, columns) = (&self.reached_rows[band], &self.reached_columns);
        for (image, plane) in planes.chunks(next).map(|planes| &planes[..plane]).enumerate() {
            for (row, line) in rows.iter().zip(plane.chunks_exact(width)) {
                if *row != OUTSIDE {
                    let phases = &mut phases[row + image * self.across..];
                    for (column, value) in columns.iter().zip(line) {
                        // A column outside is outside of the buffer.
                        if let Some(place) = phases.get_mut(*column) {
                            *place = *value;
                        }
                    }
                }
            }
        }
    }
}

struct Transform<'a> {
    grid: &'a Grid,
    correlation: &'a Correlation,
    source: &'a [f32],
    group: usize,
    band: usize,
    work: &'a mut [f32],
    out: &'a mut [f32],
}

impl WithRegisters for Transform<'_> {
    type Output = ();

    #[inline(always)]
    fn with_registers<R: Registers>(self, registers: R) {
        match self.grid.kernel {
            KernelSide::Three => self.run::<R, 4>(registers),
            KernelSide::Five => self.run::<R, 2>(registers),
        }
    }
}

impl Transform<'_> {
    #[inline(always)]
    fn run<R: Registers, const STEP: usize>(self, registers: R) {
        let Self { grid, correlation, source, group, band, work, out } = self;
        let &Grid { length, longer, down, phase, .. } = grid;
        let (phases, vertical) = work.split_at_mut(STEP * STEP * phase);
        phases.fill(0.0);
        let (sources, [height, width]) = (correlation.sources, correlation.source);
        let (plane, next) = (height * width, correlation.groups * sources * height * width);
        for channel in 0..sources {
            let planes = &source[(group * sources + channel) * plane..];
            grid.split(planes, [plane, next], width, band, phases);
            for (x, vertical) in vertical.chunks_exact_mut(SIDE * longer).take(STEP).enumerate() {
                let lines: [&[R::Floats]; SIDE] = std::array::from_fn(|y| {
                    R::slice(&phases[(y % STEP * STEP + x) * phase + y / STEP * down..][..longer])
                });
                let mut out = vertical.chunks_exact_mut(longer);
                let out: [&mut [R::Floats]; SIDE] =
                    std::array::from_fn(|_| R::slice_mut(out.next().expect("a line for each point")));
                transform(registers, lines, out);
            }
            for (y, out) in out.chunks_exact_mut(SIDE * sources * length).enumerate() {
                let lines: [&[R::Floats]; SIDE] = std::array::from_fn(|x| {
                    R::slice(&vertical[(x % STEP * SIDE + y) * longer + x / STEP..][..length])
                });
                let mut out = out.chunks_exact_mut(sources * length);
                let out: [&mut [R::Floats]; SIDE] = std::array::from_fn(|_| {
                    R::slice_mut(
                        &mut out.next().expect("a plane for each point")[channel * length..][..length],
                    )
                });
                transform(registers, lines, out);
            }
        }
    }
}

/// Transforms lines of inputs to lines of points.
#[inline(always)]
fn transform<R: Registers>(registers: R, lines: [&[R::Floats]; SIDE], out: [&mut [R::Floats]; SIDE]) {
    let count = lines[0].len();
    let lines = lines.map(|line| &line[..count]);
    let mut out = out.map(|line| &mut line[..count]);
    for at in 0..count {
        let mut values = [registers.splat(0.0); SIDE];
        for (value, line) in values.iter_mut().zip(&lines) {
            *value = line[at];
        }
        for (line, value) in out.iter_mut().zip(Inputs::apply(registers, values)) {
            line[at] = value;
        }
    }
}
