//! Weights from several sources, with their network and preprocessing: files, runs' folders and `torchvision`.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use alexnet_data::{Class, Preprocessing, file_sha256, hex};
use alexnet_model::{AlexNet, Network, Preset};
use alexnet_train::{Run, RunStatus};
use alexnet_weights::{
    Checkpoint, Known, PreprocessingSource, Weights, WeightsError, metadata_beside, read_caffe_mean,
};
use anyhow::{Context, Result, anyhow, bail};
use burn::tensor::Device;
use sha2::{Digest, Sha256};

use crate::args::Origin;
use crate::cache::user_cache;
use crate::classes::outputs;
use crate::commands::fetch;
use crate::data_sets::fetched;
use crate::output::{self, can_redraw, note};
use crate::program::program;
use crate::trained;

/// The address of torchvision's weights and the first digits of their SHA-256, which are part of the file
/// name.
const TORCHVISION: (&str, &str) =
    ("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth", "7be5be79");

/// Published accuracies, top-1 and top-5 in percent of ILSVRC-2012's validation images, by network.
pub(crate) const PUBLISHED: [(&str, f64, f64, &str); 3] = [
    ("torchvision", 56.522, 79.066, "torchvision's documentation, one view"),
    ("caffe-alexnet", 57.1, 80.2, "Caffe's readme, one view"),
    ("caffenet", 57.4, 80.4, "Caffe's readme, one view"),
];

/// The entry of a file's metadata that names the data set on which the weights were trained.
pub(crate) const DATA_SET: &str = "data-set";

/// Weights with everything that is needed to use them, and their file.
pub(crate) struct Loaded {
    path: PathBuf,
    inner: alexnet_weights::Loaded,
    /// The data set on which they were trained, if it is known.
    data_set: Option<String>,
}

impl Deref for Loaded {
    type Target = alexnet_weights::Loaded;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

impl Loaded {
    /// Opens a file of weights, a run's folder, or `torchvision`. The network is the requested one, the one
    /// that the file names, or the preset that fits. Reports assumptions.
    pub(crate) fn open(name: &Path, origin: &Origin) -> Result<Self> {
        let Opened { path, run, weights } =
            Opened::new(name, origin.preset.is_some() && origin.preprocessing.is_some())?;
        let data_set = match &run {
            Some(run) => Some(run.config.data.set.clone()),
            None => weights.metadata.get(DATA_SET).cloned(),
        };
        // Another name may be a path, which a file must not choose.
        let data_set = data_set.filter(|set| program().data_sets.iter().any(|known| known.name == set));
        let asked = origin.preprocessing.as_deref().map(preparation).transpose()?;
        let mut known = match &run {
            Some(run) => run.known(asked)?,
            None => Known { preprocessing: asked, ..Known::default() },
        };
        if let (Some(run), None) = (&run, &known.preprocessing) {
            return Err(without_preprocessing(run));
        }
        if let Some(preset) = &origin.preset {
            known.network = Some(weights.adapt(Preset::load(preset)?));
        }
        let within = || path.display().to_string();
        let mut inner = alexnet_weights::Loaded::new(weights, known).with_context(within)?;
        if let Some(mean) = &origin.mean {
            let with_mean = inner.preprocessing.with_mean_image(&read_caffe_mean(mean)?);
            inner.preprocessing = with_mean.map_err(|problem| anyhow!("{}: {problem}", mean.display()))?;
        }
        for assumption in &inner.assumptions {
            let option = match assumption {
                alexnet_weights::Assumption::Network(_) => "--preset",
                _ => "--preprocessing",
            };
            note(&format!("note: {} {assumption} (`{option}`)", path.display()));
        }
        Ok(Self { path, inner, data_set })
    }

    /// Returns the name of the data set on which the weights were trained, if it is known.
    pub(crate) fn data_set(&self) -> Option<&str> {
        self.data_set.as_deref()
    }

    /// Returns the name of the data set to use: the requested one, or else that of the training, unless the images are
    /// given.
    pub(crate) fn data_set_or<'a>(&'a self, data: Option<&Path>, asked: Option<&'a str>) -> Option<&'a str> {
        asked.or_else(|| self.data_set().filter(|_| data.is_none()))
    }

    /// Returns the output for each class of the data.
    pub(crate) fn outputs(&self, classes: &[Class]) -> Result<Vec<usize>> {
        outputs(&self.network, self.classes.as_deref(), classes)
    }

    /// Creates the network with these weights.
    pub(crate) fn model(&self, device: &Device) -> Result<AlexNet> {
        self.inner.model(device).with_context(|| self.path.display().to_string())
    }

    /// Releases the memory of the weights once the network has them.
    pub(crate) fn release(&mut self) {
        self.inner.weights = Weights::default();
    }
}

/// Returns the error for a run that does not say how its images are prepared.
fn without_preprocessing(run: &Run) -> anyhow::Error {
    let folder = run.folder.display();
    match run.weights().is_file() {
        true => anyhow!("{folder}: how its images are prepared was not kept; say it with `--preprocessing`"),
        false => anyhow!(
            "{folder} is not finished, and keeps how its images are prepared at the end; \
             say it with `--preprocessing`"
        ),
    }
}

/// Initial weights of a training: their file, its SHA-256, and their preprocessing, if known.
pub(crate) struct Beginning {
    pub(crate) path: PathBuf,
    pub(crate) sha256: String,
    pub(crate) preprocessing: Option<Preprocessing>,
}

impl Beginning {
    /// Reads initial weights for a network from a file, a finished run's folder, or `torchvision`. Does not
    /// guess.
    pub(crate) fn of(name: &Path, network: &Network) -> Result<Self> {
        let Opened { path, run, weights } = Opened::new(name, false)?;
        let preprocessing = match &run {
            Some(run) => run.preprocessing()?,
            None => match weights.stated_preprocessing().with_context(|| path.display().to_string())? {
                Some(stated) => Some(stated),
                None => {
                    // With another head, the weights fit no preset, but they may still have torchvision's names.
                    let theirs = weights.fitting_preset().unwrap_or_else(|_| network.clone());
                    PreprocessingSource::of_publisher(&weights, &theirs)
                        .map(|preparation| preparation.of(&theirs))
                }
            },
        };
        if let Some(Err(problem)) = preprocessing.as_ref().map(Preprocessing::check) {
            bail!("{}: preprocessing: {problem}", name.display());
        }
        Ok(Self { sha256: file_sha256(&path)?, path, preprocessing })
    }

    /// Returns the identity of the initial weights: the numbers and the preprocessing.
    pub(crate) fn identity(&self) -> Result<String> {
        let preprocessing = Sha256::digest(serde_json::to_vec(&self.preprocessing)?);
        Ok(format!("{}-{}", self.sha256, hex(&preprocessing[..4])))
    }
}

/// Returns the network of weights for a training, that of their run or the preset that they fit, and the classes of their
/// run.
pub(crate) fn network_of(name: &Path) -> Result<(Network, Option<Vec<String>>)> {
    let Opened { path, run, weights } = Opened::new(name, false)?;
    match run {
        Some(run) => {
            let classes = run.classes()?;
            Ok((run.config.network, classes))
        }
        None => Ok((weights.fitting_preset().with_context(|| path.display().to_string())?, None)),
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
            (Some(run), true) if !run.weights().is_file() => match run.status()? {
                RunStatus::Finished(_) => {
                    bail!("{}: was finished elsewhere and came without its weights", found.display())
                }
                _ => bail!("{} is not finished: it has no weights yet", found.display()),
            },
            (Some(run), true) => run.weights(),
            (None, true) => {
                bail!("{} has no run.json; give a file of weights or a run's folder", found.display())
            }
            (_, false) => found,
        };
        let mut weights = read(&path)?;
        if run.is_none() && !known {
            weights.metadata.extend(metadata_beside(&path)?);
        }
        Ok(Self { path, run, weights })
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

/// Returns the preparation that `--preprocessing` names.
fn preparation(name: &str) -> Result<PreprocessingSource> {
    Ok(match name {
        "torchvision" => PreprocessingSource::Torchvision,
        "caffe" => PreprocessingSource::Caffe,
        "paper" => PreprocessingSource::Paper,
        file => {
            let text = fs::read(file).with_context(|| {
                format!("`--preprocessing {file}`: neither torchvision, caffe nor paper, and no file")
            })?;
            let given = serde_json::from_slice(&text);
            PreprocessingSource::Given(given.with_context(|| format!("{file}: no preprocessing.json"))?)
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

/// Returns the file that a name denotes: an existing file, weights that come with this project, or `torchvision`. Looks for
/// `torchvision` in the usual caches and downloads it if it is in none.
pub(crate) fn find(name: &Path) -> Result<PathBuf> {
    if name.exists() {
        return Ok(name.to_owned());
    }
    if let Some(trained) = trained::find(name) {
        return Ok(trained);
    }
    if name != Path::new("torchvision") {
        let is_name = name.components().count() == 1 && name.extension().is_none();
        let known = trained::names();
        if is_name && !known.is_empty() {
            bail!(
                "`{}` is no file or folder here, and no weights have this name: there are {}, torchvision",
                name.display(),
                known.join(", ")
            );
        }
        return Ok(name.to_owned());
    }
    let (url, hash) = TORCHVISION;
    let file = url.rsplit('/').next().unwrap_or(url);
    let torch = std::env::var_os("TORCH_HOME").map_or_else(|| user_cache().join("torch"), PathBuf::from);
    let ours = fetched().join("weights");
    let mut found = [torch.join("hub/checkpoints"), ours.clone()].map(|folder| folder.join(file)).into_iter();
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

/// Refuses to overwrite an input file.
pub(crate) fn refuse_input<'a>(
    option: &str,
    out: &Path,
    inputs: impl IntoIterator<Item = &'a PathBuf>,
) -> Result<()> {
    let whole = |path: &Path| std::fs::canonicalize(path).ok();
    match whole(out) {
        Some(found) if inputs.into_iter().any(|input| whole(input).as_ref() == Some(&found)) => {
            bail!("`{option} {}`: the output would overwrite an input", out.display())
        }
        _ => Ok(()),
    }
}
