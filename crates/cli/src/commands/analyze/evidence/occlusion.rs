//! Occlusion (Zeiler & Fergus 2013, §4.2): a class loses probability where a grey square covers its evidence.

use std::sync::atomic::AtomicBool;

use alexnet_analysis::{Heat, Occlusion};
use anyhow::{Result, bail};

use super::super::{Inspector, check_stop};
use super::Seen;
use crate::batch::BATCH;

/// The grey square, in pixels. Absent: a fifth of the input's side, and a quarter of the square.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Square {
    pub(crate) side: Option<usize>,
    pub(crate) stride: Option<usize>,
}

/// Computes the probability of a class with the square at each place, and its loss at each pixel.
pub(crate) fn heat(look: &Inspector, seen: &Seen, square: Square, stop: &AtomicBool) -> Result<Heat> {
    let [_, side] = look.input();
    let Square { side: square, stride } = square;
    let square = square.unwrap_or((side / 5).max(1));
    let stride = stride.unwrap_or((square / 4).max(1));
    if square > side {
        bail!("a square of {square} pixels covers the input of {side} whole; give a smaller `--square`");
    }
    let places = (0..=side - square).step_by(stride).collect();
    Occlusion { view: seen.view, side, square, places }.heat(seen.probability, BATCH, |inputs| {
        check_stop(stop)?;
        let all = look.probabilities(inputs)?;
        Ok(all.chunks_exact(look.loaded.network.classes).map(|all| all[seen.class]).collect())
    })
}
