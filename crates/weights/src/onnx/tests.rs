use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use alexnet_model::{Network, Preset};
use prost::Message;

use super::OnnxError;
use super::graph::{int, ints};
use super::proto::{Attribute, Entry, FLOAT, Graph, Model, Node, TensorProto};
use crate::metadata::{FOLDED, NETWORK};
use crate::{Tensor, Weights, WeightsError};

/// A network of two towers with everything that a graph treats in a special way: LRN within towers, a layer of each kind of
/// `reads`, and dropout of the paper's kind.
const TOWERS: &str = r#"
    name = "towers"
    sources = []
    input = { channels = 3, size = 9 }
    classes = 3
    towers = 2
    activation = "relu"
    dropout = "2012"
    [[conv]]
    name = "conv1"
    filters = 6
    kernel = 3
    stride = 1
    padding = { top = 1, left = 1, bottom = 1, right = 1 }
    reads = "own"
    weight_std = 0.1
    bias = 0.0
    stages = ["activation", { lrn = { size = 3, alpha = 1e-4, beta = 0.75, k = 2.0, convention = "sum" } },
        { max-pool = { size = 3, stride = 2, padding = 0, rounding = "ceil" } }]
    [[fc]]
    name = "fc6"
    units = 4
    reads = "own"
    weight_std = 0.1
    bias = 0.0
    stages = ["activation", { dropout = 0.5 }]
    [[fc]]
    name = "fc7"
    units = 3
    reads = "all"
    weight_std = 0.1
    bias = 0.0
    stages = []
"#;

fn read(path: &Path, bytes: &[u8]) -> Result<Weights, WeightsError> {
    super::read(path, bytes, None)
}

fn towers() -> Network {
    alexnet_config::parse(TOWERS).expect("a network")
}

/// Weights of [`TOWERS`], each number of its own.
fn weights() -> Weights {
    let shapes: [(&str, &[usize]); 6] = [
        ("conv1.weight", &[6, 3, 3, 3]),
        ("conv1.bias", &[6]),
        ("fc6.weight", &[4, 48]),
        ("fc6.bias", &[4]),
        ("fc7.weight", &[3, 4]),
        ("fc7.bias", &[3]),
    ];
    let tensors = shapes.into_iter().map(|(name, shape)| {
        let values =
            (0..shape.iter().product()).map(|at: usize| at as f32 / 8.0 + name.len() as f32).collect();
        (name.to_owned(), Tensor { shape: shape.to_vec(), values })
    });
    let metadata = BTreeMap::from([(NETWORK.to_owned(), TOWERS.to_owned())]);
    Weights { tensors: tensors.collect(), metadata, ..Weights::default() }
}

fn model(bytes: &[u8]) -> Model {
    Model::decode(bytes).expect("a model")
}

fn file() -> PathBuf {
    PathBuf::from("a.onnx")
}

#[test]
fn what_is_written_is_read_to_the_bit() {
    let bytes = weights().to_onnx(&towers(), None).unwrap();
    let again = read(&file(), &bytes).unwrap();
    assert_eq!(again.tensors, weights().tensors);
    assert_eq!(again.metadata[NETWORK], TOWERS);
    assert!(!again.metadata.contains_key(FOLDED));
    let nameless = Weights { metadata: BTreeMap::new(), ..weights() };
    let again = read(&file(), &nameless.to_onnx(&towers(), None).unwrap()).unwrap();
    assert_eq!(again.tensors, weights().tensors);
    assert_eq!(bytes, weights().to_onnx(&towers(), None).unwrap());
}

#[test]
fn towers_are_split_where_a_window_or_a_product_would_cross_them() {
    let graph = model(&weights().to_onnx(&towers(), None).unwrap()).graph.unwrap();
    let operators: Vec<&str> = graph.nodes.iter().map(|node| node.operator.as_str()).collect();
    assert_eq!(
        operators,
        [
            "Conv", "Relu", "Split", "LRN", "LRN", "Concat", "MaxPool", "Flatten", "Split", "Gemm", "Gemm",
            "Concat", "Relu", "Gemm"
        ]
    );
    assert_eq!((graph.inputs[0].name.as_str(), graph.outputs[0].name.as_str()), ("images", "logits"));
    let lrn = &graph.nodes[3].attributes;
    // The paper's alpha multiplies the sum, ONNX's the mean over three maps.
    assert_eq!(lrn.iter().find(|attribute| attribute.name == "alpha").unwrap().float, Some(3e-4));
    // 9 → 4: the last window of 3/2 lies within the map, so there is no padding.
    let pads = graph.nodes[6].attributes.iter().find(|attribute| attribute.name == "pads").unwrap();
    assert_eq!(pads.ints, [0, 0, 0, 0]);
}

#[test]
fn the_factor_of_dropout_is_part_of_the_next_weights() {
    let graph = model(&weights().to_onnx(&towers(), None).unwrap()).graph.unwrap();
    let stored = graph.initializers.iter().find(|tensor| tensor.name == "fc7.weight").unwrap();
    let first = f32::from_le_bytes(stored.raw.as_ref().unwrap()[..4].try_into().unwrap());
    assert_eq!(first, 0.5 * weights().tensors["fc7.weight"].values[0]);
    let mut inverted = towers();
    inverted.dropout = alexnet_model::DropoutConvention::Inverted;
    let graph = model(&weights().to_onnx(&inverted, None).unwrap()).graph.unwrap();
    let stored = graph.initializers.iter().find(|tensor| tensor.name == "fc7.weight").unwrap();
    let first = f32::from_le_bytes(stored.raw.as_ref().unwrap()[..4].try_into().unwrap());
    assert_eq!(first, weights().tensors["fc7.weight"].values[0]);
}

#[test]
fn what_onnx_lacks_is_refused() {
    let refused = |change: &dyn Fn(&mut Network)| {
        let mut network = towers();
        change(&mut network);
        match weights().to_onnx(&network, None) {
            Err(OnnxError::Layer { layer, problem }) => format!("{layer}: {problem}"),
            other => panic!("{other:?}"),
        }
    };
    let even = refused(&|network| {
        if let alexnet_model::Stage::Lrn(lrn) = &mut network.conv[0].stages[1] {
            lrn.size = 4;
        }
    });
    assert!(even.starts_with("conv1: has LRN over an even number"), "{even}");
    // Both towers read the three channels of the image and have three kernels.
    let mut shared = towers();
    (shared.conv[0].residual, shared.conv[0].stages) = (true, vec![alexnet_model::Stage::Activation]);
    let trace = shared.trace().unwrap();
    let fc = [("fc6", 4, trace.layers[1].inputs), ("fc7", 3, 4)];
    let mut given = weights();
    for (name, units, inputs) in fc {
        let weight = Tensor { shape: vec![units, inputs], values: vec![0.0; units * inputs] };
        given.tensors.insert(format!("{name}.weight"), weight);
    }
    let error = given.to_onnx(&shared, None).map(drop).unwrap_err().to_string();
    assert!(error.contains("maps of all towers to those of each"), "{error}");
    let local = Preset::load("cifar10-conv-local-13pct").unwrap();
    assert!(matches!(weights().to_onnx(&local, None), Err(OnnxError::Layer { .. })));
}

fn constant(name: &str, shape: &[i64], values: Vec<f32>) -> TensorProto {
    TensorProto {
        dims: shape.to_vec(),
        kind: FLOAT,
        name: name.to_owned(),
        floats: values,
        ..TensorProto::default()
    }
}

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|at| at as f32).collect()
}

fn node(operator: &str, inputs: &[&str], output: &str, attributes: Vec<Attribute>) -> Node {
    Node {
        inputs: inputs.iter().map(|&input| input.to_owned()).collect(),
        outputs: vec![output.to_owned()],
        operator: operator.to_owned(),
        attributes,
        ..Node::default()
    }
}

fn foreign(nodes: Vec<Node>, initializers: Vec<TensorProto>) -> Vec<u8> {
    let graph = Graph { nodes, initializers, ..Graph::default() };
    Model { ir_version: 8, producer: "elsewhere".to_owned(), graph: Some(graph), ..Model::default() }
        .encode_to_vec()
}

#[test]
fn layers_are_taken_in_the_order_of_the_graph() {
    let bytes = foreign(
        vec![
            node("Conv", &["x", "k", "kb"], "c", vec![ints("pads", &[1, 1, 1, 1])]),
            node("Flatten", &["c"], "f", vec![]),
            node("MatMul", &["f", "m"], "mm", vec![]),
            node("Add", &["mm", "mb"], "ma", vec![]),
            node("Gemm", &["ma", "g", "gb"], "y", vec![int("transB", 1)]),
        ],
        vec![
            constant("gb", &[1, 2], numbers(2)),
            constant("g", &[2, 3], numbers(6)),
            constant("mb", &[3], numbers(3)),
            constant("m", &[2, 3], numbers(6)),
            constant("k", &[1, 1, 3, 3], numbers(9)),
            constant("kb", &[1], vec![7.0]),
        ],
    );
    let weights = read(&file(), &bytes).unwrap();
    let names: Vec<&str> = weights.tensors.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["conv.0.bias", "conv.0.weight", "fc.0.bias", "fc.0.weight", "fc.1.bias", "fc.1.weight"]
    );
    // A product of rows by `[inputs, units]` is stored as units by inputs.
    let first = &weights.tensors["fc.0.weight"];
    assert_eq!(
        (first.shape.as_slice(), first.values.as_slice()),
        (&[3, 2][..], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0][..])
    );
    assert_eq!(weights.tensors["fc.0.bias"].values, numbers(3));
    assert_eq!(weights.tensors["fc.1.bias"].shape, [2]);
}

#[test]
fn numbers_beside_the_model_are_read_from_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let bytes: Vec<u8> = numbers(6).iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(folder.path().join("model.onnx.data"), &bytes).unwrap();
    std::fs::write(folder.path().join("secret"), &bytes).unwrap();
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    let of = |location: &str, offset: &str, length: &str, beside: Option<&Path>| {
        let entry = |key: &str, value: &str| Entry { key: key.to_owned(), value: value.to_owned() };
        let external = vec![entry("location", location), entry("offset", offset), entry("length", length)];
        let kernels = TensorProto {
            dims: vec![1, 1, 2, 2],
            kind: FLOAT,
            name: "k".to_owned(),
            external,
            location: 1,
            ..TensorProto::default()
        };
        super::read(&path, &foreign(vec![node("Conv", &["x", "k"], "y", vec![])], vec![kernels]), beside)
    };
    let read = |location: &str, offset: &str, length: &str| of(location, offset, length, Some(&path));
    assert_eq!(
        read("model.onnx.data", "8", "16").unwrap().tensors["conv.0.weight"].values,
        [2.0, 3.0, 4.0, 5.0]
    );
    for (location, offset, length, expected) in [
        ("../secret", "0", "16", "no file beside the model"),
        ("/etc/passwd", "0", "16", "no file beside the model"),
        ("a/../../secret", "0", "16", "no file beside the model"),
        ("none", "0", "16", "which is no file"),
        ("folder", "0", "16", "which is no file"),
        ("model.onnx.data", "16", "16", "ends at byte 32 of a file of 24"),
        ("model.onnx.data", "18446744073709551615", "16", "ends at byte"),
        ("model.onnx.data", "x", "16", "invalid place"),
        ("model.onnx.data", "0", "8", "has 2 numbers"),
    ] {
        let error = read(location, offset, length).map(drop).unwrap_err().to_string();
        assert!(error.starts_with("tensor `k`: ") && error.contains(expected), "{error}");
    }
    let error = of("model.onnx.data", "8", "16", None).map(drop).unwrap_err().to_string();
    assert!(error.contains("is in another file, which is not there"), "{error}");
}

#[test]
fn a_bias_is_found_behind_copies_and_where_layers_share_it() {
    let bytes = foreign(
        vec![
            node("Identity", &["b"], "copy", vec![]),
            node("Identity", &["copy"], "copy of a copy", vec![]),
            node("Conv", &["x", "k", "b"], "c", vec![]),
            node("Conv", &["c", "l", "b"], "d", vec![]),
            node("Gemm", &["d", "g", "copy of a copy"], "e", vec![int("transB", 1)]),
            node("MatMul", &["e", "m"], "mm", vec![]),
            node("Identity", &["mm"], "mm copy", vec![]),
            node("Add", &["copy", "mm copy"], "f", vec![]),
            // A sum of products has no bias, and takes none away.
            node("Add", &["mm", "mm copy"], "unused", vec![]),
            node("Gemm", &["f", "h", ""], "y", vec![int("transB", 1)]),
        ],
        vec![
            constant("b", &[2], vec![3.0, 4.0]),
            constant("k", &[2, 1, 1, 1], numbers(2)),
            constant("l", &[2, 2, 1, 1], numbers(4)),
            constant("g", &[2, 2], numbers(4)),
            constant("m", &[2, 2], numbers(4)),
            constant("h", &[2, 2], numbers(4)),
        ],
    );
    let weights = read(&file(), &bytes).unwrap();
    for (layer, bias) in [
        ("conv.0", [3.0, 4.0]),
        ("conv.1", [3.0, 4.0]),
        ("fc.0", [3.0, 4.0]),
        ("fc.1", [3.0, 4.0]),
        ("fc.2", [0.0; 2]),
    ] {
        assert_eq!(weights.tensors[&format!("{layer}.bias")].values, bias, "{layer}");
    }
}

/// Zeros in place of a bias would give other answers without a word.
#[test]
fn a_bias_that_is_named_but_not_there_is_an_error() {
    let kernels = || constant("k", &[2, 1, 1, 1], numbers(2));
    let rows = || constant("m", &[1, 2], numbers(2));
    let long = || constant("b", &[3], numbers(3));
    let conv = |bias: &str| vec![node("Conv", &["x", "k", bias], "y", vec![])];
    let sum =
        |bias: &str| vec![node("MatMul", &["x", "m"], "mm", vec![]), node("Add", &["mm", bias], "y", vec![])];
    for (bytes, expected) in [
        (foreign(conv("computed"), vec![kernels()]), "is not a constant"),
        (foreign(conv("b"), vec![kernels(), long()]), "a bias of 3 numbers for 2 units"),
        (foreign(sum("computed"), vec![rows()]), "is not a constant"),
        (foreign(sum("b"), vec![rows(), long()]), "a bias of 3 numbers for 2 units"),
    ] {
        let error = read(&file(), &bytes).map(drop).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_damaged_file_is_an_error() {
    let whole = weights().to_onnx(&towers(), None).unwrap();
    for length in 0..whole.len() {
        assert!(read(&file(), &whole[..length]).is_err(), "{length} bytes");
    }
    let many = [[0x3a, 0x80, 0xea, 0x30].as_slice(), &[0x0a, 0].repeat(400_000)].concat();
    let error = read(Path::new("many.onnx"), &many).map(drop).unwrap_err().to_string();
    assert!(error.contains("more than 100000 nodes"), "{error}");
    let twice = foreign(vec![], vec![constant("k", &[1], vec![1.0]), constant("k", &[1], vec![1.0])]);
    assert!(matches!(read(&file(), &twice), Err(WeightsError::Tensor { .. })));
    let scalar = foreign(vec![node("Conv", &["x", "k"], "y", vec![])], vec![constant("k", &[], vec![1.0])]);
    assert!(read(&file(), &scalar).map(drop).unwrap_err().to_string().contains("a single number"));
    let mut towers = model(&whole);
    for tensor in &mut towers.graph.as_mut().unwrap().initializers {
        (tensor.dims, tensor.floats, tensor.raw) = (vec![], vec![1.0], None);
    }
    let error = read(&file(), &towers.encode_to_vec()).map(drop).unwrap_err().to_string();
    assert!(error.contains("has towers of different shapes"), "{error}");
    let mut folded = model(&whole);
    let network = folded.metadata.iter_mut().find(|entry| entry.key == NETWORK).unwrap();
    network.value = "name = 1".to_owned();
    let error = read(&file(), &folded.encode_to_vec()).map(drop).unwrap_err().to_string();
    assert!(error.contains("dropout's factors"), "{error}");
    let none = foreign(vec![], vec![]);
    assert!(read(&file(), &none).map(drop).unwrap_err().to_string().contains("without convolutions"));
}

#[test]
fn preparation_comes_first_and_frees_the_input() {
    let how = alexnet_data::Preprocessing {
        resize: alexnet_data::Resize::ShorterSide(9),
        crop: 9,
        mean: vec![1.0; 3],
        gain: vec![1.0; 3],
    };
    let graph = model(&weights().to_onnx(&towers(), Some(&how)).unwrap()).graph.unwrap();
    let operators: Vec<&str> = graph.nodes.iter().take(5).map(|node| node.operator.as_str()).collect();
    assert_eq!(operators, ["Resize", "CenterCropPad", "Sub", "Mul", "Conv"]);
    let shape = graph.inputs[0].of.as_ref().unwrap().tensor.as_ref().unwrap().shape.as_ref().unwrap();
    let free: Vec<bool> = shape.extents.iter().map(|extent| extent.value.is_none()).collect();
    assert_eq!(free, [true, false, true, true]);
}
