//! Builds the nodes of a graph.

use super::proto::{
    Attribute, Entry, Extent, FLOAT, Graph, INT64, Model, Node, Opset, Shape, TensorProto, TensorType,
    TypeProto, ValueInfo,
};

/// The version of the operators: that of antialiased resizing, GELU and averages over clipped windows.
const OPSET: i64 = 21;
/// The version of the file format that came with it.
const IR_VERSION: i64 = 10;

/// A graph in the making. Its nodes form a chain, with branches in between.
#[derive(Default)]
pub(super) struct Builder {
    nodes: Vec<Node>,
    initializers: Vec<TensorProto>,
}

/// Returns an attribute of one number.
pub(super) fn int(name: &str, value: i64) -> Attribute {
    Attribute { name: name.to_owned(), int: Some(value), kind: 2, ..Attribute::default() }
}

pub(super) fn float(name: &str, value: f64) -> Attribute {
    Attribute { name: name.to_owned(), float: Some(value as f32), kind: 1, ..Attribute::default() }
}

pub(super) fn ints(name: &str, values: &[usize]) -> Attribute {
    let ints = values.iter().map(|value| *value as i64).collect();
    Attribute { name: name.to_owned(), ints, kind: 7, ..Attribute::default() }
}

pub(super) fn text(name: &str, value: &str) -> Attribute {
    Attribute {
        name: name.to_owned(),
        text: Some(value.as_bytes().to_vec()),
        kind: 3,
        ..Attribute::default()
    }
}

impl Builder {
    /// Adds a node with one output. The output has the node's name, which is returned.
    pub(super) fn node(
        &mut self,
        name: &str,
        operator: &str,
        inputs: &[&str],
        attributes: Vec<Attribute>,
    ) -> String {
        self.nodes.push(Node {
            inputs: inputs.iter().map(|&input| input.to_owned()).collect(),
            outputs: vec![name.to_owned()],
            name: name.to_owned(),
            operator: operator.to_owned(),
            attributes,
        });
        name.to_owned()
    }

    /// Splits channels or units into equal parts.
    pub(super) fn split(&mut self, name: &str, input: &str, parts: usize) -> Vec<String> {
        let outputs: Vec<String> = (0..parts).map(|part| format!("{name}.{part}")).collect();
        self.nodes.push(Node {
            inputs: vec![input.to_owned()],
            outputs: outputs.clone(),
            name: name.to_owned(),
            operator: "Split".to_owned(),
            attributes: vec![int("axis", 1), int("num_outputs", parts as i64)],
        });
        outputs
    }

    /// Concatenates channels or units.
    pub(super) fn concat(&mut self, name: &str, parts: &[String]) -> String {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        self.node(name, "Concat", &parts, vec![int("axis", 1)])
    }

    /// Adds a tensor of constants and returns its name.
    pub(super) fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, shape, FLOAT, raw)
    }

    /// Adds a list of whole numbers and returns its name.
    pub(super) fn numbers(&mut self, name: &str, values: &[i64]) -> String {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, &[values.len()], INT64, raw)
    }

    fn constant(&mut self, name: &str, shape: &[usize], kind: i32, raw: Vec<u8>) -> String {
        self.initializers.push(TensorProto {
            dims: shape.iter().map(|extent| *extent as i64).collect(),
            kind,
            name: name.to_owned(),
            raw: Some(raw),
            ..TensorProto::default()
        });
        name.to_owned()
    }

    /// Renames the output of the last node.
    pub(super) fn last_is(&mut self, name: &str) {
        if let Some(node) = self.nodes.last_mut() {
            node.outputs = vec![name.to_owned()];
        }
    }

    /// Returns the model of the graph. The extents of the input and the output are numbers or, for those that are free, names.
    pub(super) fn model(
        self,
        name: &str,
        input: (&str, &[Result<usize, &str>]),
        output: (&str, &[Result<usize, &str>]),
        metadata: impl IntoIterator<Item = (String, String)>,
    ) -> Model {
        let graph = Graph {
            nodes: self.nodes,
            name: name.to_owned(),
            initializers: self.initializers,
            inputs: vec![value(input)],
            outputs: vec![value(output)],
        };
        Model {
            ir_version: IR_VERSION,
            producer: "alexnet-burn".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(graph),
            opsets: vec![Opset { domain: String::new(), version: OPSET }],
            metadata: metadata.into_iter().map(|(key, value)| Entry { key, value }).collect(),
        }
    }
}

fn value((name, shape): (&str, &[Result<usize, &str>])) -> ValueInfo {
    let extents = shape.iter().map(|extent| match extent {
        Ok(number) => Extent { value: Some(*number as i64), parameter: None },
        Err(name) => Extent { value: None, parameter: Some((*name).to_owned()) },
    });
    let tensor = TensorType { kind: FLOAT, shape: Some(Shape { extents: extents.collect() }) };
    ValueInfo { name: name.to_owned(), of: Some(TypeProto { tensor: Some(tensor) }) }
}
