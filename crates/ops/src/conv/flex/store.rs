//! The last steps on sums, and their places in the result.

use pulp::{Simd, WithSimd};

use super::correlation::Correlation;
use super::packing::Packed;
use super::tiling::Tile;
use crate::flex::product::Panel;
use crate::flex::rectify::rectified;
use crate::flex::transpose::to_planes;
use crate::level::dispatch;

/// The steps applied to sums before they are stored.
pub(super) struct Finish<'a> {
    pub(super) bias: Option<&'a [f32]>,
    pub(super) relu: bool,
}

impl Finish<'_> {
    #[inline(always)]
    fn bias(&self, plane: usize) -> f32 {
        self.bias.map_or(0.0, |bias| bias[plane])
    }

    /// Returns a sum after the final steps.
    #[inline(always)]
    fn of(&self, sum: f32, bias: f32) -> f32 {
        if self.relu { rectified(sum + bias) } else { sum + bias }
    }
}

/// Adjacent planes of a result.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planes {
    pub(super) first: usize,
    pub(super) count: usize,
}

impl Correlation {
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
        dispatch(Put { correlation: self, sums, panel, tile, finish, planes, out });
    }
}

struct Put<'a> {
    correlation: &'a Correlation,
    sums: &'a [f32],
    panel: &'a Packed,
    tile: Tile,
    finish: &'a Finish<'a>,
    planes: Planes,
    out: &'a mut [f32],
}

impl WithSimd for Put<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { correlation, sums, panel, tile, finish, planes, out } = self;
        let Correlation { at, step, output: [_, columns], whole: [height, width], .. } = *correlation;
        let Panel { count, width: lanes, .. } = panel.panel;
        for (image, sums) in sums.chunks_exact(tile.rows * columns * lanes).enumerate() {
            let first = (image * planes.count + panel.plane - planes.first) * height * width;
            if step == 1 {
                // The outputs of a plane form one run. Splitting it into rows would cost more than copying them.
                let out = &mut out[first + tile.first * columns..];
                to_planes(sums, [tile.rows * columns, lanes], out, [count, height * width], |lane| {
                    let bias = finish.bias(panel.plane + lane);
                    move |sum| finish.of(sum, bias)
                });
                continue;
            }
            for lane in 0..count {
                let plane = &mut out[first + lane * height * width..][..height * width];
                let bias = finish.bias(panel.plane + lane);
                for (row, sums) in sums.chunks_exact(columns * lanes).enumerate() {
                    let row = at[0] + (tile.first + row) * step;
                    let line = plane[row * width + at[1]..(row + 1) * width].iter_mut();
                    for (to, sums) in line.step_by(step).zip(sums.chunks_exact(lanes)) {
                        *to = finish.of(sums[lane], bias);
                    }
                }
            }
        }
    }
}
