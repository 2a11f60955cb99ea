use std::path::PathBuf;

use alexnet_data::{Upload, Views};
use alexnet_ops::{Backend, Implementation};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// AlexNet (Krizhevsky, Sutskever & Hinton 2012): every claim of the paper as an ablation that
/// trains on real images and ends in a table with honest statistics.
#[derive(Debug, Parser)]
#[command(name = "experiments", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train the arms of an ablation over several seeds and compare them
    ///
    /// Finished runs are not trained again and unfinished ones go on where they were, so the same
    /// command after an interruption ends in the same table.
    Ablation(AblationArgs),
    /// Train one network as a scale says
    Train(TrainArgs),
    /// Test finished runs, alone or averaged as an ensemble
    Evaluate(EvaluateArgs),
    /// Make the report of one or more ablations anew: a page to look at, report.json, runs.csv
    Report(ReportArgs),
    /// Say how many seeds would decide what an ablation left undecided
    Power(PowerArgs),
    /// List, show or compare runs
    #[command(subcommand)]
    Runs(RunsCommand),
    /// Show the runs in progress in a folder, whatever process or machine works on them
    Watch(WatchArgs),
    /// Have an ablation trained by many machines
    #[command(subcommand)]
    Submit(SubmitCommand),
    /// Train runs of an ablation that another process has begun: what `--jobs` and `submit` start
    #[command(hide = true)]
    Work(WorkArgs),
    /// List ablations, scales, presets, backends in this build and data sets found here
    List,
    /// Download, check or describe a data set
    #[command(subcommand)]
    Data(DataCommand),
    /// Show a network layer by layer, or what differs between two
    Model(ModelArgs),
    /// Look into a file of weights, or write one for another library
    #[command(subcommand)]
    Weights(WeightsCommand),
    /// Say what is on photographs, with weights of one's own choice
    Predict(PredictArgs),
    /// Look inside a trained network: its kernels, its mistakes, which images are alike to it, where it looks
    #[command(subcommand)]
    Analyze(AnalyzeCommand),
    /// Measure how fast a network trains or infers here, layer by layer, on synthetic images
    Bench(BenchArgs),
    /// Print a shell completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AblationArgs {
    /// An ablation's name (see `list`) or the path of a TOML file
    pub(crate) ablation: String,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// The scale: a name (see `list`) or the path of a TOML file
    #[arg(long, default_value = "mini")]
    pub(crate) scale: String,
    /// Train with seeds 0 to N − 1 [default: as the scale says]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) seeds: Option<usize>,
    /// Train more seeds until every arm is decided: looks at 4, 8, 16, … seeds, fixed in advance, divide the 5 % that verdicts
    /// may be wrong with
    #[arg(long, conflicts_with = "seeds")]
    pub(crate) until_decided: bool,
    /// With `--until-decided`: the seeds of the last look
    #[arg(long, value_name = "N", value_parser = at_least_two, default_value_t = 32, requires = "until_decided")]
    pub(crate) max_seeds: usize,
    /// Compare runs of different versions of the results, operations, backends or vector levels too, and mark the verdicts
    #[arg(long)]
    pub(crate) mixed_versions: bool,
    /// Runs trained at once, each in a process with its share of the threads and a log; the results are the
    /// same for any number [default: one a core for small networks on the processor, else 1]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) jobs: Option<usize>,
    /// What standard output holds: a table, or one JSON value
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// A scale's name (see `list`) or the path of a TOML file
    pub(crate) config: String,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// The seed of weights, order, augmentation and dropout
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Fine-tune: begin with these weights, a run's folder or a file as for `predict`, and prepare images as for them
    #[arg(long, value_name = "WEIGHTS")]
    pub(crate) from: Option<PathBuf>,
    /// Layers whose weights are drawn all the same, such as a head for other classes: `fc8`
    #[arg(long, value_name = "LAYER,…", value_delimiter = ',', requires = "from")]
    pub(crate) new: Vec<String>,
    /// Layers whose weights stay as they are (batch normalization goes on averaging); other rates by `--set network.conv.conv1.update={…}`
    #[arg(long, value_name = "LAYER,…", value_delimiter = ',')]
    pub(crate) freeze: Vec<String>,
    /// What standard output holds: lines, or one JSON value
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// What trains.
#[derive(Debug, Clone, Args)]
pub(crate) struct MachineArgs {
    /// What to compute with: flex, cuda, cuda:1, rocm, wgpu or ndarray [default: the first in this build]
    #[arg(long, value_name = "B")]
    pub(crate) backend: Option<Backend>,
    /// Devices for the towers, one each, named as backends are: `cuda:0,cuda:1`, `flex,ndarray`; only images and what towers
    /// read of each other go between them
    #[arg(long, value_name = "B,B", value_delimiter = ',', conflicts_with = "backend")]
    pub(crate) devices: Vec<Backend>,
    /// Have each of `--devices` train the whole network on its part of every batch instead; who adds up their gradients
    #[arg(long, value_name = "SUM", value_enum, requires = "devices", num_args = 0..=1, require_equals = true,
        default_missing_value = "first")]
    pub(crate) data_parallel: Option<Sum>,
}

/// Who adds up the gradients of a batch's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sum {
    /// The first device, which gives the others its weights; backends may differ
    First,
    /// Burn's distributed data parallel: CUDA devices, among themselves (NCCL)
    Ddp,
}

/// What every training command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct CommonArgs {
    /// The data set's folder, tar or tar.gz [default: where `list` finds it]
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    /// Which form of the operations computes: kernels of this project where the backend has them, or
    /// Burn's own operations alone
    #[arg(long, value_name = "FORM", value_parser = operations, default_value = "fast")]
    pub(crate) ops: Implementation,
    /// Train for N epochs [default: as the scale says]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) epochs: Option<usize>,
    /// The folder that runs lie in
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub(crate) out: PathBuf,
    /// Change a value of the config, e.g. recipe.learning_rate=0.02; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Train anew what is already there
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Threads that prepare images; the result is the same for any number
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) workers: usize,
    /// What goes to the device of a training image: floats, or bytes whose arithmetic is done there
    #[arg(long, value_name = "WHAT", value_parser = upload, default_value = "floats")]
    pub(crate) upload: Upload,
    /// Plain lines instead of the dashboard, in a terminal too
    #[arg(long)]
    pub(crate) plain: bool,
}

/// What files of weights may not say, or is to be otherwise.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Origin {
    /// The network: a preset's name or the path of a TOML file [default: what the file says, or the preset that fits]
    #[arg(long)]
    pub(crate) preset: Option<String>,
    /// How images are prepared: torchvision, caffe, paper, or the path of a preprocessing.json [default: what the file
    /// says, or as for published weights of such names]
    #[arg(long, value_name = "HOW")]
    pub(crate) preprocessing: Option<String>,
    /// Take Caffe's mean image off, a mean.binaryproto, instead of the mean of each channel
    #[arg(long, value_name = "FILE")]
    pub(crate) mean: Option<PathBuf>,
}

impl Origin {
    /// Whether anything is said.
    pub(crate) fn is_some(&self) -> bool {
        self.preset.is_some() || self.preprocessing.is_some() || self.mean.is_some()
    }
}

#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    /// Run folders; or one file of weights (as for `predict`), tested on the test images of `--data`
    #[arg(required = true)]
    pub(crate) runs: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) origin: Origin,
    /// For weights: the data set's name, where its files do not speak for themselves (cifar10, fashion-mnist)
    #[arg(long, value_name = "NAME")]
    pub(crate) set: Option<String>,
    /// Views of each test image whose softmax outputs are averaged [default: as each run's config says]
    #[arg(long, value_parser = views)]
    pub(crate) views: Option<Views>,
    /// Also average the softmax outputs of all the runs
    #[arg(long)]
    pub(crate) ensemble: bool,
    /// The data set's folder, tar or tar.gz [default: where `list` finds it]
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,
    /// What to compute with [default: the first backend in this build]
    #[arg(long, value_name = "B")]
    pub(crate) backend: Option<Backend>,
    /// What standard output holds: lines, or one JSON value
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Folders of ablations, `runs/ablations/…`, or of all that `--out` of an ablation named
    #[arg(required = true)]
    pub(crate) folders: Vec<PathBuf>,
    /// Where index.html, report.json and runs.csv go [default: `report` in the first folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Compare runs of different versions of the results, operations, backends or vector levels too, and mark the verdicts
    #[arg(long)]
    pub(crate) mixed_versions: bool,
    /// What standard output holds: a table, or one JSON value
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct PowerArgs {
    /// The ablation's name, or its folder
    pub(crate) ablation: String,
    /// The scale's name
    #[arg(long, default_value = "mini")]
    pub(crate) scale: String,
    /// The folder that runs lie in
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub(crate) out: PathBuf,
    /// Compare runs of different versions of the results, operations, backends or vector levels too
    #[arg(long)]
    pub(crate) mixed_versions: bool,
    /// What standard output holds: a table, or one JSON value
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// List the runs in a folder
    List {
        /// The folder that runs lie in
        #[arg(default_value = "runs")]
        folder: PathBuf,
        /// What standard output holds: a table, or one JSON value
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Show what a run is, how far it is and what it found
    Show {
        /// The run's folder
        run: PathBuf,
        /// What standard output holds: text, or one JSON value
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Show how two runs differ in config and result
    Diff {
        /// A run's folder
        one: PathBuf,
        /// Another run's
        other: PathBuf,
        /// What standard output holds: text, or one JSON value
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// The folder that runs lie in
    #[arg(default_value = "runs")]
    pub(crate) folder: PathBuf,
    /// Look every so many seconds; without a terminal it looks once
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    pub(crate) every: u64,
    /// Look once, in a terminal too
    #[arg(long)]
    pub(crate) once: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SubmitCommand {
    /// A job array of SLURM, one job a run; a job that is killed or preempted goes on where it was
    Slurm(SlurmArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SlurmArgs {
    #[command(flatten)]
    pub(crate) ablation: AblationArgs,
    /// Processors of a job
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 1)]
    pub(crate) cpus: usize,
    /// Jobs that run at the same time, at most [default: as many as SLURM likes]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) at_once: Option<usize>,
    /// A further option of sbatch, e.g. `--sbatch=--partition=gpu`; may be repeated
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    pub(crate) sbatch: Vec<String>,
    /// Write the script and do not submit it
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WorkArgs {
    /// The ablation's folder
    pub(crate) folder: PathBuf,
    /// The study that the tasks are of: another one's numbers mean other runs
    #[arg(long, value_name = "IDENTITY")]
    pub(crate) study: Option<String>,
    /// The one task to carry out [default: those whose numbers come on standard input]
    #[arg(long, value_name = "K")]
    pub(crate) task: Option<usize>,
    /// Threads that compute [default: one a core]
    #[arg(long, value_name = "T", value_parser = at_least_one)]
    pub(crate) threads: Option<usize>,
    /// The data set's folder, tar or tar.gz
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    /// Which form of the operations computes
    #[arg(long, value_name = "FORM", value_parser = operations, default_value = "fast")]
    pub(crate) ops: Implementation,
    /// Threads that prepare images
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) workers: usize,
    /// What goes to the device of a training image
    #[arg(long, value_name = "WHAT", value_parser = upload, default_value = "floats")]
    pub(crate) upload: Upload,
    /// Train anew what is already there
    #[arg(long)]
    pub(crate) fresh: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// The network: a preset's name (see `list`) or the path of a TOML file
    pub(crate) name: String,
    /// Show what differs in this other network instead
    #[arg(long, value_name = "OTHER")]
    pub(crate) diff: Option<String>,
    /// Show which tower lies on which device and what they exchange; any names will do
    #[arg(long, value_name = "B,B", value_delimiter = ',', conflicts_with = "diff")]
    pub(crate) devices: Vec<String>,
    /// Images a step, for what is exchanged in one (Krizhevsky et al. 2012, §5: 128)
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 128)]
    pub(crate) batch: usize,
    /// What standard output holds: a table, or one JSON value
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WeightsCommand {
    /// List the tensors of a file and the networks that they fit
    Inspect {
        /// A file of PyTorch's, Caffe's, safetensors or this project's, a run's folder, or `torchvision`
        file: PathBuf,
        /// What standard output holds: a table, or one JSON value
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Write weights as a record of this project's, `.bpk`
    Import {
        /// A file of PyTorch's, Caffe's, safetensors or this project's, a run's folder, or `torchvision`
        file: PathBuf,
        #[command(flatten)]
        origin: Origin,
        /// The file to write, `.bpk`; the network and the preprocessing go beside it as `.json`
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Write a network's weights as safetensors, under this project's names or torchvision's, with the network and the
    /// preprocessing in the metadata
    Export {
        /// A file of PyTorch's, Caffe's, safetensors or this project's, a run's folder, or `torchvision`
        file: PathBuf,
        #[command(flatten)]
        origin: Origin,
        /// The file to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// What the layers are to be called
        #[arg(long, value_enum, default_value_t = NamesArg::Ours)]
        names: NamesArg,
    },
}

/// What layers are called in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NamesArg {
    /// conv1.weight, fc6.bias
    Ours,
    /// features.0.weight, classifier.1.bias
    Torchvision,
}

#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    /// A file of PyTorch's, Caffe's, safetensors or this project's, a run's folder, or `torchvision`: looked for in
    /// PyTorch's cache and downloaded if it is not there
    pub(crate) weights: PathBuf,
    /// Photographs: JPEG or PNG
    #[arg(required = true)]
    pub(crate) images: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) origin: Origin,
    /// How many classes to name
    #[arg(long, value_name = "K", value_parser = at_least_one, default_value_t = 5)]
    pub(crate) top: usize,
    /// Views of each image whose softmax outputs are averaged
    #[arg(long, value_parser = views, default_value = "1")]
    pub(crate) views: Views,
    /// Also write the logits, `[images, classes]`, as safetensors; with ten views the logarithm of the
    /// averaged probabilities
    #[arg(long, value_name = "FILE")]
    pub(crate) logits: Option<PathBuf>,
    /// Also write what this layer gives out, after its stages, into the file of `--logits`
    #[arg(long, value_name = "LAYER", requires = "logits")]
    pub(crate) features: Option<String>,
    /// What to compute with: flex, cuda, cuda:1, rocm, wgpu or ndarray [default: the first in this build]
    #[arg(long, value_name = "B")]
    pub(crate) backend: Option<Backend>,
    /// What standard output holds: lines, or one JSON value
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AnalyzeCommand {
    /// Draw the first layer's kernels tower by tower, and say how colourful they are
    Kernels(KernelsArgs),
    /// Draw what an image becomes layer by layer, and count the units that no image of a data set wakes
    Maps(MapsArgs),
    /// Test on a data set: what it says of random images, or of those it gets wrong; errors by class
    Predictions(PredictionsArgs),
    /// Find the images whose features are nearest to those of others, and how many are of the same class
    Nearest(NearestArgs),
    /// Compress features into short binary codes, and say what is still found by them
    Codes(CodesArgs),
    /// Learn from features where the object is, and judge five guesses an image as ILSVRC-2012 did
    Localize(LocalizeArgs),
    /// Sweep a grey square over images and draw where it costs the network its answer
    Occlusion(OcclusionArgs),
    /// Draw where a change of a pixel would change the answer most: the gradient of the logit
    Saliency(SaliencyArgs),
}

/// Weights to look into, and where what is found goes.
#[derive(Debug, Clone, Args)]
pub(crate) struct LookArgs {
    /// A run's folder or a file of weights, as for `predict`
    pub(crate) weights: PathBuf,
    #[command(flatten)]
    pub(crate) origin: Origin,
    /// The folder for pictures and numbers
    #[arg(long, value_name = "DIR", default_value = "analysis")]
    pub(crate) out: PathBuf,
    /// What to compute with [default: the first backend in this build]
    #[arg(long, value_name = "B")]
    pub(crate) backend: Option<Backend>,
}

#[derive(Debug, Args)]
pub(crate) struct KernelsArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
    /// Further networks, such as those of other seeds, whose towers' differences are averaged
    pub(crate) others: Vec<PathBuf>,
    /// Scale each kernel by itself, instead of all by one range
    #[arg(long)]
    pub(crate) per_kernel: bool,
}

/// A data set to look at.
#[derive(Debug, Clone, Args)]
pub(crate) struct SetArgs {
    /// The data set's folder or archive [default: where `list` finds that of `--set`]
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,
    /// The data set's name, where its files do not speak for themselves (cifar10, fashion-mnist)
    #[arg(long, value_name = "NAME")]
    pub(crate) set: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PredictionsArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
    #[command(flatten)]
    pub(crate) data: SetArgs,
    /// Images to draw
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 8)]
    pub(crate) count: usize,
    /// Draw only what the network gets wrong
    #[arg(long)]
    pub(crate) mistakes: bool,
    /// Which images are chosen
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

/// A data set to look in, by the features of its images.
#[derive(Debug, Clone, Args)]
pub(crate) struct GalleryArgs {
    /// The data set to look in, a folder or archive: its training images, or all if it has no splits [default: where
    /// `list` finds that of `--set`]
    #[arg(long = "in", value_name = "PATH")]
    pub(crate) inside: Option<PathBuf>,
    /// The data set's name, where its files do not speak for themselves (cifar10, fashion-mnist)
    #[arg(long, value_name = "NAME")]
    pub(crate) set: Option<String>,
    /// The layer whose output are an image's features [default: the last hidden one, as in the paper; for boxes the last
    /// convolution]
    #[arg(long)]
    pub(crate) layer: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct NearestArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
    /// Photographs to find neighbours of [default: `--queries` random test images of the data set, which are counted too]
    pub(crate) images: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) gallery: GalleryArgs,
    /// Neighbours of each (Krizhevsky et al. 2012, figure 4: 6)
    #[arg(short, long, value_name = "K", value_parser = at_least_one, default_value_t = 6)]
    pub(crate) k: usize,
    /// Test images whose neighbours are counted, where none are given
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 1000)]
    pub(crate) queries: usize,
    /// Which test images
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

#[derive(Debug, Args)]
pub(crate) struct MapsArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
    /// A photograph: JPEG or PNG
    pub(crate) image: PathBuf,
    #[command(flatten)]
    pub(crate) data: SetArgs,
    /// Images of the data set that units are watched on [default: 1000]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) images: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct CodesArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
    #[command(flatten)]
    pub(crate) gallery: GalleryArgs,
    /// Bits of a code (Krizhevsky & Hinton 2011: 28 and 256)
    #[arg(long, value_name = "BITS,…", value_delimiter = ',', value_parser = bits, default_value = "28,256")]
    pub(crate) bits: Vec<usize>,
    /// Units between features and code, and between code and features
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 256)]
    pub(crate) hidden: usize,
    /// Passes over the images
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 10)]
    pub(crate) epochs: usize,
    /// Standard deviation of the noise that makes codes binary (Salakhutdinov & Hinton 2009: 4)
    #[arg(long, value_name = "STD", value_parser = finite, default_value_t = 4.0)]
    pub(crate) noise: f64,
    /// Neighbours of each
    #[arg(short, long, value_name = "K", value_parser = at_least_one, default_value_t = 6)]
    pub(crate) k: usize,
    /// Test images whose neighbours are counted
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 1000)]
    pub(crate) queries: usize,
    /// Which test images, and of the auto-encoder's draws
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

#[derive(Debug, Args)]
pub(crate) struct LocalizeArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
    #[command(flatten)]
    pub(crate) gallery: GalleryArgs,
    /// Units between features and box; 0: none, the box is linear in them
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub(crate) hidden: usize,
    /// Passes over the training images, of which the best on a tenth set aside counts
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 10)]
    pub(crate) epochs: usize,
    /// Images to draw
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 8)]
    pub(crate) count: usize,
    /// Of weights and order, and which images are drawn
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

/// Photographs and the answer that is looked for in them.
#[derive(Debug, Clone, Args)]
pub(crate) struct EvidenceArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
    /// Photographs: JPEG or PNG
    #[arg(required = true)]
    pub(crate) images: Vec<PathBuf>,
    /// The class whose evidence is looked for [default: the most probable]
    #[arg(long, value_name = "INDEX")]
    pub(crate) class: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct OcclusionArgs {
    #[command(flatten)]
    pub(crate) evidence: EvidenceArgs,
    /// Side of the square in pixels [default: a fifth of the input's]
    #[arg(long, value_name = "PIXELS", value_parser = at_least_one)]
    pub(crate) square: Option<usize>,
    /// Pixels from one place of it to the next [default: a quarter of it]
    #[arg(long, value_name = "PIXELS", value_parser = at_least_one)]
    pub(crate) stride: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct SaliencyArgs {
    #[command(flatten)]
    pub(crate) evidence: EvidenceArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Measure how fast batches come from a data set
    Data(BenchDataArgs),
    /// Measure exact nearest neighbours on random features, beside the matrix product that they cannot be faster than
    Nearest(BenchNearestArgs),
    /// Measure the search among binary codes, beside how fast memory is read
    Codes(BenchCodesArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BenchCodesArgs {
    /// Images that are looked in
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 4_000_000)]
    pub(crate) rows: usize,
    /// Bits of a code
    #[arg(long, value_name = "BITS,…", value_delimiter = ',', value_parser = bits, default_value = "28,256")]
    pub(crate) bits: Vec<usize>,
    /// Images whose neighbours are looked for
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 100)]
    pub(crate) queries: usize,
    /// Neighbours of each
    #[arg(short, long, value_name = "K", value_parser = at_least_one, default_value_t = 6)]
    pub(crate) k: usize,
    /// What standard output holds: lines, or one JSON value
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct BenchNearestArgs {
    /// Images that are looked in
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 100_000)]
    pub(crate) rows: usize,
    /// Numbers of an image (Krizhevsky et al. 2012, §6.1: 4096)
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 4096)]
    pub(crate) width: usize,
    /// Images whose neighbours are looked for
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 1000)]
    pub(crate) queries: usize,
    /// Neighbours of each
    #[arg(short, long, value_name = "K", value_parser = at_least_one, default_value_t = 6)]
    pub(crate) k: usize,
    /// What to compute with [default: the first backend in this build]
    #[arg(long, value_name = "B")]
    pub(crate) backend: Option<Backend>,
    /// What standard output holds: a line, or one JSON value
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct BenchDataArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// What is made of each image
    #[arg(long, value_enum, default_value_t = BenchView::Train)]
    pub(crate) view: BenchView,
    /// Threads that prepare batches [default: one a core]
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<usize>,
    /// Read the files and do nothing with them
    #[arg(long)]
    pub(crate) no_decode: bool,
    /// What goes to the device: floats, or bytes whose arithmetic is done there
    #[arg(long, value_name = "WHAT", value_parser = upload, default_value = "floats")]
    pub(crate) upload: Upload,
    /// Images a batch
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 128)]
    pub(crate) batch: usize,
    /// Side of an input in pixels [default: 7/8 of the image's, as 224 of 256]
    #[arg(long, value_name = "PIXELS", value_parser = at_least_one)]
    pub(crate) side: Option<usize>,
    /// Where batches go [default: the first backend in this build]
    #[arg(long, value_name = "B")]
    pub(crate) backend: Option<Backend>,
}

/// What `bench data` makes of each image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchView {
    /// A random crop, mirrored or not, less the mean image
    Train,
    /// The same with noise on the colours
    TrainColour,
    /// The centre
    Centre,
    /// Ten views
    Ten,
    /// Nothing: images are decoded and dropped
    Decode,
}

impl BenchView {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::TrainColour => "train-colour",
            Self::Centre => "centre",
            Self::Ten => "ten",
            Self::Decode => "decode",
        }
    }
}

fn upload(text: &str) -> Result<Upload, String> {
    match text {
        "floats" => Ok(Upload::Floats),
        "bytes" => Ok(Upload::Bytes),
        _ => Err("choose floats or bytes".to_owned()),
    }
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    pub(crate) command: Option<BenchCommand>,
    /// The network: a preset's name (see `list`) or the path of a TOML file
    #[arg(default_value = "alexnet-2012")]
    pub(crate) preset: String,
    /// What to compute with: flex, cuda, cuda:1, rocm, wgpu or ndarray [default: the first in this build]
    #[arg(long, value_name = "B")]
    pub(crate) backend: Option<Backend>,
    /// Which form of the operations computes: kernels of this project where the backend has them, or
    /// Burn's own operations alone
    #[arg(long, value_name = "FORM", value_parser = operations, default_value = "fast")]
    pub(crate) ops: Implementation,
    /// Images a step
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 128)]
    pub(crate) batch: usize,
    /// Threads of the processor [default: one a core]
    #[arg(long, value_name = "T", value_parser = at_least_one)]
    pub(crate) threads: Option<usize>,
    /// Steps that are timed, after one that is not
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 5)]
    pub(crate) samples: usize,
    /// Whole training steps: forward, backward, update; the default
    #[arg(long, conflicts_with = "infer")]
    pub(crate) train: bool,
    /// Forward in evaluation mode
    #[arg(long)]
    pub(crate) infer: bool,
    /// What standard output holds: a table, or one JSON value
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Download a data set and check it; goes on where it was interrupted
    Fetch {
        /// The data set (see `list`)
        name: String,
    },
    /// Make photographs ready for training once: decoded, scaled, cut to a square and packed into shards
    ///
    /// An interrupted preparation goes on where it was, and ends in the same bytes.
    Prepare(PrepareArgs),
    /// Read a data set whole: counts, labels, checksums, every image
    Check(DataArgs),
    /// Mean, mean image and principal colours of the training images; stored in a prepared folder
    Stats(DataArgs),
    /// Draw some images with their labels, and what augmentation makes of one
    Show(ShowArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PrepareArgs {
    /// ILSVRC-2012 as distributed, Tiny-ImageNet, class folders, WebDataset tars or (where built in) parquet files:
    /// a folder, tar or tar.gz
    pub(crate) source: PathBuf,
    /// The folder for the shards
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// The shorter side is scaled to so many pixels, and the centre square cut out
    #[arg(long, value_name = "PIXELS", value_parser = at_least_one, default_value_t = 256)]
    pub(crate) size: usize,
    /// Of JPEG, 1 to 100
    #[arg(long, value_name = "Q", value_parser = clap::value_parser!(u8).range(1..=100), default_value_t = 95)]
    pub(crate) quality: u8,
    /// How images are kept: raw is six times as large, with nothing to decode
    #[arg(long, value_enum, default_value_t = EncodingArg::Jpeg)]
    pub(crate) encoding: EncodingArg,
    /// Turn images as their EXIF says; torchvision, and so published figures, do not
    #[arg(long)]
    pub(crate) upright: bool,
    /// Threads; the result is the same for any number [default: one a core]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) jobs: Option<usize>,
    /// What standard output holds: lines, or one JSON value
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// How images are kept in shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EncodingArg {
    /// JPEG
    Jpeg,
    /// Bytes, as NumPy files
    Raw,
}

impl From<EncodingArg> for alexnet_data::Encoding {
    fn from(encoding: EncodingArg) -> Self {
        match encoding {
            EncodingArg::Jpeg => Self::Jpeg,
            EncodingArg::Raw => Self::Raw,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Where samples.png and augmentation.png go
    #[arg(long, value_name = "DIR", default_value = "sheets")]
    pub(crate) out: PathBuf,
    /// How many images
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 24)]
    pub(crate) count: usize,
    /// Which images, and which draws
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) seed: u64,
}

#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// The data set (see `list`), the path of a manifest, or a prepared folder
    pub(crate) name: String,
    /// The data set's folder, prepared or not, tar or tar.gz [default: where `list` finds it]
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,
    /// What standard output holds: lines, or one JSON value
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// What standard output holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON value.
    Json,
}

/// Bits of a code.
fn bits(text: &str) -> Result<usize, String> {
    let bits = at_least_one(text)?;
    if bits > 4096 { Err("at most 4096 bits".to_owned()) } else { Ok(bits) }
}

/// A number that is no less than 0.
fn finite(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if number >= 0.0 && (number as f32).is_finite() {
        Ok(number)
    } else {
        Err("a number of at least 0".to_owned())
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("must be a whole number of at least 1".to_owned()),
        Ok(number) => Ok(number),
    }
}

fn at_least_two(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0 | 1) | Err(_) => Err("must be a whole number of at least 2".to_owned()),
        Ok(number) => Ok(number),
    }
}

fn operations(text: &str) -> Result<Implementation, String> {
    let forms = [Implementation::Fast, Implementation::Composed];
    forms.into_iter().find(|form| form.to_string() == text).ok_or("must be fast or composed".to_owned())
}

fn views(text: &str) -> Result<Views, String> {
    match text {
        "1" => Ok(Views::Centre),
        "10" => Ok(Views::Ten),
        _ => Err("must be 1 or 10".to_owned()),
    }
}
