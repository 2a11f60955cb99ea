//! Saliency (Simonyan, Vedaldi & Zisserman 2013, §3): the gradient of a class's logit with respect to the pixels.

use alexnet_model::{AlexNet, Mode};
use anyhow::{Context, Result};

use super::super::Inspector;
use super::{Heat, Seen, logit};
use crate::batch::{batch, values};

/// Computes the largest magnitude of the gradient over the channels. `model` is on a device with gradients.
pub(crate) fn heat(look: &Inspector, model: &AlexNet, seen: &Seen) -> Result<Heat> {
    let [channels, side] = look.input();
    let device = look.device.clone().autodiff();
    let input = batch(seen.view.to_vec(), [1, channels, side], &device).require_grad();
    let logits = model.forward(input.clone(), Mode::Evaluation);
    let gradients = logit(logits, seen.class).backward();
    let gradient = input.grad(&gradients).context("the network's answer does not depend on its input")?;
    let gradient = values(gradient);
    let pixels: Vec<f32> = (0..side * side)
        .map(|at| (0..channels).map(|c| gradient[c * side * side + at].abs()).fold(0.0, f32::max))
        .collect();
    Ok(Heat { map: pixels.chunks_exact(side).map(<[f32]>::to_vec).collect(), pixels })
}
