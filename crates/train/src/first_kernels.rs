//! The kernels of a network's first layer.

use alexnet_analysis::kernels::Tower;
use alexnet_model::AlexNet;

/// Returns the kernels of the first layer, by tower; `None` if the network does not begin with a convolution whose kernels are shared by
/// all places.
pub fn first_kernels(model: &AlexNet) -> Option<Vec<Tower>> {
    let first = model.network().conv.first().filter(|first| first.shared)?;
    let own = |name: &str| name.starts_with(&format!("{}.", first.name)) && name.ends_with(".weight");
    let parameters = model.parameters().into_iter().filter(|(name, ..)| own(name));
    Some(parameters.map(|(_, shape, values)| Tower { values, channels: shape[1], side: shape[2] }).collect())
}
