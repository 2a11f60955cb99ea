//! The graph of a network, layer by layer and stage by stage, for TensorBoard (core/framework/graph.proto).

use alexnet_model::{Network, Reads};
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct GraphDef {
    #[prost(message, repeated, tag = "1")]
    nodes: Vec<NodeDef>,
}

#[derive(Clone, PartialEq, Message)]
struct NodeDef {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    op: String,
    #[prost(string, repeated, tag = "3")]
    inputs: Vec<String>,
}

/// Returns the `GraphDef` of a network; nothing if its layers do not fit together.
pub(super) fn of(network: &Network) -> Option<Vec<u8>> {
    let trace = network.trace().ok()?;
    let node = |name: String, op: &str, inputs: Vec<String>| NodeDef { name, op: op.to_owned(), inputs };
    let mut nodes = vec![node("image".to_owned(), "image", Vec::new())];
    // The last node of each tower.
    let mut ends = vec!["image".to_owned()];
    for (index, layer) in trace.layers.iter().enumerate() {
        let conv = index < network.conv.len();
        let reads = match index.checked_sub(network.conv.len()) {
            Some(fc) => network.fc[fc].reads,
            None => network.conv[index].reads,
        };
        let op = if conv { "convolution" } else { "linear" };
        let mut next = Vec::new();
        for tower in 0..layer.towers {
            let within = |part: &str| match layer.towers {
                1 => format!("{}/{part}", layer.name),
                _ => format!("{}/tower{tower}/{part}", layer.name),
            };
            // A layer reads its own tower, or all of them.
            let inputs = match reads {
                Reads::Own if ends.len() == layer.towers => vec![ends[tower].clone()],
                _ => ends.clone(),
            };
            let mut end = within(op);
            nodes.push(node(end.clone(), op, inputs));
            for (at, stage) in layer.stages.iter().enumerate() {
                let before = layer.stages[..at].iter().filter(|other| other.name == stage.name).count();
                let name = match before {
                    0 => within(stage.name),
                    _ => within(&format!("{}-{}", stage.name, before + 1)),
                };
                nodes.push(node(name.clone(), stage.name, vec![end]));
                end = name;
            }
            next.push(end);
        }
        ends = next;
    }
    nodes.push(node("softmax".to_owned(), "softmax", ends));
    Some(GraphDef { nodes }.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn towers_meet_where_layers_read_both() {
        let network = alexnet_model::Preset::load("alexnet-2012").unwrap();
        let graph = GraphDef::decode(of(&network).unwrap().as_slice()).unwrap();
        let inputs = |name: &str| graph.nodes.iter().find(|node| node.name == name).unwrap().inputs.clone();
        assert_eq!(inputs("conv1/tower1/convolution"), ["image"]);
        assert_eq!(inputs("conv2/tower1/convolution"), ["conv1/tower1/max-pool"]);
        assert_eq!(inputs("conv3/tower0/convolution"), ["conv2/tower0/max-pool", "conv2/tower1/max-pool"]);
        assert_eq!(inputs("softmax"), ["fc8/linear"]);
    }
}
