//! From a file of weights to everything that is needed to use them: the network, the preparation of its images and
//! its classes.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;

use alexnet_config::ConfigError;
use alexnet_data::Preprocessing;
use alexnet_model::{AlexNet, Network, Preset};
use burn::tensor::Device;

use crate::imagenet::imagenet_classes;
use crate::load_error::{LoadError, Unresolved};
use crate::metadata::{CLASSES, INPUT_SIDE, NETWORK, PREPROCESSING};
use crate::preprocessing_source::PreprocessingSource;
use crate::{Names, Weights, WeightsError};

/// Weights with everything that is needed to use them.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The tensors of the file.
    pub weights: Weights,
    /// The network that they are for.
    pub network: Network,
    /// How an image becomes the network's input.
    pub preprocessing: Preprocessing,
    /// The ids of the classes of the outputs, if known.
    pub classes: Option<Vec<String>>,
    /// What neither the file nor the caller says.
    pub assumptions: Vec<Assumption>,
}

/// Properties of weights that are known apart from their file. They take precedence over what the file says.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The network.
    pub network: Option<Network>,
    /// How an image becomes the network's input.
    pub preprocessing: Option<PreprocessingSource>,
    /// The ids of the classes of the outputs.
    pub classes: Option<Vec<String>>,
    /// Whether the weights come from this project's training, whose classes are not ImageNet's unless it says so.
    pub trained_here: bool,
}

/// What was assumed about weights. Its text is for people.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Assumption {
    /// The network is this preset, whose shapes the tensors have.
    Network(String),
    /// The input has another size than the preset's.
    Input {
        /// The preset.
        network: String,
        /// Its size in pixels.
        preset: usize,
        /// The file's.
        file: usize,
    },
    /// Images are prepared as in the paper.
    Preprocessing {
        /// The number of the network's input channels.
        channels: usize,
    },
}

impl fmt::Display for Assumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(name) => {
                write!(f, "does not say which network it is of; taken for `{name}`, whose shapes it has")
            }
            Self::Input { network, preset, file } => {
                write!(
                    f,
                    "takes inputs of {file} pixels, where `{network}` takes {preset}; the file's are taken"
                )
            }
            Self::Preprocessing { channels } => {
                let less = if *channels == 1 { "with no mean taken off" } else { "less ImageNet's mean" };
                write!(
                    f,
                    "does not say how images are prepared for it; taken to be as in the paper, pixels of 0 to 255 {less}"
                )
            }
        }
    }
}

/// Reads a file of weights in any supported format and determines its network, the preparation of its images and its
/// classes: from its metadata, or from the preset that fits. What is assumed is in [`Loaded::assumptions`].
///
/// # Errors
/// If the file cannot be read, or not exactly one network fits.
///
/// # Examples
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let loaded = alexnet_weights::load("alexnet-owt-7be5be79.pth".as_ref())?;
/// let model = loaded.model(&alexnet_ops::Backend::in_this_build()[0].device()?)?;
/// let inputs = loaded.preprocessing.views(&std::fs::read("dog.jpeg")?, alexnet_data::Views::Centre)?;
/// # Ok(())
/// # }
/// ```
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    let mut weights = Weights::read(path)?;
    let unresolved = |source| LoadError::Unresolved { path: path.to_owned(), source };
    weights.metadata.extend(metadata_beside(path).map_err(unresolved)?);
    Loaded::new(weights, Known::default()).map_err(unresolved)
}

/// Reads the metadata beside one of this project's records: a file of the same name that ends in `.json`. Other files
/// and records without such a file have none.
///
/// # Errors
/// If the file is damaged.
pub fn metadata_beside(path: &Path) -> Result<BTreeMap<String, String>, Unresolved> {
    if path.extension().is_none_or(|ending| ending != "bpk") {
        return Ok(BTreeMap::new());
    }
    let json = path.with_extension("json");
    match std::fs::read(&json) {
        Ok(text) => serde_json::from_slice(&text).map_err(|source| Unresolved::Beside { path: json, source }),
        Err(_) => Ok(BTreeMap::new()),
    }
}

impl Loaded {
    /// Determines what is needed to use weights, as [`load`] does.
    ///
    /// # Errors
    /// If not exactly one network fits, or metadata are damaged.
    pub fn new(weights: Weights, known: Known) -> Result<Self, Unresolved> {
        let mut assumptions = Vec::new();
        let network = match known.network {
            Some(network) => network,
            None => network(&weights, &mut assumptions)?,
        };
        network.trace()?; // a file may describe an invalid network
        let preparation = match known.preprocessing {
            Some(preparation) => Some(preparation),
            None => weights
                .stated_preprocessing()?
                .map(PreprocessingSource::Given)
                .or_else(|| PreprocessingSource::of_publisher(&weights, &network)),
        };
        let preparation = preparation.unwrap_or_else(|| {
            assumptions.push(Assumption::Preprocessing { channels: network.input.channels });
            PreprocessingSource::Paper
        });
        let preprocessing = preparation.of(&network);
        preprocessing.check().map_err(|problem| Unresolved::Preprocessing { problem })?;
        let (crop, channels) = (preprocessing.crop, preprocessing.gain.len());
        if (crop, channels) != (network.input.size, network.input.channels) {
            let (size, takes) = (network.input.size, network.input.channels);
            return Err(Unresolved::Mismatch { crop, channels, network: network.name, size, takes });
        }
        let classes = match (known.classes, entry::<Vec<String>>(&weights, CLASSES)?) {
            (Some(classes), _) | (None, Some(classes)) => Some(classes),
            // The file is from elsewhere and has as many outputs as the published networks.
            (None, None) if known.trained_here => None,
            (None, None) => {
                let ids: Vec<String> = imagenet_classes().into_iter().map(|class| class.id).collect();
                (ids.len() == network.classes).then_some(ids)
            }
        };
        Ok(Self { weights, network, preprocessing, classes, assumptions })
    }

    /// Creates the network with these weights.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn model(&self, device: &Device) -> Result<AlexNet, WeightsError> {
        self.weights.network(&self.network, device)
    }

    /// Returns a label for each output. WordNet ids become names, other ids stay. Where the classes are not known,
    /// outputs are numbered.
    pub fn labels(&self) -> Vec<String> {
        let names: HashMap<String, String> =
            imagenet_classes().into_iter().map(|class| (class.id, class.name)).collect();
        // Names come from a file, and may hold what breaks lines and terminals.
        let label = |class: &String| names.get(class).unwrap_or(class).replace(char::is_control, "\u{fffd}");
        match &self.classes {
            Some(classes) if classes.len() == self.network.classes => classes.iter().map(label).collect(),
            _ => (0..self.network.classes).map(|class| format!("class {class}")).collect(),
        }
    }

    /// Returns the metadata to store with the weights: network, preparation and classes.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        let network = toml::to_string(&self.network).expect("a network is a table");
        let json = |value: &dyn Fn() -> serde_json::Result<String>| value().expect("plain numbers and texts");
        let preprocessing = json(&|| serde_json::to_string(&self.preprocessing));
        let mut metadata =
            BTreeMap::from([(NETWORK.to_owned(), network), (PREPROCESSING.to_owned(), preprocessing)]);
        if let Some(classes) = &self.classes {
            metadata.insert(CLASSES.to_owned(), json(&|| serde_json::to_string(classes)));
        }
        metadata
    }
}

impl Weights {
    /// Returns the network with as many outputs as these weights have.
    pub fn adapt(&self, network: Network) -> Network {
        match self.outputs(&network) {
            Some(classes) => network.with_classes(classes),
            None => network,
        }
    }

    /// Returns the network with inputs of the size that a file of a graph states, if the weights fit it as well.
    fn resized(&self, network: Network, assumptions: &mut Vec<Assumption>) -> Network {
        let stated = self.metadata.get(INPUT_SIDE).and_then(|side| side.parse().ok());
        let Some(size) = stated.filter(|size| *size != network.input.size) else { return network };
        let mut other = network.clone();
        other.input.size = size;
        if self.check(&other).is_err() {
            return network;
        }
        let (name, preset) = (network.name.clone(), network.input.size);
        assumptions.push(Assumption::Input { network: name, preset, file: size });
        other
    }

    /// Returns the presets that these weights fit, each with as many outputs as they have.
    pub fn fitting_presets(&self) -> Vec<Network> {
        let presets = presets().map(|network| self.adapt(network));
        presets.filter(|network| self.check(network).is_ok()).collect()
    }

    /// Returns the only preset that these weights fit.
    ///
    /// # Errors
    /// If none or several do.
    pub fn fitting_preset(&self) -> Result<Network, Unresolved> {
        let mut fitting = self.fitting_presets();
        // Some presets have the same parameters. torchvision's tensor names identify its network.
        let theirs = |network: &&Network| {
            network.name == "torchvision"
                && Names::of(self, network).is_ok_and(|names| names == Names::Torchvision)
        };
        if let Some(torchvision) = fitting.iter().find(theirs) {
            return Ok(torchvision.clone());
        }
        match fitting.len() {
            0 => Err(Unresolved::NoPreset { nearest: self.nearest_preset() }),
            1 => Ok(fitting.remove(0)),
            _ => Err(Unresolved::SeveralPresets {
                names: fitting.into_iter().map(|network| network.name).collect(),
            }),
        }
    }

    /// Returns the preparation of images that the metadata state.
    ///
    /// # Errors
    /// If the entry is damaged.
    pub fn stated_preprocessing(&self) -> Result<Option<Preprocessing>, Unresolved> {
        entry(self, PREPROCESSING)
    }

    /// Returns why these weights do not fit the preset with which they have most in common, as a phrase in parentheses.
    pub fn nearest_preset(&self) -> String {
        let nearest = presets().max_by_key(|network| self.in_common(network));
        let nearest = nearest.filter(|network| self.in_common(network) > 0);
        let why = nearest.and_then(|network| Some((self.check(&network).err()?, network)));
        match (why, self.tensors.keys().next()) {
            (Some((why, network)), _) => format!(" (of the nearest, `{}`: {why})", network.name),
            (None, Some(first)) => format!(" (the first tensor is `{}`)", first.escape_debug()),
            (None, None) => String::new(),
        }
    }
}

fn entry<T: serde::de::DeserializeOwned>(
    weights: &Weights,
    key: &'static str,
) -> Result<Option<T>, Unresolved> {
    let wrong = |source: serde_json::Error| Unresolved::Metadata { key, source: source.into() };
    weights.metadata.get(key).map(|json| serde_json::from_str(json)).transpose().map_err(wrong)
}

/// Returns the network that the metadata state, or the preset that fits.
fn network(weights: &Weights, assumptions: &mut Vec<Assumption>) -> Result<Network, Unresolved> {
    if let Some(toml) = weights.metadata.get(NETWORK) {
        let wrong = |source: ConfigError| Unresolved::Metadata { key: NETWORK, source: source.into() };
        return alexnet_config::parse(toml).map_err(wrong);
    }
    // Caffe has two networks. The order of the layers identifies them, or the name if the order is not stored.
    let of_caffe = |key: &str| weights.metadata.get(key).map(String::as_str);
    let caffe = match (of_caffe("first"), of_caffe("name")) {
        (Some("LRN"), _) | (None, Some("AlexNet")) => Some("caffe-alexnet"),
        (Some("Pooling"), _) | (None, Some("CaffeNet")) => Some("caffenet"),
        _ => None,
    };
    if let Some(name) = caffe {
        let network = weights.adapt(Preset::load(name)?);
        if weights.check(&network).is_ok() {
            return Ok(weights.resized(network, assumptions));
        }
    }
    let network = weights.resized(weights.fitting_preset()?, assumptions);
    // torchvision's tensor names identify the network; others do not.
    if Names::of(weights, &network)? != Names::Torchvision {
        assumptions.push(Assumption::Network(network.name.clone()));
    }
    Ok(network)
}

fn presets() -> impl Iterator<Item = Network> {
    Preset::ALL.iter().filter_map(|preset| Preset::load(preset.name).ok())
}
