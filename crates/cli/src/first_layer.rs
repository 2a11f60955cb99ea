//! The kernels of a network's first layer.

use alexnet_analysis::kernels::Tower;
use alexnet_model::{AlexNet, Network};
use anyhow::{Result, bail};

/// Returns the kernels of the first layer, by tower.
pub(crate) fn towers(network: &Network, model: &AlexNet) -> Result<Vec<Tower>> {
    let Some(first) = network.conv.first().filter(|first| first.shared) else {
        bail!("network `{}` has no first layer of kernels to draw", network.name);
    };
    let of_first = |name: &str| name.starts_with(&format!("{}.", first.name)) && name.ends_with(".weight");
    let parameters = model.parameters().into_iter().filter(|(name, ..)| of_first(name));
    Ok(parameters.map(|(_, shape, values)| Tower { values, channels: shape[1], side: shape[2] }).collect())
}
