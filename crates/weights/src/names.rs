use std::collections::BTreeMap;
use std::ops::Range;

use alexnet_model::{AlexNet, LayerTrace, Network, Stage, Trace};
use burn::tensor::Device;

use crate::tensors::transpose;
use crate::{Tensor, Weights, WeightsError};

/// The names that a library gives the layers of an AlexNet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// The network's own names: `conv1.weight`, `fc6.bias`.
    Ours,
    /// `torchvision.models.alexnet`: `features.0.weight`, `classifier.1.bias`.
    Torchvision,
    /// This project's records, which number the layers: `conv.0.weight`, `fc.2.bias`.
    Record,
}

/// Positions of the layers in torchvision's `features` and `classifier`.
const FEATURES: [usize; 5] = [0, 3, 6, 8, 10];
const CLASSIFIER: [usize; 3] = [1, 4, 6];

impl Names {
    /// All names, this project's first.
    pub const ALL: [Names; 3] = [Names::Ours, Names::Torchvision, Names::Record];

    /// Returns the name of layer number `index` of a network, or `None` if the library's network has no such layer.
    pub(crate) fn layer(self, network: &Network, index: usize) -> Option<String> {
        let convolutions = network.conv.len();
        match (self, index.checked_sub(convolutions)) {
            (Names::Ours, None) => Some(network.conv[index].name.clone()),
            (Names::Ours, Some(index)) => Some(network.fc.get(index)?.name.clone()),
            (Names::Record, None) => Some(format!("conv.{index}")),
            (Names::Record, Some(index)) => Some(format!("fc.{index}")),
            (Names::Torchvision, _) if (convolutions, network.fc.len()) != (5, 3) => None,
            (Names::Torchvision, None) => Some(format!("features.{}", FEATURES[index])),
            (Names::Torchvision, Some(index)) => Some(format!("classifier.{}", CLASSIFIER.get(index)?)),
        }
    }

    /// Returns the names that a file uses for a network: it has a tensor under one of them.
    ///
    /// # Errors
    /// [`WeightsError::Names`].
    pub fn of(weights: &Weights, network: &Network) -> Result<Self, WeightsError> {
        let first = |names: Names| names.layer(network, 0).map(|layer| format!("{layer}.weight"));
        let has = |name: &String| weights.tensors.contains_key(name) || weights.left_out.contains_key(name);
        let used = |names: &Names| {
            let layers =
                (0..network.conv.len() + network.fc.len()).filter_map(|index| names.layer(network, index));
            layers
                .flat_map(|layer| ["weight", "bias"].map(|kind| format!("{layer}.{kind}")))
                .any(|name| has(&name))
        };
        Self::ALL.into_iter().find(used).ok_or_else(|| {
            let found: Vec<String> =
                weights.tensors.keys().take(3).map(|name| name.escape_debug().to_string()).collect();
            WeightsError::Names {
                network: network.name.clone(),
                ours: first(Names::Ours).unwrap_or_default(),
                theirs: first(Names::Torchvision).or(first(Names::Record)).unwrap_or_default(),
                found: if found.is_empty() { "no tensors".to_owned() } else { found.join(", ") },
            }
        })
    }
}

fn normalization(stage: &Stage) -> Option<&Stage> {
    matches!(stage, Stage::BatchNorm(_) | Stage::GroupNorm(_)).then_some(stage)
}

/// Returns the shape of every tensor that a file must have for a network.
fn layout(network: &Network, names: Names) -> Result<BTreeMap<String, Vec<usize>>, WeightsError> {
    let trace = network.trace()?;
    let mut shapes = BTreeMap::new();
    for (index, layer) in trace.layers.iter().enumerate() {
        let Some(name) = names.layer(network, index) else {
            return Err(WeightsError::Tensor {
                tensor: layer.name.clone(),
                problem: format!(
                    "has no name there: torchvision's alexnet has 5 convolutions and 3 fully connected layers, `{}` {} and {}",
                    network.name,
                    network.conv.len(),
                    network.fc.len()
                ),
            });
        };
        let (outputs, places) = (layer.towers * layer.outputs, layer.side * layer.side);
        let (weight, biases) = match network.conv.get(index) {
            None => (vec![outputs, layer.inputs], outputs),
            Some(conv) if conv.shared => {
                (vec![outputs, layer.inputs / conv.groups, conv.kernel, conv.kernel], outputs)
            }
            Some(conv) => (vec![outputs, layer.inputs, conv.kernel * conv.kernel, places], outputs * places),
        };
        let stages = network.conv.get(index).map_or(&[][..], |conv| &conv.stages);
        let kinds: &[&str] = match stages.iter().find_map(normalization) {
            Some(Stage::BatchNorm(_)) => &["gain", "shift", "running_mean", "running_variance"],
            Some(_) => &["gain", "shift"],
            None => &[],
        };
        shapes.extend(kinds.iter().map(|kind| (format!("{name}.{kind}"), vec![outputs])));
        shapes.insert(format!("{name}.weight"), weight);
        shapes.insert(format!("{name}.bias"), vec![biases]);
    }
    Ok(shapes)
}

/// The tensor of a file that contains a parameter.
struct Place<'a> {
    /// The tensor's name in the file.
    tensor: String,
    tower: usize,
    layer: &'a LayerTrace,
    /// Whether the file stores it transposed: units by inputs.
    transposed: bool,
}

impl<'a> Place<'a> {
    /// Returns the location of a parameter such as `conv1.0.weight`.
    fn of(parameter: &str, network: &Network, trace: &'a Trace, names: Names) -> Option<Self> {
        let (rest, kind) = parameter.rsplit_once('.')?;
        let (layer, tower) = rest.rsplit_once('.')?;
        let index = trace.layers.iter().position(|trace| trace.name == layer)?;
        Some(Self {
            tensor: format!("{}.{kind}", names.layer(network, index)?),
            tower: tower.parse().ok()?,
            layer: &trace.layers[index],
            transposed: index >= network.conv.len() && kind == "weight",
        })
    }

    /// Returns the parameter's values.
    fn values(&self, tensor: &Tensor) -> Vec<f32> {
        let values = &tensor.values[self.rows(tensor.values.len())];
        if self.transposed { transpose(values, tensor.shape[1]) } else { values.to_vec() }
    }

    /// Returns the elements of the tensor that belong to the tower.
    fn rows(&self, whole: usize) -> Range<usize> {
        let size = whole / self.layer.towers;
        self.tower * size..(self.tower + 1) * size
    }
}

/// Checks that all of a tensor's numbers are finite.
fn finite(name: &str, tensor: &Tensor) -> Result<(), WeightsError> {
    match tensor.values.iter().find(|value| !value.is_finite()) {
        None => Ok(()),
        Some(value) => {
            let problem = format!("has {value} among its numbers");
            Err(WeightsError::Tensor { tensor: name.to_owned(), problem })
        }
    }
}

impl Weights {
    /// Explains why a tensor is missing.
    fn absent(&self, name: &str) -> String {
        match self.left_out.get(name) {
            Some(kind) => format!("holds {kind}, no floating-point numbers"),
            None => "is missing".to_owned(),
        }
    }

    /// Returns the number of outputs of the last layer in this file. It differs from `network`'s own if the weights
    /// were trained for other classes. Returns `None` if there is no such layer.
    pub fn outputs(&self, network: &Network) -> Option<usize> {
        let last = (network.conv.len() + network.fc.len()).checked_sub(1)?;
        let layer = Names::of(self, network).ok()?.layer(network, last)?;
        self.tensors.get(&format!("{layer}.bias"))?.shape.first().copied()
    }

    /// Returns the number of tensors that have the names and shapes of those of `network`.
    pub fn in_common(&self, network: &Network) -> usize {
        let layout = Names::of(self, network).and_then(|names| layout(network, names)).unwrap_or_default();
        let same = |(name, shape): &(&String, &Vec<usize>)| {
            self.tensors.get(*name).is_some_and(|tensor| tensor.shape == **shape)
        };
        layout.iter().filter(same).count()
    }

    /// Checks that these are the weights of `network`: every parameter in its shape, and nothing else.
    ///
    /// # Errors
    /// If a tensor is missing, superfluous or of another shape. The error names it.
    pub fn check(&self, network: &Network) -> Result<Names, WeightsError> {
        let names = Names::of(self, network)?;
        let error =
            |tensor: &str, problem: String| WeightsError::Tensor { tensor: tensor.to_owned(), problem };
        let layout = layout(network, names)?;
        for (name, expected) in &layout {
            let tensor = self.tensors.get(name).ok_or_else(|| error(name, self.absent(name)))?;
            if tensor.shape != *expected {
                let problem =
                    format!("has shape {:?}, but `{}` needs {expected:?}", tensor.shape, network.name);
                return Err(error(name, problem));
            }
        }
        match self.tensors.keys().find(|name| !layout.contains_key(*name)) {
            Some(name) => Err(error(name, format!("is no part of network `{}`", network.name))),
            None => Ok(names),
        }
    }

    /// Builds `network` with these weights.
    ///
    /// # Errors
    /// As for [`check`](Self::check), and if a number is not finite.
    pub fn network(&self, network: &Network, device: &Device) -> Result<AlexNet, WeightsError> {
        let (names, trace) = (self.check(network)?, network.trace()?);
        network.build(device, &mut |parameter| {
            let place = Place::of(&parameter.name, network, &trace, names).expect("a layer that was checked");
            let tensor = &self.tensors[&place.tensor];
            finite(&place.tensor, tensor)?;
            Ok(place.values(tensor))
        })
    }

    /// Builds `network` with these weights, except those of the layers `anew`, which are drawn from `seed`.
    /// Fine-tuning starts from this network. Tensors without a layer in the network are ignored.
    ///
    /// # Errors
    /// If another layer is missing, has another shape or a number that is not finite, or a layer of `anew` does not
    /// exist.
    pub fn begin(
        &self,
        network: &Network,
        anew: &[String],
        seed: u64,
        devices: &[Device],
    ) -> Result<AlexNet, WeightsError> {
        let (names, trace) = (Names::of(self, network)?, network.trace()?);
        let error =
            |tensor: &str, problem: String| WeightsError::Tensor { tensor: tensor.to_owned(), problem };
        if let Some(unknown) = anew.iter().find(|name| !trace.layers.iter().any(|layer| layer.name == **name))
        {
            return Err(error(unknown, format!("network `{}` has no such layer to draw anew", network.name)));
        }
        let layout = layout(network, names)?;
        network.build_on(devices, &mut |parameter| {
            let place =
                Place::of(&parameter.name, network, &trace, names).expect("a layer of the network's own");
            if anew.contains(&place.layer.name) {
                return Ok(parameter.draw(seed));
            }
            let (name, layer) = (&place.tensor, &place.layer.name);
            let unfit = |problem| WeightsError::Layer { layer: layer.clone(), tensor: name.clone(), problem };
            let Some(tensor) = self.tensors.get(name) else {
                let absent = self.absent(name);
                return Err(unfit(absent));
            };
            if tensor.shape != layout[name] {
                let (found, needed) = (&tensor.shape, &layout[name]);
                let what = format!("has shape {found:?}, but `{}` needs {needed:?}", network.name);
                return Err(unfit(what));
            }
            finite(name, tensor)?;
            Ok(place.values(tensor))
        })
    }

    /// Returns the weights of a network under a library's names.
    ///
    /// # Errors
    /// If the library's network has other layers.
    pub fn of(model: &AlexNet, names: Names) -> Result<Self, WeightsError> {
        let (network, trace) = (model.network(), model.network().trace()?);
        let zeros = |shape: Vec<usize>| Tensor { values: vec![0.0; shape.iter().product()], shape };
        let tensors = layout(network, names)?.into_iter().map(|(name, shape)| (name, zeros(shape)));
        let mut weights = Self { tensors: tensors.collect(), ..Self::default() };
        for (name, shape, values) in model.parameters() {
            let place = Place::of(&name, network, &trace, names).expect("a layer of the layout");
            let whole = weights.tensors.get_mut(&place.tensor).expect("a tensor of the layout");
            let rows = place.rows(whole.values.len());
            let values = if place.transposed { transpose(&values, shape[1]) } else { values };
            whole.values[rows].copy_from_slice(&values);
        }
        Ok(weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preset(name: &str) -> Network {
        let preset = alexnet_model::Preset::ALL.iter().find(|preset| preset.name == name).unwrap();
        toml::from_str(preset.toml).unwrap()
    }

    fn device() -> Device {
        alexnet_ops::Backend::in_this_build()[0].device().unwrap()
    }

    #[test]
    fn there_and_back_is_the_same_to_the_bit() {
        for (preset_name, names) in
            [("mini", Names::Ours), ("mini", Names::Torchvision), ("cifar10-conv-local-11pct", Names::Record)]
        {
            let model = preset(preset_name).init(3, &device()).unwrap();
            let weights = Weights::of(&model, names).unwrap();
            let again = weights.network(&preset(preset_name), &device()).unwrap();
            assert_eq!(again.parameters(), model.parameters(), "{preset_name} {names:?}");
        }
    }

    #[test]
    fn batch_normalization_travels_with_its_averages() {
        let mut network = preset("mini");
        let norm = alexnet_model::BatchNormalization { epsilon: 1e-5, momentum: 0.1 };
        network.conv[1].stages.insert(0, Stage::BatchNorm(norm));
        let mut next = 0.0;
        let model: AlexNet = network
            .build::<WeightsError>(&device(), &mut |parameter| {
                next += 1.0;
                Ok(vec![next; parameter.shape.iter().product()])
            })
            .unwrap();
        for names in [Names::Ours, Names::Record] {
            let weights = Weights::of(&model, names).unwrap();
            assert_eq!(weights.network(&network, &device()).unwrap().parameters(), model.parameters());
        }
        let weights = Weights::of(&model, Names::Ours).unwrap();
        assert_eq!(weights.tensors["conv2.running_variance"].shape, [24]);
    }

    #[test]
    fn in_a_file_a_layer_is_whole_and_a_fully_connected_one_is_units_by_inputs() {
        let network = preset("mini");
        let model = network.init(3, &device()).unwrap();
        let weights = Weights::of(&model, Names::Torchvision).unwrap();
        let parameters = model.parameters();
        let find = |name: &str| parameters.iter().find(|(found, ..)| found == name).unwrap();
        let whole = &weights.tensors["features.3.weight"];
        let (_, shape, second) = find("conv2.1.weight");
        assert_eq!(whole.shape, [2 * shape[0], shape[1], shape[2], shape[3]]);
        assert_eq!(whole.values[second.len()..], second[..]);
        let whole = &weights.tensors["classifier.1.weight"];
        let (_, shape, second) = find("fc6.1.weight");
        let (inputs, units) = (shape[0], shape[1]);
        assert_eq!(whole.shape, [2 * units, inputs]);
        // The weight from input 5 to unit 3 of the second tower.
        assert_eq!(whole.values[(units + 3) * inputs + 5], second[5 * units + 3]);
    }

    #[test]
    fn fine_tuning_begins_with_what_fits_and_draws_what_is_asked_for() {
        let old = preset("mini").init(3, &device()).unwrap();
        let weights = Weights::of(&old, Names::Ours).unwrap();
        let mut network = preset("mini");
        network.classes = 4;
        network.fc.last_mut().unwrap().units = 4;
        let begin = |anew: &[&str]| {
            let anew: Vec<String> = anew.iter().map(|&name| name.to_owned()).collect();
            weights.begin(&network, &anew, 7, &[device()])
        };
        let new = begin(&["fc8", "conv2"]).unwrap();
        let drawn = network.init(7, &device()).unwrap();
        for ((name, _, values), (_, _, drawn)) in new.parameters().iter().zip(drawn.parameters()) {
            let before = old.parameters().into_iter().find(|(other, ..)| other == name).unwrap().2;
            let anew = name.starts_with("fc8") || name.starts_with("conv2");
            assert_eq!(*values, if anew { drawn } else { before }, "{name}");
        }
        let error = begin(&[]).unwrap_err().to_string();
        assert!(error.contains("`fc8.weight`: has shape [10, "), "{error}");
        assert!(begin(&["fc9"]).unwrap_err().to_string().contains("no such layer"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let network = preset("mini");
        let good = Weights::of(&network.init(0, &device()).unwrap(), Names::Torchvision).unwrap();
        let message = |change: &dyn Fn(&mut Weights)| {
            let mut weights = good.clone();
            change(&mut weights);
            weights.network(&network, &device()).unwrap_err().to_string()
        };
        let found = message(&|weights| drop(weights.tensors.remove("classifier.4.bias")));
        assert_eq!(found, "tensor `classifier.4.bias`: is missing");
        let found = message(&|weights| weights.tensors.get_mut("features.6.bias").unwrap().shape = vec![1]);
        assert!(found.starts_with("tensor `features.6.bias`: has shape [1], but `mini` needs ["), "{found}");
        let found =
            message(&|weights| weights.tensors.get_mut("features.0.weight").unwrap().values[7] = f32::NAN);
        assert_eq!(found, "tensor `features.0.weight`: has NaN among its numbers");
        let found = message(&|weights| {
            weights.tensors.insert("extra".to_owned(), Tensor { shape: vec![1], values: vec![0.0] });
        });
        assert_eq!(found, "tensor `extra`: is no part of network `mini`");
        let found = message(&|weights| *weights = Weights::default());
        assert!(
            found.contains("neither as `conv1.weight` nor as `features.0.weight`; it has no tensors"),
            "{found}"
        );
        // A transposed square matrix has the right shape. Only a comparison with a library's outputs reveals it.
        let names = Names::of(&good, &network).unwrap();
        assert_eq!(names, Names::Torchvision);
    }
}
