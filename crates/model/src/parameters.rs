//! A network's parameters by name.

use burn::tensor::TensorData;

use crate::alexnet::AlexNet;

impl AlexNet {
    /// Returns every parameter's [`Parameter::name`](crate::Parameter), shape and values.
    pub fn parameters(&self) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        let values = |data: TensorData| {
            let shape = data.shape().to_vec();
            (shape, data.convert::<f32>().try_to_vec().expect("converted to f32"))
        };
        let mut found = Vec::new();
        let mut keep = |layer: &str, tower: usize, kind: &str, data: TensorData| {
            let (shape, values) = values(data);
            found.push((format!("{layer}.{tower}.{kind}"), shape, values));
        };
        for (config, layer) in self.network().conv.iter().zip(&self.conv) {
            for (tower, conv) in layer.towers.iter().enumerate() {
                keep(&config.name, tower, "weight", conv.weight.val().into_data());
                keep(&config.name, tower, "bias", conv.bias.val().into_data());
                if let Some(group) = &conv.group {
                    keep(&config.name, tower, "gain", group.gamma.val().into_data());
                    keep(&config.name, tower, "shift", group.beta.val().into_data());
                }
                if let Some(norm) = &conv.norm {
                    keep(&config.name, tower, "gain", norm.gamma.val().into_data());
                    keep(&config.name, tower, "shift", norm.beta.val().into_data());
                    keep(&config.name, tower, "running_mean", norm.running_mean.value_sync().into_data());
                    keep(&config.name, tower, "running_variance", norm.running_var.value_sync().into_data());
                }
            }
        }
        for (config, layer) in self.network().fc.iter().zip(&self.fc) {
            for (tower, fc) in layer.towers.iter().enumerate() {
                keep(&config.name, tower, "weight", fc.weight.val().into_data());
                keep(&config.name, tower, "bias", fc.bias.val().into_data());
            }
        }
        found
    }

    /// The number of learned weight and bias tensors. A training step must produce as many gradients.
    pub fn learned_tensors(&self) -> usize {
        let conv = self.conv.iter().flat_map(|layer| &layer.towers);
        let conv: usize =
            conv.map(|tower| if tower.norm.is_some() || tower.group.is_some() { 4 } else { 2 }).sum();
        let fc: usize = self.fc.iter().map(|layer| layer.towers.len()).sum();
        conv + 2 * fc
    }
}
