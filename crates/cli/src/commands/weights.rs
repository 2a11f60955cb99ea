//! `experiments weights`: inspects files of weights and converts them for other libraries.

use std::fs;
use std::path::Path;

use alexnet_config::differences;
use alexnet_data::atomic_write;
use alexnet_model::{Network, Preset};
use alexnet_train::Classifier;
use alexnet_weights::{NETWORK, Names, Weights, metadata_beside};
use anyhow::{Context, Result, bail};

use crate::args::{Format, NamesArg, Origin};
use crate::loaded::{DATA_SET, Loaded, find, is_record, read, refuse_input, run_of};
use crate::machine::backend;
use crate::output::{note, print};

/// `experiments weights inspect`.
pub(crate) fn inspect(name: &Path, format: Format) -> Result<()> {
    let path = find(name)?;
    let run = if path.is_dir() { run_of(&path)? } else { None };
    let weights = read(&run.map_or(path, |run| run.weights()))?;
    let called = |network: Network| match Preset::load(&network.name) {
        Ok(preset) if preset.classes != network.classes => {
            format!("{} with {} classes", network.name, network.classes)
        }
        _ => network.name,
    };
    let fitting: Vec<String> = weights.fitting_presets().into_iter().map(called).collect();
    if format == Format::Json {
        let tensors = weights.tensors.iter().map(|(name, tensor)| {
            serde_json::json!({
                "name": name,
                "shape": tensor.shape,
                "numbers": tensor.values.len(),
                "not_finite": not_finite(&tensor.values),
            })
        });
        let tensors: Vec<_> = tensors.collect();
        let all = serde_json::json!({
            "tensors": tensors,
            "left_out": weights.left_out,
            "fits": fitting,
            "metadata": weights.metadata,
        });
        print(&serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    for (name, tensor) in &weights.tensors {
        let shape: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
        let mut range = "no numbers".to_owned();
        if !tensor.values.is_empty() {
            let low = tensor.values.iter().copied().fold(f32::INFINITY, f32::min);
            let high = tensor.values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            range = format!("{low:>10.4} to {high:.4}");
        }
        if not_finite(&tensor.values) > 0 {
            range += &format!(", {} not finite", not_finite(&tensor.values));
        }
        print(&format!("{:<24} {:<20} {range}", name.escape_debug().to_string(), shape.join(" × ")));
    }
    for (name, kind) in &weights.left_out {
        print(&format!(
            "{:<24} left out: {kind}, no floating-point numbers",
            name.escape_debug().to_string()
        ));
    }
    let count: usize = weights.tensors.values().map(|tensor| tensor.values.len()).sum();
    print(&format!("{} tensors, {count} numbers", weights.tensors.len()));
    match fitting.is_empty() {
        true => print(&format!("fits no preset{}", weights.nearest_preset())),
        false => print(&format!("fits {}", fitting.join(", "))),
    }
    Ok(())
}

fn not_finite(values: &[f32]) -> usize {
    values.iter().filter(|value| !value.is_finite()).count()
}

/// The options of an export.
pub(crate) struct Written {
    pub(crate) names: NamesArg,
    pub(crate) half: bool,
    pub(crate) prepare: bool,
}

/// Endings of formats that are read and not written.
const READ_ONLY: [&str; 6] = ["pth", "pt", "pkl", "bpk", "caffemodel", "bin"];

/// `experiments weights export`.
pub(crate) fn export(file: &Path, origin: &Origin, out: &Path, how: Written) -> Result<()> {
    refuse_input("--out", out, [&file.to_owned()])?;
    let ending = out.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
    if READ_ONLY.contains(&ending.as_str()) {
        bail!(
            "`--out {}`: exports are `.safetensors` or `.onnx`; `weights import` writes `.bpk`",
            out.display()
        );
    }
    let as_graph = ending == "onnx";
    match (as_graph, how.half, how.prepare) {
        (true, true, _) => bail!("`--half` stores weights alone; an ONNX graph has 32-bit numbers"),
        (false, _, true) => bail!("`--prepare` is for ONNX: `--out` must end in `.onnx`"),
        _ => {}
    }
    let loaded = Loaded::open(file, origin)?;
    let names = match how.names {
        NamesArg::Ours => Names::Ours,
        NamesArg::Torchvision if as_graph => bail!("`--names` is for weights alone; a graph has our names"),
        NamesArg::Torchvision => Names::Torchvision,
    };
    let mut weights = Weights::of(&loaded.model(&backend(None)?.device()?)?, names)?;
    if names == Names::Torchvision {
        note_on_torchvision(&loaded.network, &weights)?;
    }
    weights.metadata.extend(loaded.metadata());
    if let Some(set) = loaded.data_set() {
        weights.metadata.insert(DATA_SET.to_owned(), set.to_owned());
    }
    if as_graph {
        weights.metadata.insert("labels".to_owned(), serde_json::to_string(&loaded.labels())?);
        write(out, &weights.to_onnx(&loaded.network, how.prepare.then_some(&loaded.preprocessing))?)?;
        print(&format!("{}: `{}` as an ONNX graph", out.display(), loaded.network.name));
        return Ok(());
    }
    write(out, &if how.half { weights.to_half_bytes()? } else { weights.to_bytes()? })?;
    print(&format!("{}: the weights of `{}`", out.display(), loaded.network.name));
    Ok(())
}

/// Reports if torchvision's alexnet computes something else with such weights.
fn note_on_torchvision(network: &Network, weights: &Weights) -> Result<()> {
    let theirs = Preset::load("torchvision")?;
    let differences = otherwise_in_torchvision(network)?;
    let Some(first) = differences.first() else { return Ok(()) };
    let what = match weights.check(&theirs.with_classes(network.classes)) {
        Ok(_) => "loaded there, the same weights give other answers",
        Err(why) => &format!("it cannot load these ({why})"),
    };
    note(&format!(
        "note: `{}` is not torchvision's alexnet ({first} and {} more differ): {what}",
        network.name,
        differences.len() - 1
    ));
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    atomic_write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// Returns the settings in which a network's computation differs from torchvision's alexnet with as many
/// classes.
fn otherwise_in_torchvision(network: &Network) -> Result<Vec<String>> {
    // Initialization and update settings do not affect the forward pass.
    let computed = |mut network: Network| {
        (network.name, network.sources, network.classes) = Default::default();
        for (number, layer) in network.conv.iter_mut().enumerate() {
            layer.name = format!("conv{}", number + 1);
            (layer.weight_std, layer.bias, layer.update) = Default::default();
        }
        for (number, layer) in network.fc.iter_mut().enumerate() {
            layer.name = format!("fc{}", number + 6);
            (layer.weight_std, layer.bias, layer.update) = Default::default();
        }
        if let Some(last) = network.fc.last_mut() {
            last.units = 0;
        }
        network
    };
    let theirs = computed(Preset::load("torchvision")?);
    Ok(differences(&theirs, &computed(network.clone()))?.into_iter().map(|found| found.key).collect())
}

/// `experiments weights import`.
pub(crate) fn import(file: &Path, origin: &Origin, out: &Path) -> Result<()> {
    // If the output is a link, the metadata file goes next to the link's target.
    let out = &fs::canonicalize(out).ok().filter(|_| out.is_symlink()).unwrap_or_else(|| out.to_owned());
    if !is_record(out) {
        bail!(
            "`--out {}`: records end in `.bpk`, and what goes with them lies beside in `.json`",
            out.display()
        );
    }
    if out.with_file_name("run.json").exists() {
        bail!("`--out {}`: a run's folder has its own weights alone", out.display());
    }
    let json = out.with_extension("json");
    if json.exists() && !metadata_beside(out).is_ok_and(|metadata| metadata.contains_key(NETWORK)) {
        bail!("`--out {}`: what goes with it would replace {}", out.display(), json.display());
    }
    let loaded = Loaded::open(file, origin)?;
    let model = Classifier::from(loaded.model(&backend(None)?.device()?)?);
    // The metadata is written first. Without it, or with another's, the record would be used wrongly.
    let before = fs::read(&json).ok();
    write(&json, &serde_json::to_vec_pretty(&loaded.metadata())?)?;
    if let Err(error) = model.save(out) {
        let _ = before.map_or_else(|| fs::remove_file(&json), |before| atomic_write(&json, &before));
        return Err(error.into());
    }
    print(&format!("{}: the weights of `{}`, this project's record", out.display(), loaded.network.name));
    Ok(())
}
