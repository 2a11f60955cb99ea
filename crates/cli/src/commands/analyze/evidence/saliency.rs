//! Saliency (Simonyan, Vedaldi & Zisserman 2013, §3): the gradient of a class's logit with respect to the pixels.

use alexnet_analysis::{Heat, saliency};
use alexnet_model::{AlexNet, Mode};
use anyhow::{Context, Result};

use super::super::Inspector;
use super::Seen;
use crate::batch::batch;

/// Computes the largest magnitude of the gradient over the channels. `model` is on a device with gradients.
pub(crate) fn heat(look: &Inspector, model: &AlexNet, seen: &Seen) -> Result<Heat> {
    let [channels, side] = look.input();
    let input = batch(seen.view.to_vec(), [1, channels, side], &look.device.clone().autodiff());
    let heat = saliency(input, seen.class, |input| model.forward(input, Mode::Evaluation));
    heat.context("the network's answer does not depend on its input")
}
