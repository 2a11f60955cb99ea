//! The last steps on sums, and their places in the result.

use super::correlation::Correlation;
use super::packing::Packed;
use super::tiling::Tile;
use crate::flex::product::Panel;
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
