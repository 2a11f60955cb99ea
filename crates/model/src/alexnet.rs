//! AlexNet, top to bottom.
//!
//! The network of Krizhevsky et al. 2012, `alexnet-2012`. Each line is a stage with the output of one of the
//! two towers:
//!
//! ```text
//! image                                              3 × 224 × 224  §2
//! conv1  48 kernels, 11 × 11 × 3, stride 4            48 × 55 × 55  §3.5
//!        activation                                   48 × 55 × 55  §3.1
//!        lrn                                          48 × 55 × 55  §3.3
//!        max-pool                                     48 × 27 × 27  §3.4
//! conv2  128 kernels, 5 × 5 × 48                     128 × 27 × 27  §3.5
//!        activation                                  128 × 27 × 27  §3.1
//!        lrn                                         128 × 27 × 27  §3.3
//!        max-pool                                    128 × 13 × 13  §3.4
//! conv3  192 kernels, 3 × 3 × 256, of both towers    192 × 13 × 13  §3.5
//!        activation                                  192 × 13 × 13  §3.1
//! conv4  192 kernels, 3 × 3 × 192                    192 × 13 × 13  §3.5
//!        activation                                  192 × 13 × 13  §3.1
//! conv5  128 kernels, 3 × 3 × 192                    128 × 13 × 13  §3.5
//!        activation                                  128 × 13 × 13  §3.1
//!        max-pool                                      128 × 6 × 6  §3.4
//! fc6    9216 inputs, of both towers                          2048  §3.5
//!        activation                                           2048  §3.1
//!        dropout                                              2048  §4.2
//! fc7    4096 inputs, of both towers                          2048  §3.5
//!        activation                                           2048  §3.1
//!        dropout                                              2048  §4.2
//! fc8    4096 inputs, of both towers                          1000  §3.5
//! ```

use alexnet_ops::{Conv2d, ConvMethod, Finish, Implementation, Key, Pool, Precision};
use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::config::{Network, Stage};
use crate::layers::{Conv, ConvLayer, FcLayer, Linear};
use crate::plan::{Plan, Step};
use crate::towers::{Exchanged, exchange, moved, side_by_side};

/// AlexNet (Krizhevsky, Sutskever & Hinton 2012), or a relative of it.
#[derive(Module, Debug)]
pub struct AlexNet {
    pub(crate) conv: Vec<ConvLayer>,
    pub(crate) fc: Vec<FcLayer>,
    #[module(skip)]
    pub(crate) network: Network,
    #[module(skip)]
    plan: Plan,
    #[module(skip)]
    pub(crate) operations: Implementation,
    #[module(skip)]
    precision: Precision,
    #[module(skip)]
    exchanged: Exchanged,
}

/// Whether the network is being trained. Dropout and batch normalization depend on it.
#[derive(Debug, Clone, Copy)]
pub enum Mode<'a> {
    /// Training, with one random key per sample.
    Training(&'a [Key]),
    /// Evaluation.
    Evaluation,
}

/// A callback of [`AlexNet::forward_observed`]. It receives a place and the maps there, and returns the maps
/// with which the network goes on.
pub type Observe<'a> = &'a mut dyn FnMut(Place, Tensor<4>) -> Tensor<4>;

/// A place between the stages of a convolutional layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place<'a> {
    /// The layer's name.
    pub layer: &'a str,
    /// The number of the layer's stages that the maps have passed.
    pub passed: usize,
    /// The stage that comes next; none at the layer's end.
    pub next: Option<&'a Stage>,
    /// The tower.
    pub tower: usize,
}

impl AlexNet {
    /// Returns the logits: class scores before the softmax.
    ///
    /// # Shapes
    /// - `images`: `[batch, channels, size, size]`, prepared as the weights expect: usually 0–255 pixels
    ///   minus the training mean
    /// - output: `[batch, classes]`
    pub fn forward(&self, images: Tensor<4>, mode: Mode) -> Tensor<2> {
        self.run(&self.plan, images, mode, &mut |_, maps| maps, None)
    }

    /// [`forward`](Self::forward) with each stage of maps computed separately. Before each stage and at the
    /// end of each convolutional layer, `observe` receives the maps `[batch, channels, height, width]`, and
    /// returns those that take their place.
    pub fn forward_observed(&self, images: Tensor<4>, mode: Mode, observe: Observe) -> Tensor<2> {
        self.run(&Plan::plain(&self.network), images, mode, observe, None)
    }

    /// Returns a layer's output after its stages, with the towers concatenated.
    ///
    /// # Shapes
    /// - `images`: as in [`forward`](Self::forward)
    /// - output: `[batch, channels · height · width]`, or `[batch, features]`
    ///
    /// # Panics
    /// If there is no layer of that name.
    pub fn features(&self, images: Tensor<4>, layer: &str) -> Tensor<2> {
        let mut names = self.network.conv.iter().map(|layer| &layer.name);
        let known = names.any(|name| name == layer) || self.network.fc.iter().any(|fc| fc.name == layer);
        assert!(known, "there is no layer `{layer}`");
        self.run(&self.plan, images, Mode::Evaluation, &mut |_, maps| maps, Some(layer))
    }

    /// Runs the layers in order, up to the logits or to the end of layer `until`.
    fn run(
        &self,
        plan: &Plan,
        images: Tensor<4>,
        mode: Mode,
        observe: Observe,
        until: Option<&str>,
    ) -> Tensor<2> {
        // Each tower has its own maps, [batch, channels, height, width]. Before the first layer, each has the
        // image.
        let mut feature_maps: Vec<Tensor<4>> =
            self.devices().iter().map(|device| moved(images.clone(), device)).collect();
        for (index, config) in self.network.conv.iter().enumerate() {
            if index > 0 {
                feature_maps =
                    exchange(feature_maps, config.reads, self.conv[index].towers.len(), &self.exchanged); // §3.2
            }
            feature_maps = self.run_conv(index, &plan.conv[index], feature_maps, mode, observe); // §3.5
            if until == Some(config.name.as_str()) {
                return side_by_side(&feature_maps, 0).flatten(1, 3);
            }
        }
        let mut features: Vec<Tensor<2>> = feature_maps.into_iter().map(|x| x.flatten(1, 3)).collect(); // [batch, features]
        for (index, config) in self.network.fc.iter().enumerate() {
            if index > 0 || !self.conv.is_empty() {
                features = exchange(features, config.reads, self.fc[index].towers.len(), &self.exchanged); // §3.2
            }
            features = self.run_fc(index, &plan.fc[index], features, mode); // §3.5
            if until == Some(config.name.as_str()) {
                return side_by_side(&features, 0);
            }
        }
        features.swap_remove(0) // [batch, classes]: the last layer is not split
    }

    /// Runs a convolutional layer on each tower's input and returns each tower's output.
    fn run_conv(
        &self,
        index: usize,
        steps: &[Step],
        inputs: Vec<Tensor<4>>,
        mode: Mode,
        observe: Observe,
    ) -> Vec<Tensor<4>> {
        let config = &self.network.conv[index];
        let activation = config.activation.unwrap_or(self.network.activation);
        let towers = self.conv[index].towers.iter().zip(inputs).enumerate();
        let feature_maps = towers.map(|(tower, (layer, feature_maps))| {
            let place = |passed, next| Place { layer: &config.name, passed, next, tower };
            let input = config.residual.then(|| feature_maps.clone());
            let output = steps.iter().enumerate().fold(feature_maps, |x, (at, step)| match step {
                Step::Product { relu, pool, .. } => self.convolve(index, layer, x, *relu, pool.as_ref()),
                Step::LrnPool(lrn, pool) => self.operations.lrn_max_pool2d(x, lrn, pool),
                Step::Stage(stage) => {
                    // The product comes before the stages.
                    let x = observe(place(at - 1, Some(stage)), x);
                    let name = format!("{}.{tower}", config.name);
                    self.map_stage(stage, layer, activation, x, &name, mode)
                }
            });
            let output = match input {
                Some(input) => input + output,
                None => output,
            };
            observe(place(config.stages.len(), None), output)
        });
        feature_maps.collect()
    }

    /// Runs a fully connected layer on each tower's input and returns each tower's output.
    fn run_fc(&self, index: usize, steps: &[Step], inputs: Vec<Tensor<2>>, mode: Mode) -> Vec<Tensor<2>> {
        let config = &self.network.fc[index];
        let activation = config.activation.unwrap_or(self.network.activation);
        let towers = self.fc[index].towers.iter().zip(inputs).enumerate();
        let features = towers.map(|(tower, (layer, features))| {
            let name = format!("{}.{tower}", config.name);
            steps.iter().fold(features, |x, step| match step {
                Step::Product { relu, dropout, .. } => self.connect(layer, x, *relu, *dropout, &name, mode),
                Step::Stage(stage) => self.feature_stage(stage, activation, x, &name, mode),
                Step::LrnPool(..) => {
                    unreachable!("stages of maps are refused here when the network is checked")
                }
            })
        });
        features.collect()
    }

    /// Convolves one tower's input, together with what the plan fuses into the same operation.
    fn convolve(
        &self,
        index: usize,
        layer: &Conv,
        feature_maps: Tensor<4>,
        relu: bool,
        pool: Option<&Pool>,
    ) -> Tensor<4> {
        let config = &self.network.conv[index];
        let options = Conv2d {
            stride: config.stride,
            padding: config.padding,
            groups: config.groups,
            relu,
            method: ConvMethod::default(),
        };
        let (weight, bias) = (layer.weight.val(), layer.bias.val());
        let (precision, form) = (self.precision, self.operations);
        match (config.shared, pool) {
            (true, Some(pool)) => precision.conv_max_pool2d(form, feature_maps, weight, bias, options, pool),
            (true, None) => precision.conv2d(form, feature_maps, weight, bias, options),
            (false, _) => {
                precision.locally_connected2d(form, feature_maps, weight, bias, config.kernel, options)
            }
        }
    }

    /// Multiplies one tower's input by its weights, together with what the plan fuses into the same
    /// operation.
    fn connect(
        &self,
        layer: &Linear,
        features: Tensor<2>,
        relu: bool,
        dropout: Option<f64>,
        name: &str,
        mode: Mode,
    ) -> Tensor<2> {
        let finish = match (relu, dropout, mode) {
            (true, Some(drop), Mode::Training(keys)) => {
                Finish::ReluDropout(self.dropout_mask(keys, name, layer.bias.dims()[0], drop))
            }
            (true, ..) => Finish::Relu,
            (false, ..) => Finish::Plain,
        };
        let (weight, bias) = (layer.weight.val(), layer.bias.val());
        let out = self.precision.linear(self.operations, features, weight, bias, finish);
        match (dropout, mode) {
            (Some(drop), Mode::Evaluation) => self.dropout(out, name, drop, mode),
            _ => out,
        }
    }
}

impl AlexNet {
    pub(crate) fn new(conv: Vec<ConvLayer>, fc: Vec<FcLayer>, network: Network) -> Self {
        let plan = Plan::fused(&network);
        let (operations, precision) = (Implementation::default(), Precision::default());
        Self { conv, fc, network, plan, operations, precision, exchanged: Exchanged::default() }
    }

    /// Returns the same network with another implementation of the operations.
    pub fn with_operations(mut self, operations: Implementation) -> Self {
        self.operations = operations;
        self
    }

    /// Returns the same network with products of another precision, which its devices must have.
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Returns the form of the operations.
    pub fn operations(&self) -> Implementation {
        self.operations
    }

    /// Runs a convolutional layer and its stages on each tower's input and returns each tower's output.
    ///
    /// # Shapes
    /// - `inputs`: per tower, `[batch, channels, height, width]`
    /// - output: per tower, `[batch, filters / towers, height, width]`
    ///
    /// # Panics
    /// If there is no convolutional layer `index`.
    pub fn conv_layer(&self, index: usize, inputs: Vec<Tensor<4>>, mode: Mode) -> Vec<Tensor<4>> {
        self.run_conv(index, &self.plan.conv[index], inputs, mode, &mut |_, maps| maps)
    }

    /// Runs a fully connected layer and its stages on each tower's input and returns each tower's output.
    ///
    /// # Shapes
    /// - `inputs`: per tower, `[batch, inputs]`
    /// - output: per tower, `[batch, features / towers]`; for the last layer a single `[batch, classes]`
    ///
    /// # Panics
    /// If there is no fully connected layer `index`.
    pub fn fc_layer(&self, index: usize, inputs: Vec<Tensor<2>>, mode: Mode) -> Vec<Tensor<2>> {
        self.run_fc(index, &self.plan.fc[index], inputs, mode)
    }

    /// The device of each tower.
    pub fn devices(&self) -> Vec<Device> {
        let of_conv = self.conv.first().map(|layer| layer.towers.iter().map(|it| it.weight.val().device()));
        let of_fc = self.fc.first().map(|layer| layer.towers.iter().map(|it| it.weight.val().device()));
        of_conv.map(Iterator::collect).or(of_fc.map(Iterator::collect)).unwrap_or_default()
    }

    /// Bytes of maps and features moved between devices in forward passes of this network and its clones, in
    /// f32. A training step moves the same number of bytes back as gradients.
    pub fn exchanged_bytes(&self) -> u64 {
        self.exchanged.bytes()
    }

    /// The config the network was built from.
    pub fn network(&self) -> &Network {
        &self.network
    }
}

#[cfg(test)]
mod tests {
    use crate::{Preset, Reads};

    /// The network at the top of this file, written from its trace.
    fn page() -> String {
        let network = Preset::load("alexnet-2012").unwrap();
        let trace = network.trace().unwrap();
        let shape = |channels: usize, side: usize| match side {
            1 => channels.to_string(),
            _ => format!("{channels} × {side} × {side}"),
        };
        let line = |layer: &str, what: &str, shape: String, section: &str| {
            format!("//! {layer:<6} {what:<42} {shape:>14}  {section}").trim_end().to_owned()
        };
        let input = network.input;
        let mut lines = vec![line("image", "", shape(input.channels, input.size), "§2")];
        for (index, layer) in trace.layers.iter().enumerate() {
            let (what, reads) = match network.conv.get(index) {
                Some(conv) => {
                    let kernel =
                        format!("{0} kernels, {1} × {1} × {2}", layer.outputs, conv.kernel, layer.inputs);
                    let stride =
                        if conv.stride > 1 { format!(", stride {}", conv.stride) } else { String::new() };
                    (kernel + &stride, conv.reads)
                }
                None => (format!("{} inputs", layer.inputs), network.fc[index - network.conv.len()].reads),
            };
            let both = if reads == Reads::All && index > 0 { ", of both towers" } else { "" };
            lines.push(line(&layer.name, &(what + both), shape(layer.outputs, layer.side), "§3.5"));
            for stage in &layer.stages {
                let section = match stage.name {
                    "activation" => "§3.1",
                    "lrn" => "§3.3",
                    "max-pool" => "§3.4",
                    "dropout" => "§4.2",
                    other => panic!("no section for `{other}`"),
                };
                lines.push(line("", stage.name, shape(layer.outputs, stage.side), section));
            }
        }
        lines.join("\n")
    }

    #[test]
    fn the_page_shows_the_network_that_is_built() {
        let page = page();
        assert!(
            include_str!("alexnet.rs").contains(&page),
            "the first lines of alexnet.rs should be\n{page}"
        );
    }
}
