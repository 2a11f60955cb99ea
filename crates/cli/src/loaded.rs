//! Weights from several sources, with their network and preprocessing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use alexnet_data::{Class, Preprocessing, file_sha256, hex};
use alexnet_model::{AlexNet, Network, Preset};
use alexnet_train::Run;
use alexnet_weights::{Checkpoint, Names, Weights, WeightsError, read_caffe_mean};
use anyhow::{Context, Result, anyhow, bail};
use burn::tensor::Device;
use sha2::{Digest, Sha256};

use crate::args::Origin;
use crate::classes::{ilsvrc, labels, outputs};
use crate::commands::fetch;
use crate::data_sets::fetched;
use crate::output::{self, can_redraw, note};

/// The address of torchvision's weights and the first digits of their SHA-256, which are part of the file
/// name.
const TORCHVISION: (&str, &str) =
    ("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth", "7be5be79");

/// The keys of the metadata stored with weights in safetensors.
pub(crate) const NETWORK: &str = "network";
const PREPROCESSING: &str = "preprocessing";
const CLASSES: &str = "classes";

/// Published accuracies, top-1 and top-5 in percent of ILSVRC-2012's validation images, by network.
pub(crate) const PUBLISHED: [(&str, f64, f64, &str); 3] = [
    ("torchvision", 56.522, 79.066, "torchvision's documentation, one view"),
    ("caffe-alexnet", 57.1, 80.2, "Caffe's readme, one view"),
    ("caffenet", 57.4, 80.4, "Caffe's readme, one view"),
];

/// Weights with everything that is needed to use them.
pub(crate) struct Loaded {
    path: PathBuf,
    pub(crate) weights: Weights,
    pub(crate) network: Network,
    pub(crate) how: Preprocessing,
    /// The classes of the outputs, if known.
    classes: Option<Vec<String>>,
    /// The assumptions that were made, for people.
    guesses: Vec<String>,
}

impl Loaded {
    /// Opens a file of weights, a run's folder, or `torchvision`. The network is the requested one, the one
    /// that the file names, or the preset that fits. Reports guesses.
    pub(crate) fn open(name: &Path, origin: &Origin) -> Result<Self> {
        let loaded = Self::read(name, origin)?;
        loaded.guesses.iter().for_each(|guess| note(&format!("note: {guess}")));
        Ok(loaded)
    }

    fn read(name: &Path, origin: &Origin) -> Result<Self> {
        let opened = Opened::new(name, origin.preset.is_some() && origin.preprocessing.is_some())?;
        let Opened { path, run, weights } = &opened;
        let mut guesses = Vec::new();
        // Caffe has two networks. The order of the layers identifies them, or the name if the order is not
        // stored.
        let of_caffe = |key: &str| weights.metadata.get(key).map(String::as_str);
        let said = match (of_caffe("first"), of_caffe("name")) {
            (Some("LRN"), _) | (None, Some("AlexNet")) => Some("caffe-alexnet"),
            (Some("Pooling"), _) | (None, Some("CaffeNet")) => Some("caffenet"),
            _ => None,
        };
        let network = match (&origin.preset, &run, weights.metadata.get(NETWORK)) {
            (Some(name), ..) => with_head(Preset::load(name)?, weights),
            (None, Some(run), _) => run.config.network.clone(),
            (None, None, Some(toml)) => {
                alexnet_config::parse(toml).with_context(|| said_by(path, NETWORK))?
            }
            (None, None, None) => {
                match said.map(Preset::load).transpose()?.map(|network| with_head(network, weights)) {
                    Some(network) if weights.check(&network).is_ok() => network,
                    _ => {
                        let network = fitting_one(weights).with_context(|| path.display().to_string())?;
                        // torchvision's tensor names identify the network; others do not.
                        if Names::of(weights, &network)? != Names::Torchvision {
                            guesses.push(format!(
                            "{} does not say which network it is of; taken for `{}`, whose shapes it has (`--preset`)",
                            path.display(),
                            network.name
                        ));
                        }
                        network
                    }
                }
            }
        };
        network.trace()?; // a file may describe an invalid network
        let said = if origin.preprocessing.is_none() { opened.preparation()? } else { None };
        let mut how = match (&origin.preprocessing, said, run) {
            (Some(how), ..) => preprocessing(how, &network)?,
            (None, Some(how), _) => how,
            (None, None, Some(run)) => return Err({
                let folder = run.folder.display();
                match run.weights().is_file() {
                    true => anyhow!("{folder}: how its images are prepared was not kept; say it with `--preprocessing`"),
                    false => anyhow!(
                        "{folder} is not finished, and keeps how its images are prepared at the end; \
                         say it with `--preprocessing`"
                    ),
                }
            }),
            (None, None, None) => of_origin(weights, &network).unwrap_or_else(|how| {
                let less = if network.input.channels == 1 { "with no mean taken off" } else { "less ImageNet's mean" };
                guesses.push(format!(
                    "{} does not say how images are prepared for it; taken to be as in the paper, pixels of 0 to 255 \
                     {less} (`--preprocessing`)",
                    path.display()
                ));
                how
            }),
        };
        if let Some(path) = &origin.mean {
            how = how
                .with_mean_image(&read_caffe_mean(path)?)
                .map_err(|problem| anyhow!("{}: {problem}", path.display()))?;
        }
        how.check().map_err(|problem| anyhow!("{}: preprocessing: {problem}", name.display()))?;
        if (how.crop, how.gain.len()) != (network.input.size, network.input.channels) {
            bail!(
                "{}: prepares {} pixels in {} channels, but network `{}` takes {} in {}",
                name.display(),
                how.crop,
                how.gain.len(),
                network.name,
                network.input.size,
                network.input.channels
            );
        }
        let classes = match (&run, weights.metadata.get(CLASSES)) {
            (Some(run), _) => run.classes()?,
            (None, Some(json)) => Some(serde_json::from_str(json).with_context(|| said_by(path, CLASSES))?),
            // The file is from elsewhere and has as many outputs as the published networks.
            (None, None) => {
                let ids: Vec<String> = ilsvrc().into_iter().map(|class| class.id).collect();
                (ids.len() == network.classes).then_some(ids)
            }
        };
        Ok(Self { path: opened.path, weights: opened.weights, network, how, classes, guesses })
    }

    /// Returns the output for each class of the data.
    pub(crate) fn outputs(&self, classes: &[Class]) -> Result<Vec<usize>> {
        outputs(&self.network, self.classes.as_deref(), classes)
    }

    /// Returns a label for each output.
    pub(crate) fn labels(&self) -> Vec<String> {
        labels(&self.network, self.classes.as_deref())
    }

    /// Creates the network with these weights.
    pub(crate) fn model(&self, device: &Device) -> Result<AlexNet> {
        self.weights.network(&self.network, device).with_context(|| self.path.display().to_string())
    }
}

fn said_by(path: &Path, what: &str) -> String {
    format!("{}: the `{what}` in the metadata", path.display())
}

/// Initial weights of a training: their file, its SHA-256, and their preprocessing, if known.
pub(crate) struct Beginning {
    pub(crate) path: PathBuf,
    pub(crate) sha256: String,
    pub(crate) how: Option<Preprocessing>,
}

impl Beginning {
    /// Reads initial weights for a network from a file, a finished run's folder, or `torchvision`. Does not
    /// guess.
    pub(crate) fn of(name: &Path, network: &Network) -> Result<Self> {
        let opened = Opened::new(name, false)?;
        let how = match (opened.preparation()?, &opened.run) {
            (None, None) => {
                // With another head, the weights fit no preset, but they may still have torchvision's names.
                let theirs = fitting_one(&opened.weights).unwrap_or_else(|_| network.clone());
                of_origin(&opened.weights, &theirs).ok()
            }
            (how, _) => how,
        };
        if let Some(Err(problem)) = how.as_ref().map(Preprocessing::check) {
            bail!("{}: preprocessing: {problem}", name.display());
        }
        Ok(Self { sha256: file_sha256(&opened.path)?, path: opened.path, how })
    }

    /// Returns the identity of the initial weights: the numbers and the preprocessing.
    pub(crate) fn identity(&self) -> Result<String> {
        let how = Sha256::digest(serde_json::to_vec(&self.how)?);
        Ok(format!("{}-{}", self.sha256, hex(&how[..4])))
    }
}

/// A file of weights, and the run to which it belongs.
struct Opened {
    path: PathBuf,
    run: Option<Run>,
    weights: Weights,
}

impl Opened {
    /// Reads a file, the weights of a run's folder, or those of `torchvision`. If network and preprocessing
    /// are `known`, damaged files next to the weights are not an error.
    fn new(name: &Path, known: bool) -> Result<Self> {
        let found = find(name)?;
        let run = match run_of(&found) {
            Err(_) if known && found.is_file() => None,
            run => run?,
        };
        let path = match (&run, found.is_dir()) {
            (Some(run), true) if !run.weights().is_file() => {
                bail!("{} is not finished: it has no weights yet", found.display())
            }
            (Some(run), true) => run.weights(),
            (None, true) => bail!("{} is a folder, and no run's", found.display()),
            (_, false) => found,
        };
        let mut weights = read(&path)?;
        if run.is_none() && is_record(&path) && !known {
            weights.metadata.extend(beside(&path)?);
        }
        Ok(Self { path, run, weights })
    }

    /// Returns the preprocessing that the run or the file specifies.
    fn preparation(&self) -> Result<Option<Preprocessing>> {
        match (&self.run, self.weights.metadata.get(PREPROCESSING)) {
            (Some(run), _) => Ok(run.preprocessing()?),
            (None, Some(json)) => {
                serde_json::from_str(json).with_context(|| said_by(&self.path, PREPROCESSING)).map(Some)
            }
            (None, None) => Ok(None),
        }
    }
}

/// Reads a file. Names the file in an error about a tensor. Reports which entry of a training checkpoint was
/// used.
pub(crate) fn read(path: &Path) -> Result<Weights> {
    let weights = match Weights::read(path) {
        Err(error @ WeightsError::Tensor { .. }) => Err(error).with_context(|| path.display().to_string())?,
        other => other?,
    };
    if let Some(Checkpoint { taken, others }) = &weights.checkpoint {
        let mut note =
            format!("note: {}: a training checkpoint; its weights are those of `{taken}`", path.display());
        if !others.is_empty() {
            note += &format!(", not of `{}`", others.join("`, `"));
        }
        output::note(&note);
    }
    Ok(weights)
}

/// Returns the preprocessing for weights that do not specify it: that of the publisher of weights with such
/// names. If there is no publisher, returns the paper's preprocessing as an error, because it is a guess.
fn of_origin(weights: &Weights, network: &Network) -> Result<Preprocessing, Preprocessing> {
    let size = network.input.size;
    let caffe = weights.metadata.get("format").is_some_and(|format| format == "caffe");
    if network.input.channels == 1 {
        // There are no published weights for grey images.
        return Err(as_in_the_paper(network));
    }
    let theirs = Names::of(weights, network).is_ok_and(|names| names == Names::Torchvision);
    match network.name.as_str() {
        "torchvision" => Ok(Preprocessing::torchvision()),
        "caffe-alexnet" | "caffenet" => Ok(Preprocessing::caffe(size)),
        _ if caffe => Ok(Preprocessing::caffe(size)),
        _ if theirs && size == Preprocessing::torchvision().crop => Ok(Preprocessing::torchvision()),
        _ => Err(as_in_the_paper(network)),
    }
}

/// Returns the paper's preprocessing: pixels minus the mean of ImageNet's colours. Grey images, whose mean it does
/// not state, keep their pixels.
fn as_in_the_paper(network: &Network) -> Preprocessing {
    let how = Preprocessing::paper(network.input.size);
    match network.input.channels {
        1 => Preprocessing { mean: vec![0.0], gain: vec![1.0], ..how },
        _ => how,
    }
}

/// Returns the preprocessing that `--preprocessing` names, for the inputs of a network.
fn preprocessing(how: &str, network: &Network) -> Result<Preprocessing> {
    Ok(match how {
        "torchvision" => Preprocessing::torchvision(),
        "caffe" => Preprocessing::caffe(network.input.size),
        "paper" => as_in_the_paper(network),
        file => {
            let text = fs::read(file).with_context(|| {
                format!("`--preprocessing {file}`: neither torchvision, caffe nor paper, and no file")
            })?;
            serde_json::from_slice(&text).with_context(|| format!("{file}: no preprocessing.json"))?
        }
    })
}

/// Returns whether a file name is that of one of this project's records.
pub(crate) fn is_record(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "bpk")
}

/// Returns the run to which a folder, a file of weights or a checkpoint belongs.
pub(crate) fn run_of(path: &Path) -> Result<Option<Run>> {
    let folder = match (path.is_dir(), path.parent()) {
        (true, _) => Some(path),
        (false, Some(folder)) if path.file_name().is_some_and(|name| name == "weights.bpk") => Some(folder),
        (false, Some(folder)) if is_record(path) => {
            let above =
                folder.parent().filter(|above| above.file_name().is_some_and(|name| name == "checkpoints"));
            above.and_then(Path::parent)
        }
        _ => None,
    };
    let there = folder.filter(|folder| folder.join("run.json").exists());
    Ok(there.map(Run::open).transpose()?)
}

/// Returns the file that a name denotes. Looks for `torchvision` in the usual caches and downloads it if it
/// is in none.
pub(crate) fn find(name: &Path) -> Result<PathBuf> {
    if name != Path::new("torchvision") || name.exists() {
        return Ok(name.to_owned());
    }
    let (url, hash) = TORCHVISION;
    let file = url.rsplit('/').next().unwrap_or(url);
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let home = std::env::home_dir();
    let cache = variable("XDG_CACHE_HOME").or_else(|| Some(home?.join(".cache")));
    let torch = variable("TORCH_HOME").or_else(|| Some(cache?.join("torch")));
    let ours = fetched().join("weights");
    let checkpoints = torch.map(|torch| torch.join("hub/checkpoints"));
    let mut found = checkpoints.into_iter().chain([ours.clone()]).map(|folder| folder.join(file));
    if let Some(path) = found.find(|path| path.is_file()) {
        let sum = file_sha256(&path)?;
        if !sum.starts_with(hash) {
            bail!("{}: its SHA-256 begins with {}, not {hash}; remove it", path.display(), &sum[..8]);
        }
        return Ok(path);
    }
    if can_redraw() {
        note("torchvision's weights are in no cache here");
    }
    fs::create_dir_all(&ours).with_context(|| format!("cannot write {}", ours.display()))?;
    let target = ours.join(file);
    fetch::fetch_weights(url, hash, &target).with_context(|| {
        format!(
            "cannot fetch torchvision's weights; put the file by hand at {} (from {url})",
            target.display()
        )
    })?;
    Ok(target)
}

/// Returns the network with as many outputs as the weights have. A preset's network may have been fine-tuned
/// for other classes.
fn with_head(network: Network, weights: &Weights) -> Network {
    match weights.outputs(&network) {
        Some(classes) => with_classes(Network { classes, ..network }),
        None => network,
    }
}

fn presets() -> impl Iterator<Item = Network> {
    Preset::ALL.iter().filter_map(|preset| Preset::load(preset.name).ok())
}

/// Returns the presets that these weights fit.
pub(crate) fn fitting(weights: &Weights) -> Vec<Network> {
    let presets = presets().map(|network| with_head(network, weights));
    presets.filter(|network| weights.check(network).is_ok()).collect()
}

/// Returns why these weights do not fit the preset with which they have most in common.
pub(crate) fn nearest(weights: &Weights) -> String {
    let nearest = presets().max_by_key(|network| weights.in_common(network));
    let nearest = nearest.filter(|network| weights.in_common(network) > 0);
    let why = nearest.and_then(|network| Some((weights.check(&network).err()?, network)));
    match (why, weights.tensors.keys().next()) {
        (Some((why, network)), _) => format!(" (of the nearest, `{}`: {why})", network.name),
        (None, Some(first)) => format!(" (the first tensor is `{}`)", first.escape_debug()),
        (None, None) => String::new(),
    }
}

/// Returns the only preset that fits.
fn fitting_one(weights: &Weights) -> Result<Network> {
    let fitting = fitting(weights);
    // Some presets have the same parameters. torchvision's tensor names identify its network.
    let theirs =
        |network: &&Network| Names::of(weights, network).is_ok_and(|names| names == Names::Torchvision);
    let torchvision = fitting.iter().find(|network| network.name == "torchvision").filter(theirs);
    match (torchvision, fitting.as_slice()) {
        (Some(network), _) => Ok(network.clone()),
        (None, [network]) => Ok(network.clone()),
        (None, []) => {
            bail!("these weights fit no preset{}; say which network with `--preset`", nearest(weights))
        }
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|network| network.name.as_str()).collect();
            bail!("these weights fit {}; say which with `--preset`", names.join(", "))
        }
    }
}

/// Returns the network with as many units in its last layer as it has classes.
pub(crate) fn with_classes(mut network: Network) -> Network {
    if let Some(last) = network.fc.last_mut() {
        last.units = network.classes;
    }
    network
}

/// Returns the metadata to store with weights.
pub(crate) fn metadata(loaded: &Loaded) -> Result<BTreeMap<String, String>> {
    let (network, how) = (toml::to_string(&loaded.network)?, serde_json::to_string(&loaded.how)?);
    let mut metadata = BTreeMap::from([(NETWORK.to_owned(), network), (PREPROCESSING.to_owned(), how)]);
    if let Some(classes) = &loaded.classes {
        metadata.insert(CLASSES.to_owned(), serde_json::to_string(classes)?);
    }
    Ok(metadata)
}

/// Reads the metadata next to a record, if there is any.
pub(crate) fn beside(path: &Path) -> Result<BTreeMap<String, String>> {
    let path = path.with_extension("json");
    let Ok(text) = fs::read(&path) else { return Ok(BTreeMap::new()) };
    serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))
}

/// Refuses to overwrite an input file.
pub(crate) fn refuse_input<'a>(
    option: &str,
    out: &Path,
    inputs: impl IntoIterator<Item = &'a PathBuf>,
) -> Result<()> {
    let whole = |path: &Path| std::fs::canonicalize(path).ok();
    match whole(out) {
        Some(found) if inputs.into_iter().any(|input| whole(input).as_ref() == Some(&found)) => {
            bail!("`{option} {}`: is read too, and would be lost", out.display())
        }
        _ => Ok(()),
    }
}
