//! The kernels of a network's first layer.

use alexnet_analysis::kernels::Tower;
use alexnet_model::{AlexNet, Network};
use alexnet_train::first_kernels;
use anyhow::{Context, Result};

/// Returns the kernels of the first layer, by tower.
pub(crate) fn towers(network: &Network, model: &AlexNet) -> Result<Vec<Tower>> {
    first_kernels(model)
        .with_context(|| format!("network `{}` has no first layer of kernels to draw", network.name))
}
