use alexnet_ops::{Lrn, Padding, Pool};

use crate::config::{Activation, BatchNormalization, Convolution, FullyConnected, Network, Reads, Stage};

/// The shapes and sizes of every layer, computed from the config alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The number of values of an input image.
    pub input: usize,
    /// The layers, convolutions first.
    pub layers: Vec<LayerTrace>,
}

/// One layer of a [`Trace`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerTrace {
    /// The layer's name.
    pub name: String,
    /// The number of towers that the layer is split over.
    pub towers: usize,
    /// Input channels or units of one tower.
    pub inputs: usize,
    /// Output channels or units of one tower.
    pub outputs: usize,
    /// Side of the feature map right after the layer's own operation; 1 for a fully connected layer.
    pub side: usize,
    /// The stages that follow, with the side of the map after each.
    pub stages: Vec<StageTrace>,
    /// Weights and biases, over all towers.
    pub parameters: usize,
    /// Multiply-adds of one image's forward pass, over all towers.
    pub multiply_adds: usize,
    /// Values that the layer's towers read from other towers, for one image: channels (or units) times
    /// positions. If each tower has its own device, these values cross between devices, and as many return as
    /// gradients in training.
    pub exchanged: usize,
}

/// One stage of a [`LayerTrace`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageTrace {
    /// The stage's name.
    pub name: &'static str,
    /// Side of the map after it.
    pub side: usize,
}

/// The reason why a network cannot be built.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkError {
    /// A layer has an invalid value.
    #[error("network `{network}`, layer `{layer}`: {problem}")]
    Layer {
        /// The network's name.
        network: String,
        /// The layer's name.
        layer: String,
        /// The problem and what would be valid.
        problem: String,
    },
    /// The network as a whole is invalid.
    #[error("network `{network}`: {problem}")]
    Network {
        /// The network's name.
        network: String,
        /// The problem and what would be valid.
        problem: String,
    },
}

impl Trace {
    /// The number of weights and biases of the whole network.
    pub fn parameters(&self) -> usize {
        self.layers.iter().map(|layer| layer.parameters).sum()
    }

    /// The number of multiply-adds of one image's forward pass.
    pub fn multiply_adds(&self) -> usize {
        self.layers.iter().map(|layer| layer.multiply_adds).sum()
    }

    /// The number of elements of the largest tensor in a training step with `batch` images: a weight matrix, the
    /// batch of images or a batch of feature maps.
    pub fn largest_tensor(&self, batch: usize) -> usize {
        let weights = self.layers.iter().map(|layer| layer.parameters / layer.towers).max().unwrap_or(0);
        weights.max(batch.saturating_mul(self.input)).max(self.largest_output(batch))
    }

    /// The number of elements of the largest output of a layer for `batch` images.
    pub fn largest_output(&self, batch: usize) -> usize {
        let outputs = self.layers.iter().map(|layer| layer.outputs * layer.towers * layer.side * layer.side);
        batch.saturating_mul(outputs.max().unwrap_or(0))
    }

    /// Returns every layer's name and the side of its output. The side is 1 for a fully connected layer.
    pub fn map_sizes(&self) -> Vec<(String, usize)> {
        let sides = |layer: &LayerTrace| layer.stages.last().map_or(layer.side, |stage| stage.side);
        self.layers.iter().map(|layer| (layer.name.clone(), sides(layer))).collect()
    }
}

/// The output of one layer as the next layer's input; sizes are per tower.
#[derive(Clone, Copy)]
struct Flow {
    channels: usize,
    side: usize,
    towers: usize,
    image: bool,
}

impl Flow {
    /// Input channels of one tower of the next layer.
    fn read(self, reads: Reads) -> usize {
        match reads {
            Reads::All if !self.image => self.channels * self.towers,
            _ => self.channels,
        }
    }

    /// The number of values that `receivers` towers of the next layer read from other towers, for one image.
    fn exchanged(self, reads: Reads, receivers: usize) -> usize {
        match reads {
            Reads::All if !self.image => {
                (receivers * (self.towers - 1)).saturating_mul(self.channels * self.side * self.side)
            }
            _ => 0,
        }
    }
}

impl Network {
    /// Returns every layer's shape, parameters and multiply-adds.
    ///
    /// # Errors
    /// If the layers do not fit together.
    pub fn trace(&self) -> Result<Trace, NetworkError> {
        self.check()?;
        let mut flow =
            Flow { channels: self.input.channels, side: self.input.size, towers: self.towers, image: true };
        let mut layers = Vec::new();
        for layer in &self.conv {
            let error = |problem| self.layer_error(&layer.name, problem);
            layers.push(layer.trace(&mut flow).and_then(of_this_world).map_err(error)?);
        }
        // A flattened image is still the image, so a first fully connected layer sees all of it.
        flow = Flow { channels: flow.channels * flow.side * flow.side, side: 1, ..flow };
        for (index, layer) in self.fc.iter().enumerate() {
            let last = index + 1 == self.fc.len();
            let error = |problem| self.layer_error(&layer.name, problem);
            layers.push(layer.trace(&mut flow, last).and_then(of_this_world).map_err(error)?);
        }
        let input = self.input.channels * self.input.size * self.input.size;
        Ok(Trace { input, layers })
    }

    fn layer_error(&self, layer: &str, problem: String) -> NetworkError {
        NetworkError::Layer { network: self.name.clone(), layer: layer.to_owned(), problem }
    }

    fn check(&self) -> Result<(), NetworkError> {
        let error = |problem: String| NetworkError::Network { network: self.name.clone(), problem };
        if self.towers == 0 || self.input.channels == 0 || self.input.size == 0 {
            return Err(error("towers, input.channels and input.size must be at least 1".into()));
        }
        let widths =
            self.conv.iter().map(|layer| layer.filters).chain(self.fc.iter().map(|layer| layer.units));
        if let Some(width) = widths.chain([self.towers, self.input.channels]).find(|width| *width > WIDEST) {
            return Err(error(format!("{width} filters, units, towers or channels; {WIDEST} are the most")));
        }
        if self.input.size > 4 * LARGEST {
            return Err(error(format!("inputs of {} pixels; {} are the most", self.input.size, 4 * LARGEST)));
        }
        let last = self.fc.last().ok_or_else(|| {
            error("needs at least one fully connected layer, which gives the logits".into())
        })?;
        let own = self
            .conv
            .iter()
            .map(|layer| layer.activation)
            .chain(self.fc.iter().map(|layer| layer.activation));
        for activation in own.flatten().chain([self.activation]) {
            if let Activation::LeakyRelu(constant) | Activation::Elu(constant) = activation
                && !(constant.is_finite() && constant >= 0.0)
            {
                return Err(error(format!("activation: {constant} must be finite and at least 0")));
            }
        }
        if last.units != self.classes {
            let (name, units, classes) = (&last.name, last.units, self.classes);
            return Err(error(format!(
                "`classes` is {classes}, but the last layer `{name}` has {units} units; they must be equal"
            )));
        }
        if last.reads != Reads::All {
            return Err(error(format!("the last layer `{}` is not split and must read `all`", last.name)));
        }
        let mut names: Vec<&str> = self.conv.iter().map(|layer| layer.name.as_str()).collect();
        names.extend(self.fc.iter().map(|layer| layer.name.as_str()));
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(error(format!("two layers are called `{}`", pair[0])));
        }
        Ok(())
    }
}

impl Convolution {
    fn trace(&self, flow: &mut Flow) -> Result<LayerTrace, String> {
        check_gaussian(self.weight_std, self.bias)?;
        if self.stride == 0 || self.kernel == 0 || self.stride > LARGEST {
            return Err(format!("kernel and stride must be at least 1; a stride of {LARGEST} is the most"));
        }
        let outputs = share("filters", self.filters, flow.towers, "tower(s)")?;
        let inputs = flow.read(self.reads);
        share("channels", inputs, self.groups, "group(s)")?;
        share("filters of a tower", outputs, self.groups, "group(s)")?;
        if self.groups > 1 && !self.shared {
            return Err("a locally connected layer has no groups".into());
        }
        let Padding { top, left, bottom, right } = self.padding;
        if self.kernel > LARGEST || [top, left, bottom, right].iter().any(|padding| *padding >= self.kernel) {
            return Err(format!(
                "a kernel of {} pixels with a padding of {:?}: {LARGEST} is the most, and padding must be less",
                self.kernel,
                [top, left, bottom, right]
            ));
        }
        if top + bottom != left + right {
            return Err("padding must add as many rows as columns: maps are square".into());
        }
        let span = (flow.side + top + bottom).checked_sub(self.kernel).ok_or_else(|| {
            format!("a {0}×{0} map is smaller than the {1}×{1} kernel", flow.side, self.kernel)
        })?;
        let side = span / self.stride + 1;
        let kernels = (self.kernel * self.kernel * inputs / self.groups).saturating_mul(self.filters);
        let places = side * side;
        let sets = if self.shared { 1 } else { places };
        let normalizes = |stage: &&Stage| matches!(stage, Stage::BatchNorm(_) | Stage::GroupNorm(_));
        let norms = self.stages.iter().filter(normalizes).count();
        if norms > 1 {
            return Err("batch or group normalization can be there once a layer".into());
        }
        check_one_dropout(&self.stages)?;
        let mut stages = Vec::new();
        let mut after = side;
        for stage in &self.stages {
            if let Stage::GroupNorm(norm) = stage {
                share("maps of a tower", outputs, norm.groups, "group(s)")?;
            }
            after = map_stage(stage, after)?;
            stages.push(StageTrace { name: stage.name(), side: after });
        }
        if self.residual && (inputs, flow.side) != (outputs, after) {
            return Err(format!(
                "a residual connection needs equal shapes: {inputs} × {0} × {0} in, {outputs} × {after} × {after} out",
                flow.side
            ));
        }
        let exchanged = flow.exchanged(self.reads, flow.towers);
        *flow = Flow { channels: outputs, side: after, image: false, ..*flow };
        Ok(LayerTrace {
            name: self.name.clone(),
            towers: flow.towers,
            inputs,
            outputs,
            side,
            stages,
            // Each map has a gain and a shift.
            parameters: sets
                .saturating_mul(kernels.saturating_add(self.filters))
                .saturating_add(2 * norms * self.filters),
            multiply_adds: kernels.saturating_mul(places),
            exchanged,
        })
    }
}

impl FullyConnected {
    fn trace(&self, flow: &mut Flow, last: bool) -> Result<LayerTrace, String> {
        check_gaussian(self.weight_std, self.bias)?;
        let towers = if last { 1 } else { flow.towers };
        let outputs = share("units", self.units, towers, "tower(s)")?;
        let inputs = flow.read(self.reads);
        let weights = inputs.saturating_mul(self.units);
        check_one_dropout(&self.stages)?;
        let mut stages = Vec::new();
        for stage in &self.stages {
            match stage {
                Stage::Dropout(drop) => check_dropout(*drop)?,
                Stage::Activation => {}
                _ => {
                    return Err(format!("`{}` needs maps and cannot follow units", stage.name()));
                }
            }
            stages.push(StageTrace { name: stage.name(), side: 1 });
        }
        let exchanged = flow.exchanged(self.reads, towers);
        *flow = Flow { channels: outputs, side: 1, towers, image: false };
        Ok(LayerTrace {
            name: self.name.clone(),
            towers,
            inputs,
            outputs,
            side: 1,
            stages,
            parameters: weights.saturating_add(self.units),
            multiply_adds: weights,
            exchanged,
        })
    }
}

/// The largest allowed side of a kernel or window. Config files cannot exceed it.
const LARGEST: usize = 4096;
/// The largest allowed number of filters or units in a layer.
const WIDEST: usize = 1 << 17;
/// The largest allowed number of parameters, multiply-adds or exchanged values in a layer. Larger counts
/// saturate until the layer is refused.
const MOST: u64 = 1 << 40;

/// Refuses a layer that is too large for any machine.
fn of_this_world(layer: LayerTrace) -> Result<LayerTrace, String> {
    match layer.parameters.max(layer.multiply_adds).max(layer.exchanged) as u64 {
        0..=MOST => Ok(layer),
        _ => Err(format!("more than {MOST} parameters, multiply-adds or numbers exchanged")),
    }
}

/// Side of a map after `stage`.
fn map_stage(stage: &Stage, side: usize) -> Result<usize, String> {
    match stage {
        Stage::Activation => Ok(side),
        Stage::Lrn(lrn) | Stage::SpatialLrn(lrn) => check_lrn(lrn).map(|()| side),
        Stage::BatchNorm(norm) => check_batch_norm(norm).map(|()| side),
        Stage::GroupNorm(norm) if !(norm.epsilon > 0.0 && norm.epsilon.is_finite()) => {
            Err(format!("group-norm: an epsilon of {} must be above 0", norm.epsilon))
        }
        Stage::GroupNorm(_) => Ok(side),
        Stage::GlobalAvgPool => Ok(1),
        Stage::MaxPool(pool) | Stage::AvgPool(pool) => pooled(pool, side),
        Stage::Dropout(drop) => check_dropout(*drop).map(|()| side),
    }
}

fn check_batch_norm(norm: &BatchNormalization) -> Result<(), String> {
    let BatchNormalization { epsilon, momentum } = *norm;
    if epsilon > 0.0 && epsilon.is_finite() && (0.0..=1.0).contains(&momentum) {
        return Ok(());
    }
    Err(format!("batch-norm: an epsilon of {epsilon} (above 0) and a momentum of {momentum} (0 to 1)"))
}

fn check_lrn(lrn: &Lrn) -> Result<(), String> {
    if !(1..=LARGEST).contains(&lrn.size) {
        return Err(format!("lrn.size is {} and must be 1 to {LARGEST}", lrn.size));
    }
    // Check in f32, the type of the computation. With k = 0, an inactive window would give 0 / 0.
    let [k, alpha, beta] = [lrn.k, lrn.alpha, lrn.beta].map(|constant| constant as f32);
    if [k, alpha, beta].iter().all(|constant| constant.is_finite()) && k > 0.0 && alpha >= 0.0 {
        return Ok(());
    }
    Err("lrn.k, lrn.alpha and lrn.beta must be finite, k above 0 and alpha not negative".into())
}

fn check_dropout(drop: f64) -> Result<(), String> {
    if (0.0..1.0).contains(&drop) {
        return Ok(());
    }
    Err(format!("dropout of {drop} must be at least 0 and below 1"))
}

/// The layer's name keys the mask, so two dropout stages of a layer would drop the same units.
fn check_one_dropout(stages: &[Stage]) -> Result<(), String> {
    match stages.iter().filter(|stage| matches!(stage, Stage::Dropout(_))).count() {
        0 | 1 => Ok(()),
        _ => Err("dropout can be there once a layer".into()),
    }
}

fn pooled(pool: &Pool, side: usize) -> Result<usize, String> {
    let sizes = 1..=LARGEST;
    if !sizes.contains(&pool.size) || !sizes.contains(&pool.stride) || pool.padding > pool.size / 2 {
        let problem = "a pool needs size and stride of at least 1, and padding of at most half its size";
        return Err(format!("{problem}; {LARGEST} are the most"));
    }
    pool.output_side(side)
        .ok_or_else(|| format!("a {side}×{side} map is smaller than the {0}×{0} pooling window", pool.size))
}

fn share(what: &str, all: usize, towers: usize, parts: &str) -> Result<usize, String> {
    if all == 0 || towers == 0 || !all.is_multiple_of(towers) {
        return Err(format!("{all} {what} cannot be split over {towers} {parts}"));
    }
    Ok(all / towers)
}

fn check_gaussian(std: f64, bias: f64) -> Result<(), String> {
    if std.is_finite() && std >= 0.0 && bias.is_finite() {
        return Ok(());
    }
    Err("weight_std must be a finite number of at least 0, and bias a finite number".into())
}
