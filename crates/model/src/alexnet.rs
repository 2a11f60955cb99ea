//! AlexNet, top to bottom.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use alexnet_ops::{
    Conv2d, DropoutMask, Finish, Key, avg_pool2d, conv_max_pool2d, conv2d, linear, locally_connected2d, lrn,
    lrn_max_pool2d, max_pool2d, spatial_lrn, tanh,
};
use burn::module::{Module, Param};
use burn::nn::BatchNorm;
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{Device, Tensor, TensorData};

use crate::config::{Activation, Convolution, DropoutConvention, FullyConnected, Network, Reads, Stage};
use crate::init::{Parameter, Source};
use crate::trace::{LayerTrace, NetworkError};

/// AlexNet (Krizhevsky, Sutskever & Hinton 2012), or a relative of it.
#[derive(Module, Debug)]
pub struct AlexNet {
    conv: Vec<ConvLayer>,
    fc: Vec<FcLayer>,
    #[module(skip)]
    network: Network,
    /// Bytes of maps and units that went from one device to another.
    #[module(skip)]
    exchanged: Arc<AtomicU64>,
}

/// A convolutional layer: one kernel bank a tower.
#[derive(Module, Debug)]
struct ConvLayer {
    towers: Vec<Conv>,
}

/// A fully connected layer: one weight matrix a tower.
#[derive(Module, Debug)]
struct FcLayer {
    towers: Vec<Linear>,
}

#[derive(Module, Debug)]
struct Conv {
    // [filters, channels / groups, kernel, kernel]; not shared: [filters, channels, kernel², places]
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
    norm: Option<BatchNorm>,
}

#[derive(Module, Debug)]
struct Linear {
    weight: Param<Tensor<2>>, // [inputs, units]
    bias: Param<Tensor<1>>,
}

/// Whether the network is being trained, which dropout and batch normalization care about.
#[derive(Debug, Clone, Copy)]
pub enum Mode<'a> {
    /// Training: where each sample's draws come from, one key a sample.
    Training(&'a [Key]),
    /// Evaluation.
    Evaluation,
}

/// What [`AlexNet::forward_observed`] shows: layer, stage, tower and maps.
pub type Observe<'a> = &'a mut dyn FnMut(&str, &Stage, usize, &Tensor<4>);

impl AlexNet {
    /// Class scores before the softmax.
    ///
    /// # Shapes
    /// - `images`: `[batch, channels, size, size]`, prepared as for the weights: mostly pixels of 0–255 less the training mean
    /// - output: `[batch, classes]`
    pub fn forward(&self, images: Tensor<4>, mode: Mode) -> Tensor<2> {
        self.forward_observed(images, mode, &mut |_, _, _, _| {})
    }

    /// [`forward`](Self::forward) that shows `observe` each stage of maps before it runs, but a ReLU
    /// right after a convolution and a max pooling right after it or after LRN, which are computed with them: the
    /// layer's name, the stage, the tower and the maps `[batch, channels, height, width]`.
    pub fn forward_observed(&self, images: Tensor<4>, mode: Mode, observe: Observe) -> Tensor<2> {
        self.run(images, mode, observe, None)
    }

    /// What a layer gives out after its stages, the towers side by side.
    ///
    /// # Shapes
    /// - `images`: as in [`forward`](Self::forward)
    /// - output: `[batch, channels · height · width]`, or `[batch, units]`
    ///
    /// # Panics
    /// If there is no layer of that name.
    pub fn features(&self, images: Tensor<4>, layer: &str) -> Tensor<2> {
        let mut names = self.network.conv.iter().map(|layer| &layer.name);
        let known = names.any(|name| name == layer) || self.network.fc.iter().any(|fc| fc.name == layer);
        assert!(known, "there is no layer `{layer}`");
        self.run(images, Mode::Evaluation, &mut |_, _, _, _| {}, Some(layer))
    }

    /// Layer after layer, to the logits or to the end of one layer.
    fn run(&self, images: Tensor<4>, mode: Mode, observe: Observe, until: Option<&str>) -> Tensor<2> {
        // Each tower has its own maps; in front of the first layer, each has the image.
        let mut maps: Vec<Tensor<4>> =
            self.devices().iter().map(|device| moved(images.clone(), device)).collect();
        for (index, config) in self.network.conv.iter().enumerate() {
            let inputs = match index {
                0 => maps,
                _ => self.exchange(maps, config.reads, self.conv[index].towers.len()),
            };
            maps = self.conv_layer(index, inputs, mode, observe);
            if until == Some(config.name.as_str()) {
                return side_by_side(&maps, 0).flatten(1, 3);
            }
        }
        let mut units: Vec<Tensor<2>> = maps.into_iter().map(|x| x.flatten(1, 3)).collect();
        for (index, config) in self.network.fc.iter().enumerate() {
            let inputs = match index == 0 && self.conv.is_empty() {
                true => units,
                false => self.exchange(units, config.reads, self.fc[index].towers.len()),
            };
            units = self.fc_layer(index, inputs, mode);
            if until == Some(config.name.as_str()) {
                return side_by_side(&units, 0);
            }
        }
        units.swap_remove(0) // the last layer is not split
    }

    /// What each tower of a layer takes in: its own tower's output, or all outputs side by side; where towers lie on
    /// several devices, these are the only places at which they exchange anything (§3.2).
    fn exchange<const D: usize>(
        &self,
        towers: Vec<Tensor<D>>,
        reads: Reads,
        receivers: usize,
    ) -> Vec<Tensor<D>> {
        if reads == Reads::Own || towers.len() == 1 {
            return towers;
        }
        let mut whole: Vec<Tensor<D>> = Vec::new();
        for (tower, x) in towers.iter().enumerate().take(receivers) {
            // Towers on one device share what they read.
            let there = whole.iter().find(|whole| whole.device() == x.device()).cloned();
            whole.push(there.unwrap_or_else(|| {
                let device = x.device();
                let others = towers.iter().filter(|other| other.device() != device);
                let numbers: usize = others.map(|other| other.dims().iter().product::<usize>()).sum();
                self.exchanged.fetch_add(4 * numbers as u64, Ordering::Relaxed);
                side_by_side(&towers, tower)
            }));
        }
        whole
    }

    /// Where each tower lies.
    pub fn devices(&self) -> Vec<Device> {
        let of_conv = self.conv.first().map(|layer| layer.towers.iter().map(|it| it.weight.val().device()));
        let of_fc = self.fc.first().map(|layer| layer.towers.iter().map(|it| it.weight.val().device()));
        of_conv.map(Iterator::collect).or(of_fc.map(Iterator::collect)).unwrap_or_default()
    }

    /// Bytes of maps and units that have gone from one device to another in forward passes of this network and its
    /// clones, in f32; in a training step as many bytes of gradients come back.
    pub fn exchanged_bytes(&self) -> u64 {
        self.exchanged.load(Ordering::Relaxed)
    }

    /// Weights and biases that are learned, as tensors: as many gradients a training step must give.
    pub fn learned_tensors(&self) -> usize {
        let conv = self.conv.iter().flat_map(|layer| &layer.towers);
        let conv: usize = conv.map(|tower| if tower.norm.is_some() { 4 } else { 2 }).sum();
        let fc: usize = self.fc.iter().map(|layer| layer.towers.len()).sum();
        conv + 2 * fc
    }

    /// A convolutional layer and its stages, from what each tower reads to what each gives out.
    ///
    /// # Shapes
    /// - `inputs`: a tower each, `[batch, channels, height, width]`
    /// - output: a tower each, `[batch, filters / towers, height, width]`
    ///
    /// # Panics
    /// If there is no convolutional layer `index`.
    pub fn conv_layer(
        &self,
        index: usize,
        inputs: Vec<Tensor<4>>,
        mode: Mode,
        observe: Observe,
    ) -> Vec<Tensor<4>> {
        let config = &self.network.conv[index];
        let (relu, stages) = self.rectified(&config.stages);
        let how = Conv2d { stride: config.stride, padding: config.padding, groups: config.groups, relu };
        let towers = inputs.into_iter().zip(&self.conv[index].towers).enumerate();
        let maps = towers.map(|(tower, (x, conv))| {
            let (weight, bias) = (conv.weight.val(), conv.bias.val());
            let (mut x, mut stages) = match (config.shared, stages) {
                (true, [Stage::MaxPool(pool), after @ ..]) => {
                    (conv_max_pool2d(x, weight, bias, how, pool), after)
                }
                (true, _) => (conv2d(x, weight, bias, how), stages),
                (false, _) => (locally_connected2d(x, weight, bias, config.kernel, how), stages),
            };
            while let [stage, after @ ..] = stages {
                observe(&config.name, stage, tower, &x);
                (x, stages) = match (stage, after) {
                    (Stage::Lrn(lrn), [Stage::MaxPool(pool), after @ ..]) => {
                        (lrn_max_pool2d(x, lrn, pool), after)
                    }
                    (Stage::BatchNorm(_), _) => {
                        (batch_norm(conv.norm.as_ref().expect("built with the layer"), x, mode), after)
                    }
                    _ => (self.map_stage(stage, x, &format!("{}.{tower}", config.name), mode), after),
                };
            }
            x
        });
        maps.collect()
    }

    /// A fully connected layer and its stages, from what each tower reads to what each gives out.
    ///
    /// # Shapes
    /// - `inputs`: a tower each, `[batch, inputs]`
    /// - output: a tower each, `[batch, units / towers]`; of the last layer one, `[batch, classes]`
    ///
    /// # Panics
    /// If there is no fully connected layer `index`.
    pub fn fc_layer(&self, index: usize, inputs: Vec<Tensor<2>>, mode: Mode) -> Vec<Tensor<2>> {
        let config = &self.network.fc[index];
        let (relu, stages) = self.rectified(&config.stages);
        let towers = self.fc[index].towers.iter().zip(inputs).enumerate();
        let units = towers.map(|(tower, (fc, x))| {
            let name = format!("{}.{tower}", config.name);
            let (finish, stages) = match (relu, stages, mode) {
                (true, [Stage::Dropout(drop), stages @ ..], Mode::Training(keys)) => {
                    let mask = self.dropout_mask(keys, &name, fc.bias.dims()[0], *drop);
                    (Finish::ReluDropout(mask), stages)
                }
                (true, ..) => (Finish::Relu, stages),
                (false, ..) => (Finish::Plain, stages),
            };
            let x = linear(x, fc.weight.val(), fc.bias.val(), finish);
            stages.iter().fold(x, |x, stage| self.unit_stage(stage, x, &name, mode))
        });
        units.collect()
    }

    /// Whether a ReLU comes first, which a layer computes with its sums; and the stages after it.
    fn rectified<'a>(&self, stages: &'a [Stage]) -> (bool, &'a [Stage]) {
        match (self.network.activation, stages) {
            (Activation::Relu, [Stage::Activation, stages @ ..]) => (true, stages),
            _ => (false, stages),
        }
    }

    fn map_stage(&self, stage: &Stage, maps: Tensor<4>, name: &str, mode: Mode) -> Tensor<4> {
        match stage {
            Stage::Activation => self.activation(maps),
            Stage::Lrn(config) => lrn(maps, config),
            Stage::SpatialLrn(config) => spatial_lrn(maps, config),
            Stage::MaxPool(pool) => max_pool2d(maps, pool),
            Stage::AvgPool(pool) => avg_pool2d(maps, pool),
            Stage::BatchNorm(_) => unreachable!("has parameters, which its layer holds"),
            Stage::Dropout(drop) => {
                let shape = maps.dims();
                self.dropout(maps.flatten(1, 3), name, *drop, mode).reshape(shape)
            }
        }
    }

    fn unit_stage(&self, stage: &Stage, units: Tensor<2>, name: &str, mode: Mode) -> Tensor<2> {
        match stage {
            Stage::Activation => self.activation(units),
            Stage::Dropout(drop) => self.dropout(units, name, *drop, mode),
            _ => unreachable!("stages of maps are refused on units when the network is checked"),
        }
    }

    fn activation<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match self.network.activation {
            Activation::Relu => relu(x),
            Activation::Tanh => tanh(x),
            Activation::Sigmoid => sigmoid(x),
        }
    }

    /// §4.2: "setting to zero the output of each hidden neuron with probability 0.5".
    fn dropout(&self, units: Tensor<2>, name: &str, drop: f64, mode: Mode) -> Tensor<2> {
        match (mode, self.network.dropout) {
            (Mode::Training(keys), _) => {
                let mask = self.dropout_mask(keys, name, units.dims()[1], drop);
                let factors = mask.to_tensor(&units.device());
                units * factors
            }
            (Mode::Evaluation, DropoutConvention::Paper) => units.mul_scalar(1.0 - drop),
            (Mode::Evaluation, DropoutConvention::Inverted) => units,
        }
    }

    fn dropout_mask(&self, keys: &[Key], name: &str, units: usize, drop: f64) -> DropoutMask {
        let gain = match self.network.dropout {
            DropoutConvention::Paper => 1.0,
            DropoutConvention::Inverted => 1.0 / (1.0 - drop),
        };
        DropoutMask::draw(keys, name, units, drop, gain)
    }

    /// Every parameter by its [`Parameter::name`], with its shape and values.
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
        for (config, layer) in self.network.conv.iter().zip(&self.conv) {
            for (tower, conv) in layer.towers.iter().enumerate() {
                keep(&config.name, tower, "weight", conv.weight.val().into_data());
                keep(&config.name, tower, "bias", conv.bias.val().into_data());
                if let Some(norm) = &conv.norm {
                    keep(&config.name, tower, "gain", norm.gamma.val().into_data());
                    keep(&config.name, tower, "shift", norm.beta.val().into_data());
                    keep(&config.name, tower, "running_mean", norm.running_mean.value_sync().into_data());
                    keep(&config.name, tower, "running_variance", norm.running_var.value_sync().into_data());
                }
            }
        }
        for (config, layer) in self.network.fc.iter().zip(&self.fc) {
            for (tower, fc) in layer.towers.iter().enumerate() {
                keep(&config.name, tower, "weight", fc.weight.val().into_data());
                keep(&config.name, tower, "bias", fc.bias.val().into_data());
            }
        }
        found
    }

    /// The config the network was built from.
    pub fn network(&self) -> &Network {
        &self.network
    }
}

/// Batch normalization. Burn's own goes by the device and would take a batch's statistics wherever gradients are.
fn batch_norm(norm: &BatchNorm, maps: Tensor<4>, mode: Mode) -> Tensor<4> {
    match mode {
        Mode::Training(_) => norm.forward(maps),
        Mode::Evaluation => {
            let device = maps.device();
            let [mean, variance] =
                [&norm.running_mean, &norm.running_var].map(|state| moved(state.value_sync(), &device));
            burn::tensor::module::batch_norm(
                maps,
                norm.gamma.val(),
                norm.beta.val(),
                mean,
                variance,
                norm.epsilon,
            )
        }
    }
}

/// A tensor on a device. One that is there already stays as it is: a move is remembered by automatic differentiation.
fn moved<const D: usize>(x: Tensor<D>, device: &Device) -> Tensor<D> {
    if x.device() == *device { x } else { x.to_device(device) }
}

/// All towers' outputs as one, on the device of one of them.
fn side_by_side<const D: usize>(towers: &[Tensor<D>], on: usize) -> Tensor<D> {
    let device = towers[on].device();
    Tensor::cat(towers.iter().map(|x| moved(x.clone(), &device)).collect(), 1)
}

impl Network {
    /// Builds the network with weights drawn from `seed`.
    ///
    /// # Errors
    /// If the layers do not fit together.
    pub fn init(&self, seed: u64, device: &Device) -> Result<AlexNet, NetworkError> {
        self.init_on(seed, std::slice::from_ref(device))
    }

    /// [`init`](Self::init) with the towers on several devices, see [`build_on`](Self::build_on).
    ///
    /// # Errors
    /// If the layers do not fit together.
    pub fn init_on(&self, seed: u64, devices: &[Device]) -> Result<AlexNet, NetworkError> {
        self.build_on(devices, &mut |parameter| Ok(parameter.draw(seed)))
    }

    /// Builds the network with the values that `values` gives for each parameter, row after row.
    ///
    /// # Errors
    /// If the layers do not fit together, or `values` fails.
    ///
    /// # Panics
    /// If `values` gives more or fewer than the parameter's shape holds.
    pub fn build<E: From<NetworkError>>(
        &self,
        device: &Device,
        values: &mut dyn FnMut(&Parameter) -> Result<Vec<f32>, E>,
    ) -> Result<AlexNet, E> {
        self.build_on(std::slice::from_ref(device), values)
    }

    /// [`build`](Self::build) with each tower on a device of its own, in turn; the last layer, which is not split, lies
    /// with the first tower.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    ///
    /// # Panics
    /// As [`build`](Self::build), and if there is no device.
    pub fn build_on<E: From<NetworkError>>(
        &self,
        devices: &[Device],
        values: &mut dyn FnMut(&Parameter) -> Result<Vec<f32>, E>,
    ) -> Result<AlexNet, E> {
        let trace = self.trace()?;
        let device = |tower: usize| &devices[tower % devices.len()];
        let (conv, fc) = trace.layers.split_at(self.conv.len());
        let conv = self.conv.iter().zip(conv).map(|(layer, trace)| {
            let towers = (0..trace.towers).map(|tower| {
                layer.build(tower, trace, &mut Source { values: &mut *values, device: device(tower) })
            });
            Ok(ConvLayer { towers: towers.collect::<Result<_, E>>()? })
        });
        let conv = conv.collect::<Result<_, E>>()?;
        let fc = self.fc.iter().zip(fc).map(|(layer, trace)| {
            let towers = (0..trace.towers).map(|tower| {
                layer.build(tower, trace, &mut Source { values: &mut *values, device: device(tower) })
            });
            Ok(FcLayer { towers: towers.collect::<Result<_, E>>()? })
        });
        let fc = fc.collect::<Result<_, E>>()?;
        Ok(AlexNet { conv, fc, network: self.clone(), exchanged: Arc::default() })
    }
}

impl Convolution {
    fn build<E>(&self, tower: usize, trace: &LayerTrace, source: &mut Source<E>) -> Result<Conv, E> {
        let (places, channels) = (trace.side * trace.side, trace.inputs / self.groups);
        let (shape, biases) = match self.shared {
            true => ([trace.outputs, channels, self.kernel, self.kernel], trace.outputs),
            false => ([trace.outputs, channels, self.kernel * self.kernel, places], trace.outputs * places),
        };
        let name = format!("{}.{tower}", self.name);
        let weight = source.weight(&name, shape, self.weight_std)?;
        let bias = source.bias(&name, biases, self.bias)?;
        let norm = self.stages.iter().find_map(|stage| match stage {
            Stage::BatchNorm(norm) => Some(*norm),
            _ => None,
        });
        let norm = norm.map(|norm| source.batch_norm(&name, trace.outputs, norm)).transpose()?;
        Ok(Conv { weight, bias, norm })
    }
}

impl FullyConnected {
    fn build<E>(&self, tower: usize, trace: &LayerTrace, source: &mut Source<E>) -> Result<Linear, E> {
        let name = format!("{}.{tower}", self.name);
        let weight = source.weight(&name, [trace.inputs, trace.outputs], self.weight_std)?;
        Ok(Linear { weight, bias: source.bias(&name, trace.outputs, self.bias)? })
    }
}
