//! A network as an ONNX graph.
//!
//! The maps of all towers lie side by side in one tensor. A layer that reads its own tower is a convolution in groups, LRN and
//! fully connected layers of towers are split and joined again. In training dropout leaves out units; the factor that takes its
//! place in a test (Krizhevsky et al. 2012, §4.2) is part of the next layer's weights.

use alexnet_data::Preprocessing;
use alexnet_model::{
    Activation, Convolution, DropoutConvention, FullyConnected, Network, Reads, Stage, Trace,
};
use alexnet_ops::{AlphaConvention, Lrn, Pool};
use prost::Message;

use super::folded::passed;
use super::graph::{Builder, float, int, ints, text};
use super::prepare::prepare;
use crate::metadata::{ENTRIES, FOLDED, INPUT_SIDE, NETWORK};
use crate::{Names, Tensor, Weights, WeightsError};

/// The reason why there is no ONNX graph of a network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// ONNX has no such operation.
    #[error("layer `{layer}`: {problem}")]
    Layer {
        /// The layer's name.
        layer: String,
        /// What ONNX lacks.
        problem: String,
    },
    /// The weights are not the network's.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

impl Weights {
    /// Returns the bytes of an ONNX file (opset 21) with `network` and these weights.
    ///
    /// The input `images` is `[N, channels, size, size]`, prepared; with `preprocessing` it is `[N, channels, height, width]`,
    /// pixels of 0–255 of images of any size. The first output is `logits`, `[N, classes]`. The metadata of the weights go into the
    /// file.
    ///
    /// # Errors
    /// If the weights are not the network's, or ONNX lacks an operation: locally connected layers, and LRN over an even number of
    /// maps.
    pub fn to_onnx(
        &self,
        network: &Network,
        preprocessing: Option<&Preprocessing>,
    ) -> Result<Vec<u8>, OnnxError> {
        if let Some(layer) = network.conv.iter().find(|layer| !layer.shared) {
            let problem = "is locally connected, which ONNX has no operation for".to_owned();
            return Err(OnnxError::Layer { layer: layer.name.clone(), problem });
        }
        let names = self.check(network)?;
        let trace = network.trace().map_err(WeightsError::from)?;
        let mut export =
            Export { weights: self, network, names, trace, graph: Builder::default(), factor: 1.0 };
        let (channels, size) = (network.input.channels, network.input.size);
        let (mut maps, sides) = match preprocessing {
            None => ("images".to_owned(), [Ok(size); 2]),
            Some(how) => (prepare(&mut export.graph, "images", how), [Err("height"), Err("width")]),
        };
        for (index, layer) in network.conv.iter().enumerate() {
            maps = export.convolution(index, layer, maps)?;
        }
        let mut units = export.graph.node("flat", "Flatten", &[&maps], vec![int("axis", 1)]);
        for (index, layer) in network.fc.iter().enumerate() {
            units = export.fully_connected(index, layer, &units)?;
        }
        export.multiply_pending(&units, "logits.factor");
        export.graph.last_is("logits");
        let mut metadata = self.metadata.clone();
        metadata.remove(INPUT_SIDE);
        if network.dropout == DropoutConvention::Paper {
            metadata.insert(FOLDED.to_owned(), "yes".to_owned());
            // Reading divides by the factors again, and needs to know them.
            let network = || toml::to_string(network).expect("a network is a table");
            metadata.entry(NETWORK.to_owned()).or_insert_with(network);
        }
        metadata.insert(ENTRIES.to_owned(), (metadata.len() + 1).to_string());
        let input = [Err("N"), Ok(channels), sides[0], sides[1]];
        let output = [Err("N"), Ok(network.classes)];
        let model = export.graph.model(&network.name, ("images", &input), ("logits", &output), metadata);
        Ok(model.encode_to_vec())
    }
}

struct Export<'a> {
    weights: &'a Weights,
    network: &'a Network,
    names: Names,
    trace: Trace,
    graph: Builder,
    /// The factor of dropout that is still to be multiplied.
    factor: f32,
}

impl Export<'_> {
    /// Returns a layer's tensor.
    fn tensor(&self, index: usize, kind: &str) -> Result<&Tensor, OnnxError> {
        let layer = self.names.layer(self.network, index);
        let tensor = layer.and_then(|layer| self.weights.tensors.get(&format!("{layer}.{kind}")));
        tensor.ok_or_else(|| self.refuse(index, format!("has no {kind}")))
    }

    fn refuse(&self, index: usize, problem: impl Into<String>) -> OnnxError {
        OnnxError::Layer { layer: self.trace.layers[index].name.clone(), problem: problem.into() }
    }

    /// Adds a layer's weights, multiplied by the pending factor, and its biases.
    fn parameters(&mut self, index: usize, name: &str) -> Result<[String; 2], OnnxError> {
        let (weight, bias) = (self.tensor(index, "weight")?.clone(), self.tensor(index, "bias")?.clone());
        let factor = std::mem::replace(&mut self.factor, 1.0);
        let values: Vec<f32> = weight.values.iter().map(|value| value * factor).collect();
        Ok([
            self.graph.floats(&format!("{name}.weight"), &weight.shape, &values),
            self.graph.floats(&format!("{name}.bias"), &bias.shape, &bias.values),
        ])
    }

    fn convolution(&mut self, index: usize, layer: &Convolution, maps: String) -> Result<String, OnnxError> {
        let (name, towers) = (layer.name.as_str(), self.trace.layers[index].towers);
        let reads_own = index > 0 && layer.reads == Reads::Own;
        if !reads_own && layer.groups > 1 && towers > 1 {
            return Err(
                self.refuse(index, "has groups of the maps of all towers, which no group of ONNX reads")
            );
        }
        if layer.residual && towers > 1 && !reads_own {
            return Err(
                self.refuse(index, "adds the maps of all towers to those of each, which is not exported")
            );
        }
        let groups = if reads_own { towers * layer.groups } else { layer.groups };
        let maps = match layer.residual {
            true => self.multiply_pending(&maps, &format!("{name}.input.factor")),
            false => maps,
        };
        let [weight, bias] = self.parameters(index, name)?;
        let padding = layer.padding;
        let attributes = vec![
            ints("kernel_shape", &[layer.kernel; 2]),
            ints("strides", &[layer.stride; 2]),
            ints("pads", &[padding.top, padding.left, padding.bottom, padding.right]),
            int("group", groups as i64),
        ];
        let input = maps.clone();
        let mut maps = self.graph.node(name, "Conv", &[&maps, &weight, &bias], attributes);
        let mut side = self.trace.layers[index].side;
        for (at, stage) in layer.stages.iter().enumerate() {
            let place = format!("{name}.{}.{at}", stage.name());
            maps = self.stage(index, stage, &place, maps, side)?;
            side = self.trace.layers[index].stages[at].side;
        }
        if layer.residual {
            let maps = self.multiply_pending(&maps, &format!("{name}.residual.factor"));
            return Ok(self.graph.node(&format!("{name}.residual"), "Add", &[&input, &maps], Vec::new()));
        }
        Ok(maps)
    }

    fn fully_connected(
        &mut self,
        index: usize,
        layer: &FullyConnected,
        units: &str,
    ) -> Result<String, OnnxError> {
        let index = self.network.conv.len() + index;
        let (name, towers) = (layer.name.as_str(), self.trace.layers[index].towers);
        let transposed = || vec![int("transB", 1)];
        let mut units = match layer.reads {
            Reads::Own if towers > 1 => {
                let (weight, bias) =
                    (self.tensor(index, "weight")?.clone(), self.tensor(index, "bias")?.clone());
                let factor = std::mem::replace(&mut self.factor, 1.0);
                let rows = weight.shape[0] / towers;
                let mut parts = Vec::new();
                for (tower, input) in
                    self.graph.split(&format!("{name}.towers"), units, towers).into_iter().enumerate()
                {
                    let place = format!("{name}.{tower}");
                    let columns = weight.shape[1];
                    let values = &weight.values[tower * rows * columns..(tower + 1) * rows * columns];
                    let values: Vec<f32> = values.iter().map(|value| value * factor).collect();
                    let weight = self.graph.floats(&format!("{place}.weight"), &[rows, columns], &values);
                    let bias = &bias.values[tower * rows..(tower + 1) * rows];
                    let bias = self.graph.floats(&format!("{place}.bias"), &[rows], bias);
                    parts.push(self.graph.node(&place, "Gemm", &[&input, &weight, &bias], transposed()));
                }
                self.graph.concat(name, &parts)
            }
            _ => {
                let [weight, bias] = self.parameters(index, name)?;
                self.graph.node(name, "Gemm", &[units, &weight, &bias], transposed())
            }
        };
        for (at, stage) in layer.stages.iter().enumerate() {
            units = self.stage(index, stage, &format!("{name}.{}.{at}", stage.name()), units, 1)?;
        }
        Ok(units)
    }

    /// Multiplies by the pending factor, if there is one.
    fn multiply_pending(&mut self, x: &str, place: &str) -> String {
        match std::mem::replace(&mut self.factor, 1.0) {
            1.0 => x.to_owned(),
            factor => {
                let constant = self.graph.floats(&format!("{place}.value"), &[], &[factor]);
                self.graph.node(place, "Mul", &[x, &constant], Vec::new())
            }
        }
    }

    fn stage(
        &mut self,
        index: usize,
        stage: &Stage,
        place: &str,
        x: String,
        side: usize,
    ) -> Result<String, OnnxError> {
        let pending = passed(self.factor, stage, self.network.dropout);
        let x = match stage {
            Stage::Dropout(_) | Stage::MaxPool(_) | Stage::AvgPool(_) | Stage::GlobalAvgPool => x,
            _ => self.multiply_pending(&x, &format!("{place}.factor")),
        };
        self.factor = pending;
        let towers = self.trace.layers[index].towers;
        Ok(match stage {
            Stage::Activation => self.activation(index, place, &x),
            Stage::Dropout(_) => x,
            Stage::Lrn(lrn) if lrn.size.is_multiple_of(2) => {
                return Err(
                    self.refuse(index, "has LRN over an even number of maps, which ONNX centres otherwise")
                );
            }
            Stage::Lrn(lrn) if towers == 1 => self.lrn(place, &x, lrn),
            Stage::Lrn(lrn) => {
                let parts = self.graph.split(&format!("{place}.towers"), &x, towers);
                let parts: Vec<String> = parts
                    .iter()
                    .enumerate()
                    .map(|(tower, part)| self.lrn(&format!("{place}.{tower}"), part, lrn))
                    .collect();
                self.graph.concat(place, &parts)
            }
            Stage::SpatialLrn(lrn) => self.spatial_lrn(place, &x, lrn),
            Stage::BatchNorm(norm) => {
                let mut inputs = vec![x];
                for kind in ["gain", "shift", "running_mean", "running_variance"] {
                    let tensor = self.tensor(index, kind)?.clone();
                    inputs.push(self.graph.floats(&format!("{place}.{kind}"), &tensor.shape, &tensor.values));
                }
                let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
                self.graph.node(place, "BatchNormalization", &inputs, vec![float("epsilon", norm.epsilon)])
            }
            Stage::GroupNorm(norm) => {
                let [gain, shift] = ["gain", "shift"].map(|kind| self.tensor(index, kind).cloned());
                let (gain, shift) = (gain?, shift?);
                let scale = self.graph.floats(&format!("{place}.gain"), &gain.shape, &gain.values);
                let bias = self.graph.floats(&format!("{place}.shift"), &shift.shape, &shift.values);
                // Towers side by side have the groups of each.
                let groups = int("num_groups", (towers * norm.groups) as i64);
                let attributes = vec![float("epsilon", norm.epsilon), groups];
                self.graph.node(place, "GroupNormalization", &[&x, &scale, &bias], attributes)
            }
            Stage::GlobalAvgPool => self.graph.node(place, "GlobalAveragePool", &[&x], Vec::new()),
            Stage::MaxPool(pool) => self.graph.node(place, "MaxPool", &[&x], windows(pool, side)),
            Stage::AvgPool(pool) => self.graph.node(place, "AveragePool", &[&x], windows(pool, side)),
        })
    }

    fn activation(&mut self, index: usize, place: &str, x: &str) -> String {
        let convolutions = self.network.conv.len();
        let own = match index.checked_sub(convolutions) {
            None => self.network.conv[index].activation,
            Some(index) => self.network.fc[index].activation,
        };
        let (operator, attributes) = match own.unwrap_or(self.network.activation) {
            Activation::Relu => ("Relu", Vec::new()),
            Activation::Tanh => ("Tanh", Vec::new()),
            Activation::Sigmoid => ("Sigmoid", Vec::new()),
            Activation::LeakyRelu(slope) => ("LeakyRelu", vec![float("alpha", slope)]),
            Activation::Elu(alpha) => ("Elu", vec![float("alpha", alpha)]),
            Activation::Gelu => ("Gelu", vec![text("approximate", "tanh")]),
            Activation::Silu => {
                let gate = self.graph.node(&format!("{place}.gate"), "Sigmoid", &[x], Vec::new());
                return self.graph.node(place, "Mul", &[x, &gate], Vec::new());
            }
        };
        self.graph.node(place, operator, &[x], attributes)
    }

    /// LRN across maps. ONNX's alpha multiplies the mean over the window.
    fn lrn(&mut self, place: &str, x: &str, lrn: &Lrn) -> String {
        let alpha = match lrn.convention {
            AlphaConvention::Sum => lrn.alpha * lrn.size as f64,
            AlphaConvention::Mean => lrn.alpha,
        };
        let attributes = vec![
            int("size", lrn.size as i64),
            float("alpha", alpha),
            float("beta", lrn.beta),
            float("bias", lrn.k),
        ];
        self.graph.node(place, "LRN", &[x], attributes)
    }

    /// LRN within each map, for which ONNX has no node of its own.
    fn spatial_lrn(&mut self, place: &str, x: &str, lrn: &Lrn) -> String {
        // The average counts the zeros around the map, so it is the sum over the square of `size`.
        let coefficient = match lrn.convention {
            AlphaConvention::Sum => lrn.alpha * (lrn.size * lrn.size) as f64,
            AlphaConvention::Mean => lrn.alpha,
        };
        let (before, after) = (lrn.size / 2, lrn.size - lrn.size / 2 - 1);
        let window = vec![
            ints("kernel_shape", &[lrn.size; 2]),
            ints("pads", &[before, before, after, after]),
            int("count_include_pad", 1),
        ];
        let of = |what: &str| format!("{place}.{what}");
        let graph = &mut self.graph;
        let squares = graph.node(&of("squares"), "Mul", &[x, x], Vec::new());
        let mean = graph.node(&of("mean"), "AveragePool", &[&squares], window);
        let alpha = graph.floats(&of("alpha"), &[], &[coefficient as f32]);
        let scaled = graph.node(&of("scaled"), "Mul", &[&mean, &alpha], Vec::new());
        let k = graph.floats(&of("k"), &[], &[lrn.k as f32]);
        let sum = graph.node(&of("sum"), "Add", &[&scaled, &k], Vec::new());
        let beta = graph.floats(&of("beta"), &[], &[lrn.beta as f32]);
        let power = graph.node(&of("power"), "Pow", &[&sum, &beta], Vec::new());
        graph.node(place, "Div", &[x, &power], Vec::new())
    }
}

/// Windows over a map of `side`. A last window that extends past the edge is padding here, which neither a maximum nor an average
/// counts, so that runtimes that round otherwise agree.
fn windows(pool: &Pool, side: usize) -> Vec<super::proto::Attribute> {
    let count = pool.output_side(side).unwrap_or(1);
    let covered = (count - 1) * pool.stride + pool.size;
    let after = covered.saturating_sub(side + pool.padding);
    vec![
        ints("kernel_shape", &[pool.size; 2]),
        ints("strides", &[pool.stride; 2]),
        ints("pads", &[pool.padding, pool.padding, after, after]),
    ]
}
