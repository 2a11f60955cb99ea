use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};

use alexnet_model::Network;
use burn::tensor::Device;

/// The binary under test, in an empty folder, without a terminal.
pub(crate) fn experiments(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_experiments"));
    command.current_dir(folder).env("ALEXNET_BURN_DATA", folder.join("fetched"));
    command
}

/// Runs to the end, which must be a good one.
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    output
}

/// A process that waits after a number of steps, see `alexnet_data::hook`.
pub(crate) struct Held {
    child: Child,
    errors: BufReader<ChildStderr>,
    said: String,
}

impl Held {
    /// Starts the program and waits until it has made so many steps.
    ///
    /// Returns how it ended and what it said on standard error if it had fewer to make.
    pub(crate) fn after(steps: usize, command: &mut Command) -> Result<Self, (ExitStatus, String)> {
        let command = command.env("ALEXNET_BURN_HOOK", format!("hold={steps}"));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let errors = BufReader::new(child.stderr.take().unwrap());
        let mut held = Self { child, errors, said: String::new() };
        while held.errors.read_line(&mut held.said).unwrap() > 0 {
            if held.said.ends_with("held\n") {
                return Ok(held);
            }
        }
        Err(held.end())
    }

    fn end(mut self) -> (ExitStatus, String) {
        self.errors.read_to_string(&mut self.said).unwrap();
        (self.child.wait().unwrap(), self.said)
    }

    /// Kills it.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends it a signal; returns how it ended and what it said on standard error.
    #[cfg(unix)]
    pub(crate) fn signal(self, signal: &str) -> (ExitStatus, String) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        self.end()
    }
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A built-in network.
pub(crate) fn preset(name: &str) -> Network {
    let preset = alexnet_model::Preset::ALL.iter().find(|preset| preset.name == name).unwrap();
    toml::from_str(preset.toml).unwrap()
}

/// A device of every backend in this build.
pub(crate) fn devices() -> Vec<(String, Device)> {
    let backends = alexnet_ops::Backend::in_this_build().into_iter();
    let backends = backends.map(|backend| (backend.to_string(), backend.device().unwrap()));
    backends.collect()
}

/// By what share results on a backend may differ from f32's, where `f32` is what sums in another order may make.
///
/// On NVIDIA GPUs Burn multiplies f32 in TF32, ten bits of mantissa: each factor is off by up to 2^-11, and so a product by
/// 2^-10. Logits of the golden network were off by 2.1e-4; gradients have not been compared there yet.
pub(crate) fn tolerance(backend: &str, f32: f32) -> f32 {
    if backend.starts_with("cuda") { 2f32.powi(-10) } else { f32 }
}

/// `conv.0.towers.1.weight` to `conv1.1.weight`.
pub(crate) fn parameter_name(network: &Network, path: &[String]) -> String {
    let index: usize = path[1].parse().unwrap();
    let layer = if path[0] == "conv" { &network.conv[index].name } else { &network.fc[index].name };
    format!("{layer}.{}.{}", path[3], path[4])
}

/// A data set of 40 training and 20 test images of 28 pixels in ten classes, as IDX files.
pub(crate) fn tiny_idx(folder: &Path, per_class: usize) -> PathBuf {
    std::fs::create_dir_all(folder).unwrap();
    for (prefix, count) in [("train", 10 * per_class), ("t10k", 20)] {
        let labels: Vec<u8> = (0..count).map(|index| (index % 10) as u8).collect();
        let pixel = |index: usize, at: usize| ((at * (1 + index % 10) + index * 7) % 251) as u8;
        let pixels: Vec<u8> = (0..count).flat_map(|index| (0..784).map(move |at| pixel(index, at))).collect();
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
        let images = [words(&[0x803, count as u32, 28, 28]), pixels].concat();
        std::fs::write(folder.join(format!("{prefix}-images-idx3-ubyte")), images).unwrap();
        let labels = [words(&[0x801, count as u32]), labels].concat();
        std::fs::write(folder.join(format!("{prefix}-labels-idx1-ubyte")), labels).unwrap();
    }
    folder.to_owned()
}

/// A scale for [`tiny_idx`]: the `mini` network and recipe on few images.
pub(crate) fn tiny_scale(folder: &Path) -> PathBuf {
    let manifest = folder.join("tiny-idx.toml");
    std::fs::write(
        &manifest,
        r#"
        name = "tiny-idx"
        about = "made for a test"
        origin = "made for a test"
        licence = "none"
        layout = "idx"
        classes = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
        channels = 1
        size = 28
        "#,
    )
    .unwrap();
    let mini = std::fs::read_to_string(repository("experiments/scales/mini.toml")).unwrap();
    let scale = mini.replace("\"fashion-mnist-mini\"", &format!("{:?}", manifest.to_str().unwrap()));
    let path = folder.join("tiny.toml");
    std::fs::write(&path, scale).unwrap();
    path
}

/// A path that counts from the repository's root. Tests may run on a machine that has another copy than the one they were built
/// in.
pub(crate) fn repository(path: &str) -> PathBuf {
    let root = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(root).join(path)
}

/// Compares a text with a committed file, whose path counts from the repository's root. With `ALEXNET_BURN_WRITE` set, it is
/// written instead.
pub(crate) fn golden(path: &str, text: &str) {
    let whole = repository(path);
    if std::env::var_os("ALEXNET_BURN_WRITE").is_some() {
        std::fs::create_dir_all(whole.parent().unwrap()).unwrap();
        std::fs::write(&whole, text).unwrap();
    }
    let committed = std::fs::read_to_string(&whole).unwrap_or_default();
    let line = committed.lines().zip(text.lines()).position(|(one, other)| one != other);
    let line = line.unwrap_or(committed.lines().count().min(text.lines().count()));
    assert!(
        committed == text,
        "{path} line {}: `{}` is committed and `{}` found; ALEXNET_BURN_WRITE=1 writes it anew",
        line + 1,
        committed.lines().nth(line).unwrap_or_default(),
        text.lines().nth(line).unwrap_or_default()
    );
}

/// An ablation of one epoch on few images; returns its folder.
pub(crate) fn ablation(folder: &Path, more: &[&str]) -> Output {
    ablation_command(folder, &["ablation"], more).output().unwrap()
}

pub(crate) fn ablation_command(folder: &Path, verb: &[&str], more: &[&str]) -> Command {
    let (scale, data) = (tiny_scale(folder), tiny_idx(&folder.join("images"), 12));
    let mut command = experiments(folder);
    command
        .args(verb)
        .args(["lrn", "--epochs", "1", "--scale", scale.to_str().unwrap()])
        .args(["--data", data.to_str().unwrap(), "--set", "recipe.learning_rate=0.001"])
        .args(more);
    command
}
