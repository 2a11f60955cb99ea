//! Weights from wherever people have them, with the network and the preprocessing that go with them.

use std::collections::BTreeMap;
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use alexnet_data::{Preprocessing, file_sha256, hex, write_whole};
use alexnet_model::{AlexNet, Network};
use alexnet_train::{Classifier, Run};
use alexnet_weights::{Names, Weights, read_caffe_mean};
use anyhow::{Context, Result, anyhow, bail};
use burn::tensor::Device;
use sha2::{Digest, Sha256};

use crate::cli::{Format, NamesArg};
use crate::commands::print;
use crate::machine::backend;
use crate::{fetch, library, network};

/// Where torchvision's weights are, and how their SHA-256 begins, which their name says.
const TORCHVISION: (&str, &str) =
    ("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth", "7be5be79");

/// What travels with weights in safetensors, beside the tensors.
const NETWORK: &str = "network";
const PREPROCESSING: &str = "preprocessing";

/// Published accuracies, top-1 and top-5 in percent of ILSVRC-2012's validation images, by network.
pub(crate) const PUBLISHED: [(&str, f64, f64, &str); 3] = [
    ("torchvision", 56.522, 79.066, "torchvision's documentation, one view"),
    ("caffe-alexnet", 57.1, 80.2, "Caffe's readme, one view"),
    ("caffenet", 57.4, 80.4, "Caffe's readme, one view"),
];

/// Weights with all that is needed to use them.
pub(crate) struct Loaded {
    pub(crate) weights: Weights,
    pub(crate) network: Network,
    pub(crate) how: Preprocessing,
}

impl Loaded {
    /// Opens a file of weights, a run's folder, or `torchvision`; the network is what was asked for, what the file says,
    /// or the preset that fits.
    pub(crate) fn open(name: &Path, preset: Option<&str>, caffe_mean: Option<&Path>) -> Result<Self> {
        let path = find(name)?;
        let run = run_of(&path);
        let mut weights = match (&run, path.is_dir()) {
            (Some(run), true) if !run.weights().is_file() => {
                bail!("{} is not finished: it has no weights yet", path.display())
            }
            (Some(run), true) => Weights::read(&run.weights())?,
            (None, true) => bail!("{} is a folder, and no run's", path.display()),
            (_, false) => Weights::read(&path)?,
        };
        if run.is_none() && path.extension().is_some_and(|ending| ending == "bpk") {
            weights.metadata.extend(beside(&path)?);
        }
        let said = match weights.metadata.get("name").map(String::as_str) {
            Some("AlexNet") => Some("caffe-alexnet"),
            Some("CaffeNet") => Some("caffenet"),
            _ => None,
        };
        let network = match (preset, &run, weights.metadata.get(NETWORK)) {
            (Some(name), ..) => network::load(name)?,
            (None, Some(run), _) => run.config.network.clone(),
            (None, None, Some(toml)) => {
                let value: toml::Value =
                    toml::from_str(toml).context("the network in the file's metadata")?;
                library::from_value(value).context("the network in the file's metadata")?
            }
            (None, None, None) => match said.map(network::load).transpose()? {
                Some(network) if weights.check(&network).is_ok() => network,
                _ => fitting_one(&weights)?,
            },
        };
        let stored = match &run {
            Some(run) => Some(run.preprocessing()?.with_context(|| {
                format!("{}: how its images are prepared was not kept; train it again", run.folder.display())
            })?),
            None => None,
        };
        let mut how = match (stored, weights.metadata.get(PREPROCESSING)) {
            (Some(how), _) => how,
            (None, Some(json)) => {
                serde_json::from_str(json).context("the preprocessing in the file's metadata")?
            }
            (None, None) => of_origin(&weights, &network),
        };
        if let Some(path) = caffe_mean {
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
        Ok(Self { weights, network, how })
    }

    /// The network with these weights.
    pub(crate) fn model(&self, device: &Device) -> Result<AlexNet> {
        Ok(self.weights.network(&self.network, device)?)
    }
}

/// Weights that training begins with: their file, its SHA-256, and how images are prepared for them, where that is known.
pub(crate) struct Beginning {
    pub(crate) path: PathBuf,
    pub(crate) sha256: String,
    pub(crate) how: Option<Preprocessing>,
}

impl Beginning {
    pub(crate) fn of(name: &Path) -> Result<Self> {
        let mut path = find(name)?;
        // What cannot be used says so when the weights themselves are read.
        let how = Loaded::open(&path, None, None).ok().map(|loaded| loaded.how);
        if let Some(run) = run_of(&path).filter(|_| path.is_dir()) {
            path = run.weights();
        }
        if !path.is_file() {
            bail!("{}: no file of weights, nor a finished run's folder", name.display());
        }
        Ok(Self { sha256: file_sha256(&path)?, path, how })
    }

    /// What tells this beginning from others: the numbers, and how images are prepared for them.
    pub(crate) fn identity(&self) -> Result<String> {
        let how = Sha256::digest(serde_json::to_vec(&self.how)?);
        Ok(format!("{}-{}", self.sha256, hex(&how[..4])))
    }
}

/// How images are prepared for weights that do not say: as those who published such weights did.
fn of_origin(weights: &Weights, network: &Network) -> Preprocessing {
    let size = network.input.size;
    let caffe = weights.metadata.get("format").is_some_and(|format| format == "caffe");
    let mut how = match network.name.as_str() {
        "torchvision" => Preprocessing::torchvision(),
        "caffe-alexnet" | "caffenet" => Preprocessing::caffe(size),
        _ if caffe => Preprocessing::caffe(size),
        _ => Preprocessing::paper(size),
    };
    if network.input.channels == 1 {
        // No published weights look at grey images.
        (how.mean, how.gain) = (vec![0.0], vec![1.0]);
    }
    how
}

/// The run that a folder is of, or that a file lies in the folder of.
fn run_of(path: &Path) -> Option<Run> {
    let folder = if path.is_dir() { path } else { path.parent()? };
    let ours = path.is_dir() || path.extension().is_some_and(|ending| ending == "bpk");
    ours.then(|| Run::open(folder).ok())?
}

/// The file that a name means: `torchvision` is looked for in the usual caches, and downloaded if it is in none.
fn find(name: &Path) -> Result<PathBuf> {
    if name != Path::new("torchvision") || name.exists() {
        return Ok(name.to_owned());
    }
    let (url, hash) = TORCHVISION;
    let file = url.rsplit('/').next().unwrap_or(url);
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let home = std::env::home_dir();
    let cache = variable("XDG_CACHE_HOME").or_else(|| Some(home?.join(".cache")));
    let torch = variable("TORCH_HOME").or_else(|| Some(cache?.join("torch")));
    let ours = library::fetched().join("weights");
    let checkpoints = torch.map(|torch| torch.join("hub/checkpoints"));
    let mut found = checkpoints.into_iter().chain([ours.clone()]).map(|folder| folder.join(file));
    if let Some(path) = found.find(|path| path.is_file()) {
        let sum = file_sha256(&path)?;
        if !sum.starts_with(hash) {
            bail!("{}: its SHA-256 begins with {}, not {hash}; remove it", path.display(), &sum[..8]);
        }
        return Ok(path);
    }
    if std::io::stderr().is_terminal() {
        eprintln!("torchvision's weights are in no cache here");
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

/// The presets whose parameters these weights are.
fn fitting(weights: &Weights) -> Vec<Network> {
    let presets = library::presets().into_iter().filter_map(|preset| network::load(preset.name).ok());
    presets.filter(|network| weights.check(network).is_ok()).collect()
}

/// The one preset that fits.
fn fitting_one(weights: &Weights) -> Result<Network> {
    let fitting = fitting(weights);
    // Siblings differ in what parameters do not show; torchvision's names say whose they are.
    let theirs =
        |network: &&Network| Names::of(weights, network).is_ok_and(|names| names == Names::Torchvision);
    let torchvision = fitting.iter().find(|network| network.name == "torchvision").filter(theirs);
    match (torchvision, fitting.as_slice()) {
        (Some(network), _) => Ok(network.clone()),
        (None, [network]) => Ok(network.clone()),
        (None, []) => bail!("these weights fit no preset; say which network with `--preset`"),
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|network| network.name.as_str()).collect();
            bail!("these weights fit {}; say which with `--preset`", names.join(", "))
        }
    }
}

/// `experiments weights inspect`.
pub(crate) fn inspect(name: &Path, format: Format) -> Result<()> {
    let path = find(name)?;
    let weights = match run_of(&path).filter(|_| path.is_dir()) {
        Some(run) => Weights::read(&run.weights())?,
        None => Weights::read(&path)?,
    };
    let fitting: Vec<String> = fitting(&weights).into_iter().map(|network| network.name).collect();
    if format == Format::Json {
        let tensors = weights.tensors.iter().map(|(name, tensor)| {
            serde_json::json!({ "name": name, "shape": tensor.shape, "numbers": tensor.values.len() })
        });
        let tensors: Vec<_> = tensors.collect();
        let all = serde_json::json!({ "tensors": tensors, "fits": fitting, "metadata": weights.metadata });
        print(&serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    for (name, tensor) in &weights.tensors {
        let shape: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
        let (low, high) =
            tensor.values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| {
                (low.min(*value), high.max(*value))
            });
        let strange = tensor.values.iter().filter(|value| !value.is_finite()).count();
        let strange = if strange > 0 { format!(", {strange} not finite") } else { String::new() };
        print(&format!("{name:<24} {:<20} {low:>10.4} to {high:.4}{strange}", shape.join(" × ")));
    }
    let count: usize = weights.tensors.values().map(|tensor| tensor.values.len()).sum();
    print(&format!("{} tensors, {count} numbers", weights.tensors.len()));
    match fitting.is_empty() {
        true => print("fits no preset"),
        false => print(&format!("fits {}", fitting.join(", "))),
    }
    Ok(())
}

/// `experiments weights export`.
pub(crate) fn export(file: &Path, preset: Option<&str>, out: &Path, names: NamesArg) -> Result<()> {
    let loaded = Loaded::open(file, preset, None)?;
    let names = match names {
        NamesArg::Ours => Names::Ours,
        NamesArg::Torchvision => Names::Torchvision,
    };
    let mut weights = Weights::of(&loaded.model(&backend(None)?.device()?)?, names)?;
    weights.metadata.extend(metadata(&loaded)?);
    weights.write(out)?;
    print(&format!("{}: the weights of `{}`", out.display(), loaded.network.name));
    Ok(())
}

/// What travels with weights.
fn metadata(loaded: &Loaded) -> Result<BTreeMap<String, String>> {
    let (network, how) = (toml::to_string(&loaded.network)?, serde_json::to_string(&loaded.how)?);
    Ok([(NETWORK.to_owned(), network), (PREPROCESSING.to_owned(), how)].into())
}

/// What was written beside a record, if it was.
fn beside(path: &Path) -> Result<BTreeMap<String, String>> {
    let path = path.with_extension("json");
    let Ok(text) = fs::read(&path) else { return Ok(BTreeMap::new()) };
    serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))
}

/// `experiments weights import`.
pub(crate) fn import(file: &Path, preset: Option<&str>, mean: Option<&Path>, out: &Path) -> Result<()> {
    let loaded = Loaded::open(file, preset, mean)?;
    Classifier::from(loaded.model(&backend(None)?.device()?)?).save(out)?;
    let path = out.with_extension("json");
    let text = serde_json::to_vec_pretty(&metadata(&loaded)?)?;
    write_whole(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    print(&format!("{}: the weights of `{}`, this project's record", out.display(), loaded.network.name));
    Ok(())
}
