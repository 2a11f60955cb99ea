//! The weights of an AlexNet in an ONNX file: of this project, of PyTorch's exporters, of Caffe2's.
//!
//! The graph is not run. Its convolutions and fully connected layers are taken in their order; a preset whose shapes they have
//! says the rest.

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path};

use prost::Message;

use super::proto::{BFLOAT16, DOUBLE, FLOAT, FLOAT16, Graph, Model, Node, TensorProto};
use crate::metadata::{ENTRIES, FOLDED, INPUT_SIDE};
use crate::protobuf::{MANY, messages};
use crate::tensors::{Budget, Kind, joined, problem, transpose};
use crate::{Tensor, Weights, WeightsError};

/// The fields that are repeated messages or texts: those of a model, of a graph, of a node or tensor, and of an attribute.
const MESSAGES: [&[u32]; 4] = [&[7, 8, 14], &[1, 5, 11, 12], &[1, 2, 5, 13], &[5, 13]];
/// Reads the weights of an ONNX file. Messages call it `path`; `beside` is its path if tensors may be in files beside it.
pub(crate) fn read(path: &Path, bytes: &[u8], beside: Option<&Path>) -> Result<Weights, WeightsError> {
    if messages(bytes, &MESSAGES) > MANY {
        return Err(problem(path, format!("has more than {MANY} nodes and tensors")));
    }
    let damaged = |error| problem(path, format!("a damaged ONNX model ({error})"));
    let model = Model::decode(bytes).map_err(damaged)?;
    let graph = model.graph.ok_or_else(|| problem(path, "is an ONNX model without a graph"))?;
    let mut metadata: BTreeMap<String, String> =
        model.metadata.into_iter().map(|entry| (entry.key, entry.value)).collect();
    let ours = model.producer == "alexnet-burn";
    if ours && metadata.get(ENTRIES).is_none_or(|entries| *entries != metadata.len().to_string()) {
        return Err(problem(path, "a damaged ONNX model (its end is missing)"));
    }
    metadata.remove(ENTRIES);
    metadata.insert("format".to_owned(), "onnx".to_owned());
    if let Some(side) = input_side(&graph) {
        metadata.insert(INPUT_SIDE.to_owned(), side.to_string());
    }
    let constants = Constants::of(beside, bytes.len() as u64, graph.initializers, &graph.nodes)?;
    let tensors = match ours {
        true => own(constants)?,
        false => in_order(path, constants, &graph.nodes, &mut metadata)?,
    };
    let mut weights = Weights { tensors, metadata, ..Weights::default() };
    #[cfg(feature = "network")]
    unfold(path, &mut weights)?;
    weights.metadata.remove(FOLDED);
    Ok(weights)
}

/// Returns the side of the first square input of three extents and a batch.
fn input_side(graph: &Graph) -> Option<usize> {
    graph.inputs.iter().find_map(|input| {
        let shape = input.of.as_ref()?.tensor.as_ref()?.shape.as_ref()?;
        let extents: Vec<Option<i64>> = shape.extents.iter().map(|extent| extent.value).collect();
        match extents[..] {
            [_, Some(1 | 3), Some(height), Some(width)] if height == width => usize::try_from(height).ok(),
            _ => None,
        }
    })
}

/// The constants of a graph by name.
struct Constants<'a> {
    tensors: HashMap<String, Tensor>,
    /// The constant behind each `Identity`: PyTorch's exporter stores equal tensors once, and copies them by such nodes.
    copies: HashMap<&'a str, &'a str>,
}

impl<'a> Constants<'a> {
    fn of(
        path: Option<&Path>,
        size: u64,
        initializers: Vec<TensorProto>,
        nodes: &'a [Node],
    ) -> Result<Self, WeightsError> {
        let mut budget = Budget::of(size);
        let mut found = HashMap::new();
        let of_nodes = nodes.iter().filter(|node| node.operator == "Constant").filter_map(|node| {
            let tensor =
                node.attributes.iter().find(|attribute| attribute.name == "value")?.tensor.clone()?;
            Some(TensorProto { name: node.outputs.first()?.clone(), ..tensor })
        });
        for tensor in initializers.into_iter().chain(of_nodes.collect::<Vec<_>>()) {
            let name = tensor.name.clone();
            if let Some(read) = numbers(path, tensor, &mut budget)
                .map_err(|problem| WeightsError::Tensor { tensor: name.clone(), problem })?
                && found.insert(name.clone(), read).is_some()
            {
                return Err(WeightsError::Tensor { tensor: name, problem: "is there twice".to_owned() });
            }
        }
        let mut copies = HashMap::new();
        for node in nodes.iter().filter(|node| node.operator == "Identity") {
            if let (Some(from), Some(to)) = (node.inputs.first(), node.outputs.first()) {
                // Nodes are in the order of computation, so the copy of a copy finds the first.
                let first = *copies.get(from.as_str()).unwrap_or(&from.as_str());
                copies.insert(to.as_str(), first);
            }
        }
        Ok(Self { tensors: found, copies })
    }

    fn first<'b>(&self, name: &'b str) -> &'b str
    where
        'a: 'b,
    {
        self.copies.get(name).copied().unwrap_or(name)
    }

    fn take(&mut self, name: Option<&String>) -> Option<Tensor> {
        let name = self.first(name?);
        self.tensors.remove(name)
    }

    /// Returns the bias of a layer, or `None` if its node names none. Layers may share a bias, but not a weight, so that the
    /// biases of a file never take more memory than its weights.
    fn bias(&self, name: Option<&String>, units: usize) -> Result<Option<Tensor>, String> {
        let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(None) };
        match self.tensors.get(self.first(name)) {
            Some(bias) if bias.values.len() == units => {
                Ok(Some(Tensor { shape: vec![units], values: bias.values.clone() }))
            }
            Some(bias) => Err(format!("has a bias of {} numbers for {units} units", bias.values.len())),
            None => Err("has a bias that is not a constant of floating-point numbers".to_owned()),
        }
    }
}

/// Returns a tensor of floating-point numbers, or `None` for one of others.
fn numbers(path: Option<&Path>, tensor: TensorProto, budget: &mut Budget) -> Result<Option<Tensor>, String> {
    let kind = match tensor.kind {
        FLOAT => Kind::F32,
        DOUBLE => Kind::F64,
        FLOAT16 => Kind::F16,
        BFLOAT16 => Kind::Bf16,
        _ => return Ok(None),
    };
    let shape: Option<Vec<usize>> = tensor.dims.iter().map(|&extent| usize::try_from(extent).ok()).collect();
    let count = shape.as_ref().and_then(|s| s.iter().try_fold(1usize, |all, n| all.checked_mul(*n)));
    let (Some(shape), Some(count)) = (shape, count) else {
        return Err(format!("has a shape of {:?}", tensor.dims));
    };
    let values = match (tensor.raw, tensor.location) {
        (_, 1) => {
            let path = path.ok_or("is in another file, which is not there")?;
            let bytes = beside(path, &tensor.external, budget)?;
            kind.read(&bytes)
        }
        (Some(raw), _) if !raw.is_empty() => kind.read(&raw),
        _ if !tensor.doubles.is_empty() => tensor.doubles.iter().map(|value| *value as f32).collect(),
        _ => tensor.floats,
    };
    if values.len() != count || count == 0 {
        return Err(format!("has {} numbers for a shape of {shape:?}", values.len()));
    }
    Ok(Some(Tensor { shape, values }))
}

/// Reads the bytes of a tensor from a file beside the model, as PyTorch's exporter writes them.
fn beside(path: &Path, external: &[super::proto::Entry], budget: &mut Budget) -> Result<Vec<u8>, String> {
    use std::io::{Read, Seek, SeekFrom};
    let entry = |key: &str| external.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
    let file = entry("location").ok_or("has no file")?;
    // A model from elsewhere must not name files of this machine.
    let mut parts = Path::new(file).components();
    let (Some(Component::Normal(name)), None) = (parts.next(), parts.next()) else {
        return Err(format!("is in `{}`, which is no file beside the model", file.escape_debug()));
    };
    let number = |key: &str| entry(key).map_or(Some(0), |value| value.parse::<u64>().ok());
    let (Some(offset), Some(length)) = (number("offset"), number("length")) else {
        return Err("has an invalid place in its file".to_owned());
    };
    let data = path.with_file_name(name);
    if !data.is_file() {
        return Err(format!("is in {}, which is no file", data.display()));
    }
    let mut opened = std::fs::File::open(&data)
        .map_err(|error| format!("is in {}, which cannot be read: {error}", data.display()))?;
    let there = opened.metadata().map(|file| file.len()).unwrap_or(0);
    let end = offset.checked_add(length).filter(|end| *end <= there);
    let length = match (end, length) {
        (Some(_), 0) => there - offset,
        (Some(_), length) => length,
        (None, _) => {
            return Err(format!("ends at byte {} of a file of {there}", offset.saturating_add(length)));
        }
    };
    budget.allow(there);
    budget.spend("", length as usize).map_err(|_| "shares its numbers with too many others".to_owned())?;
    let mut bytes = vec![0; length as usize];
    opened
        .seek(SeekFrom::Start(offset))
        .and_then(|_| opened.read_exact(&mut bytes))
        .map_err(|e| e.to_string())?;
    Ok(bytes)
}

/// The tensors of this project's own graph, which have the names of the layers. Fully connected layers of towers are joined.
fn own(constants: Constants<'_>) -> Result<BTreeMap<String, Tensor>, WeightsError> {
    let mut tensors = BTreeMap::new();
    let mut parts: BTreeMap<String, BTreeMap<usize, Tensor>> = BTreeMap::new();
    for (name, tensor) in constants.tensors {
        let pieces: Vec<&str> = name.split('.').collect();
        // `conv1.weight`, `fc6.0.weight` of a tower, `conv1.batch-norm.1.gain`.
        let name = match pieces[..] {
            [layer, kind @ ("weight" | "bias")] | [layer, "batch-norm" | "group-norm", _, kind] => {
                format!("{layer}.{kind}")
            }
            [layer, tower, kind @ ("weight" | "bias")] => {
                if let Ok(tower) = tower.parse() {
                    parts.entry(format!("{layer}.{kind}")).or_default().insert(tower, tensor);
                }
                continue;
            }
            _ => continue,
        };
        tensors.insert(name, tensor);
    }
    tensors.extend(joined(parts)?);
    Ok(tensors)
}

/// The weights of a foreign graph, layer by layer in the order of its nodes, under the names of this project's records.
fn in_order(
    path: &Path,
    mut constants: Constants<'_>,
    nodes: &[Node],
    metadata: &mut BTreeMap<String, String>,
) -> Result<BTreeMap<String, Tensor>, WeightsError> {
    let names: Vec<&String> = nodes.iter().flat_map(|node| &node.inputs).collect();
    let caffe = names.iter().any(|name| name.starts_with("conv1_w"));
    let theirs = names.iter().any(|name| name.ends_with("features.0.weight"));
    let mut layers: [Vec<(Tensor, Option<Tensor>)>; 2] = Default::default();
    let mut unbiased: HashMap<&str, usize> = HashMap::new();
    for node in nodes {
        let input = |at: usize| node.inputs.get(at);
        let stopped = |stop: String| problem(path, format!("layer `{}` {stop}", shown(node)));
        let output = node.outputs.first();
        match node.operator.as_str() {
            "Conv" => {
                let Some(mut weight) = constants.take(input(1)) else {
                    return Err(problem(
                        path,
                        format!("convolution `{}` has no constant kernels", shown(node)),
                    ));
                };
                if layers[0].is_empty() && caffe {
                    crate::caffe::reverse_channels(&mut weight);
                }
                let bias = constants.bias(input(2), extent(&weight)).map_err(stopped)?;
                layers[0].push((weight, bias));
            }
            "Gemm" => {
                let Some(weight) = constants.take(input(1)) else { continue };
                let transposed = attribute(node, "transB") == Some(1);
                let weight = if transposed { Some(weight) } else { rows(weight) };
                let plain =
                    |name: &str| node.attributes.iter().all(|a| a.name != name || a.float == Some(1.0));
                let (Some(weight), true) = (weight, plain("alpha") && plain("beta")) else {
                    return Err(problem(
                        path,
                        format!("product `{}` is none of a fully connected layer", shown(node)),
                    ));
                };
                let bias = constants.bias(input(2), extent(&weight)).map_err(stopped)?;
                layers[1].push((weight, bias));
            }
            "MatMul" => {
                let Some(weight) = constants.take(input(1)).and_then(rows) else { continue };
                unbiased.extend(output.map(|output| (output.as_str(), layers[1].len())));
                layers[1].push((weight, None));
            }
            "Add" => {
                let of = |input: &String| unbiased.get(constants.first(input)).copied();
                let product = node.inputs.iter().find_map(of);
                let Some(layer) = product else { continue };
                // A sum of two products is none with a bias.
                let Some(other) = node.inputs.iter().find(|input| of(input).is_none()) else { continue };
                let (weight, bias) = &mut layers[1][layer];
                *bias = constants.bias(Some(other), extent(weight)).map_err(stopped)?;
            }
            _ => {}
        }
    }
    if layers.iter().all(Vec::is_empty) {
        return Err(problem(path, "is an ONNX model without convolutions or fully connected layers"));
    }
    if caffe {
        metadata.insert("format".to_owned(), "caffe".to_owned());
        let first = nodes.iter().find(|node| ["LRN", "MaxPool"].contains(&node.operator.as_str()));
        let first = first.map(|node| if node.operator == "LRN" { "LRN" } else { "Pooling" });
        metadata.extend(first.map(|first| ("first".to_owned(), first.to_owned())));
    }
    let torchvision = theirs && layers[0].len() == 5 && layers[1].len() == 3;
    let mut tensors = BTreeMap::new();
    for (kind, layers) in ["conv", "fc"].into_iter().zip(layers) {
        for (index, (weight, bias)) in layers.into_iter().enumerate() {
            let name = match (torchvision, kind) {
                (false, _) => format!("{kind}.{index}"),
                (true, "conv") => format!("features.{}", [0, 3, 6, 8, 10][index]),
                (true, _) => format!("classifier.{}", [1, 4, 6][index]),
            };
            let &[units, ..] = &weight.shape[..] else {
                return Err(problem(path, "has a layer whose weight is a single number"));
            };
            let bias = bias.unwrap_or_else(|| Tensor { shape: vec![units], values: vec![0.0; units] });
            tensors.insert(format!("{name}.weight"), weight);
            tensors.insert(format!("{name}.bias"), bias);
        }
    }
    Ok(tensors)
}

/// The number of a layer's outputs.
fn extent(weight: &Tensor) -> usize {
    weight.shape.first().copied().unwrap_or(1)
}

/// Transposes `[inputs, units]` to `[units, inputs]`. Returns `None` for another number of extents.
fn rows(tensor: Tensor) -> Option<Tensor> {
    let [inputs, units] = tensor.shape[..] else { return None };
    Some(Tensor { shape: vec![units, inputs], values: transpose(&tensor.values, units) })
}

fn attribute(node: &Node, name: &str) -> Option<i64> {
    node.attributes.iter().find(|attribute| attribute.name == name)?.int
}

fn shown(node: &Node) -> String {
    node.name.escape_debug().take(200).collect()
}

/// Divides weights by the factors of dropout that the export multiplied them by.
#[cfg(feature = "network")]
fn unfold(path: &Path, weights: &mut Weights) -> Result<(), WeightsError> {
    if !weights.metadata.contains_key(FOLDED) {
        return Ok(());
    }
    let network = weights.metadata.get(crate::metadata::NETWORK);
    let Some(network) = network.and_then(|toml| alexnet_config::parse::<alexnet_model::Network>(toml).ok())
    else {
        return Err(problem(
            path,
            "holds dropout's factors in its weights, but not the network that has them",
        ));
    };
    let names =
        network.conv.iter().map(|layer| &layer.name).chain(network.fc.iter().map(|layer| &layer.name));
    for (name, factor) in names.zip(super::folded::folded(&network)) {
        if let Some(tensor) = weights.tensors.get_mut(&format!("{name}.weight")).filter(|_| factor != 1.0) {
            tensor.values.iter_mut().for_each(|value| *value /= factor);
        }
    }
    Ok(())
}
