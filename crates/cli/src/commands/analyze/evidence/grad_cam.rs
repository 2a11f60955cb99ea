//! Grad-CAM (Selvaraju et al. 2017, §3): feature maps, weighted by how much each raises a class's logit.

use alexnet_analysis::{Heat, logit};
use alexnet_model::{AlexNet, Mode, Network, Stage};
use anyhow::{Context, Result, bail};
use burn::tensor::Tensor;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};

use super::super::Inspector;
use super::Seen;
use crate::batch::{batch, values};

/// Computes the positive part of the weighted sum of a layer's maps, and enlarges it to the input's pixels. The maps are
/// those before the layer's pooling, if it ends in one. `model` is on a device with gradients.
pub(crate) fn heat(look: &Inspector, model: &AlexNet, seen: &Seen, layer: Option<&str>) -> Result<Heat> {
    let [channels, side] = look.input();
    let layer = layer_of(&look.loaded.network, layer)?;
    let device = look.device.clone().autodiff();
    // Each tower's maps become the beginning of the graph.
    let mut towers: Vec<Tensor<4>> = Vec::new();
    let input = batch(seen.view.to_vec(), [1, channels, side], &device);
    let logits = model.forward_observed(input, Mode::Evaluation, &mut |place, maps| {
        if (place.layer, place.passed) != (layer.name.as_str(), layer.passed) {
            return maps;
        }
        let maps = maps.detach().require_grad();
        towers.push(maps.clone());
        maps
    });
    let gradients = logit(logits, seen.class).backward();
    let mut sum: Option<Tensor<4>> = None;
    for maps in towers {
        let gradient = maps.grad(&gradients).context("the network's answer does not depend on its input")?;
        let weights = gradient.mean_dim(3).mean_dim(2);
        let part = (maps.inner() * weights).sum_dim(1);
        sum = Some(match sum {
            Some(sum) => sum + part,
            None => part,
        });
    }
    let sum = sum.context("the layer has no maps")?.clamp_min(0.0);
    let small = sum.dims()[3];
    let options = InterpolateOptions::new(InterpolateMode::Bilinear)
        .with_align_corners(false)
        .with_output_size([side, side]);
    let pixels = values(interpolate(sum.clone(), options));
    Ok(Heat { map: values(sum).chunks_exact(small).map(<[f32]>::to_vec).collect(), pixels })
}

/// A layer, and the number of its stages after which its maps are taken.
struct Layer {
    name: String,
    passed: usize,
}

/// Returns the convolutional layer of this name, or the last one.
fn layer_of(network: &Network, name: Option<&str>) -> Result<Layer> {
    let found = match name {
        None => network.conv.last(),
        Some(name) => network.conv.iter().find(|layer| layer.name == name),
    };
    let Some(layer) = found else {
        let names: Vec<&str> = network.conv.iter().map(|layer| layer.name.as_str()).collect();
        bail!(
            "network `{}` has no convolutional layer{}; it has {}",
            network.name,
            name.map_or_else(String::new, |name| format!(" `{name}`")),
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        );
    };
    let pooled =
        layer.stages.last().is_some_and(|stage| matches!(stage, Stage::MaxPool(_) | Stage::AvgPool(_)));
    Ok(Layer { name: layer.name.clone(), passed: layer.stages.len() - usize::from(pooled) })
}
