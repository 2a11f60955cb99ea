//! Occlusion (Zeiler & Fergus 2013, §4.2): a class loses probability where a grey square covers its evidence.

use std::sync::atomic::AtomicBool;

use anyhow::{Result, bail};

use super::super::{Inspector, check_stop};
use super::{Heat, Seen};
use crate::batch::BATCH;

/// The grey square, in pixels. Absent: a fifth of the input's side, and a quarter of the square.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Square {
    pub(crate) side: Option<usize>,
    pub(crate) stride: Option<usize>,
}

/// Computes the probability of a class with the square at each place, and its loss at each pixel.
pub(crate) fn heat(look: &Inspector, seen: &Seen, square: Square, stop: &AtomicBool) -> Result<Heat> {
    let [channels, side] = look.input();
    let Square { side: square, stride } = square;
    let square = square.unwrap_or((side / 5).max(1));
    let stride = stride.unwrap_or((square / 4).max(1));
    if square > side {
        bail!("a square of {square} pixels covers the input of {side} whole; give a smaller `--square`");
    }
    let places: Vec<usize> = (0..=side - square).step_by(stride).collect();
    let corners: Vec<(usize, usize)> =
        places.iter().flat_map(|&top| places.iter().map(move |&left| (top, left))).collect();
    let mut map = Vec::with_capacity(corners.len());
    for corners in corners.chunks(BATCH) {
        check_stop(stop)?;
        let inputs = corners.iter().flat_map(|&(top, left)| {
            let mut view = seen.view.to_vec();
            for channel in 0..channels {
                for y in top..top + square {
                    // 0 is the mean, which is grey: an input without content.
                    view[(channel * side + y) * side + left..][..square].fill(0.0);
                }
            }
            view
        });
        let all = look.probabilities(inputs.collect())?;
        map.extend(all.chunks_exact(look.loaded.network.classes).map(|all| all[seen.class]));
    }
    let map: Vec<Vec<f32>> = map.chunks_exact(places.len()).map(<[f32]>::to_vec).collect();
    // The loss of probability at a pixel: the mean over the squares that cover it.
    let loss = |y: usize, x: usize| {
        let covers = |place: &usize, at: usize| (*place..place + square).contains(&at);
        let mut lost = (0.0, 0);
        for (row, _) in places.iter().enumerate().filter(|(_, place)| covers(place, y)) {
            for (column, _) in places.iter().enumerate().filter(|(_, place)| covers(place, x)) {
                lost = (lost.0 + (seen.probability - map[row][column]).max(0.0), lost.1 + 1);
            }
        }
        if lost.1 == 0 { 0.0 } else { lost.0 / lost.1 as f32 }
    };
    let pixels = (0..side * side).map(|at| loss(at / side, at % side)).collect();
    Ok(Heat { map, pixels })
}
