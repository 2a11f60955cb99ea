//! AlexNet, top to bottom.

use alexnet_ops::{Key, avg_pool2d, conv2d, dropout_mask, lrn, max_pool2d, tanh};
use burn::module::{Module, Param};
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::module::linear;
use burn::tensor::{Device, Tensor};

use crate::config::{Activation, Convolution, DropoutConvention, FullyConnected, Network, Reads, Stage};
use crate::init::Initializer;
use crate::trace::{LayerTrace, NetworkError};

/// AlexNet (Krizhevsky, Sutskever & Hinton 2012), or a relative of it.
#[derive(Module, Debug)]
pub struct AlexNet {
    conv: Vec<ConvLayer>,
    fc: Vec<FcLayer>,
    #[module(skip)]
    network: Network,
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
    weight: Param<Tensor<4>>, // [filters, channels, kernel, kernel]
    bias: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
struct Linear {
    weight: Param<Tensor<2>>, // [inputs, units]
    bias: Param<Tensor<1>>,
}

/// Whether the network is being trained, which only dropout cares about.
#[derive(Debug, Clone, Copy)]
pub enum Mode<'a> {
    /// Training: where each sample's draws come from, one key a sample.
    Training(&'a [Key]),
    /// Evaluation.
    Evaluation,
}

impl AlexNet {
    /// Class scores before the softmax.
    ///
    /// # Shapes
    /// - `images`: `[batch, channels, size, size]`, pixels of 0–255 with the training mean taken off
    /// - output: `[batch, classes]`
    pub fn forward(&self, images: Tensor<4>, mode: Mode) -> Tensor<2> {
        self.forward_observed(images, mode, &mut |_, _, _, _| {})
    }

    /// [`forward`](Self::forward) that shows `observe` each convolutional stage before it runs:
    /// the layer's name, the stage, the tower and the maps `[batch, channels, height, width]`.
    pub fn forward_observed(
        &self,
        images: Tensor<4>,
        mode: Mode,
        observe: &mut dyn FnMut(&str, &Stage, usize, &Tensor<4>),
    ) -> Tensor<2> {
        // Each tower has its own maps; in front of the first layer, each has the image.
        let mut maps = vec![images; self.network.towers];
        let mut first = true;
        for (layer, config) in self.conv.iter().zip(&self.network.conv) {
            let inputs = if first { maps } else { exchange(maps, config.reads) };
            first = false;
            maps = inputs.into_iter().zip(&layer.towers).map(|(x, conv)| conv.forward(x, config)).collect();
            for stage in &config.stages {
                for (tower, x) in maps.iter_mut().enumerate() {
                    observe(&config.name, stage, tower, x);
                    *x = self.map_stage(stage, x.clone());
                }
            }
        }
        let mut units: Vec<Tensor<2>> = maps.into_iter().map(|x| x.flatten(1, 3)).collect();
        for (layer, config) in self.fc.iter().zip(&self.network.fc) {
            let inputs = if first { units } else { exchange(units, config.reads) };
            first = false;
            units = layer.towers.iter().zip(inputs).map(|(fc, x)| fc.forward(x)).collect();
            for stage in &config.stages {
                for (tower, x) in units.iter_mut().enumerate() {
                    *x = self.unit_stage(stage, x.clone(), &format!("{}.{tower}", config.name), mode);
                }
            }
        }
        units.swap_remove(0) // the last layer is not split
    }

    fn map_stage(&self, stage: &Stage, maps: Tensor<4>) -> Tensor<4> {
        match stage {
            Stage::Activation => self.activation(maps),
            Stage::Lrn(config) => lrn(maps, config),
            Stage::MaxPool(pool) => max_pool2d(maps, pool),
            Stage::AvgPool(pool) => avg_pool2d(maps, pool),
            Stage::Dropout(_) => {
                unreachable!("dropout on maps is refused when the network is checked")
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
        let keep = 1.0 - drop;
        match (mode, self.network.dropout) {
            (Mode::Training(keys), convention) => {
                let mask = dropout_mask(keys, name, units.dims()[1], drop, &units.device());
                match convention {
                    DropoutConvention::Paper => units * mask,
                    DropoutConvention::Inverted => units * mask.div_scalar(keep),
                }
            }
            (Mode::Evaluation, DropoutConvention::Paper) => units.mul_scalar(keep),
            (Mode::Evaluation, DropoutConvention::Inverted) => units,
        }
    }

    /// The config the network was built from.
    pub fn network(&self) -> &Network {
        &self.network
    }
}

/// What each tower's next layer takes in: its own tower's output, or all outputs side by side.
fn exchange<const D: usize>(towers: Vec<Tensor<D>>, reads: Reads) -> Vec<Tensor<D>> {
    match reads {
        Reads::Own => towers,
        Reads::All if towers.len() == 1 => towers,
        Reads::All => vec![Tensor::cat(towers.clone(), 1); towers.len()],
    }
}

impl Conv {
    fn forward(&self, maps: Tensor<4>, config: &Convolution) -> Tensor<4> {
        conv2d(maps, self.weight.val(), self.bias.val(), config.stride, config.padding)
    }
}

impl Linear {
    fn forward(&self, units: Tensor<2>) -> Tensor<2> {
        linear(units, self.weight.val(), Some(self.bias.val()))
    }
}

impl Network {
    /// Builds the network with weights drawn from `seed`.
    ///
    /// # Errors
    /// If the layers do not fit together.
    pub fn init(&self, seed: u64, device: &Device) -> Result<AlexNet, NetworkError> {
        let trace = self.trace()?;
        let init = Initializer { seed, device };
        let (conv, fc) = trace.layers.split_at(self.conv.len());
        let conv = self.conv.iter().zip(conv).map(|(layer, trace)| ConvLayer {
            towers: (0..trace.towers).map(|tower| layer.init(tower, trace, &init)).collect(),
        });
        let fc = self.fc.iter().zip(fc).map(|(layer, trace)| FcLayer {
            towers: (0..trace.towers).map(|tower| layer.init(tower, trace, &init)).collect(),
        });
        Ok(AlexNet { conv: conv.collect(), fc: fc.collect(), network: self.clone() })
    }
}

impl Convolution {
    fn init(&self, tower: usize, trace: &LayerTrace, init: &Initializer) -> Conv {
        let shape = [trace.outputs, trace.inputs, self.kernel, self.kernel];
        let name = format!("{}.{tower}", self.name);
        Conv {
            weight: init.weight(&name, shape, self.weight_std),
            bias: init.bias(&name, trace.outputs, self.bias),
        }
    }
}

impl FullyConnected {
    fn init(&self, tower: usize, trace: &LayerTrace, init: &Initializer) -> Linear {
        let shape = [trace.inputs, trace.outputs];
        let name = format!("{}.{tower}", self.name);
        Linear {
            weight: init.weight(&name, shape, self.weight_std),
            bias: init.bias(&name, trace.outputs, self.bias),
        }
    }
}
