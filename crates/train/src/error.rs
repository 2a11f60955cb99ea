use std::path::PathBuf;

use alexnet_data::DataError;
use alexnet_model::NetworkError;

/// Why a run did not complete. Whatever its last checkpoint held is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The network cannot be built.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The data cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The recipe or the pairing of network and data makes no sense.
    #[error("{key}: {problem}")]
    Config {
        /// The key in the config.
        key: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A file of the run folder cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file of the run folder is damaged.
    #[error("{} is damaged ({problem}); train this run anew with `--fresh`", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A checkpoint is damaged; an older one may serve.
    #[error("the checkpoint {} is damaged ({problem})", path.display())]
    DamagedCheckpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The weights that training begins with cannot be used.
    #[error("the weights to begin with, {}: {source}", path.display())]
    Initial {
        /// Their file.
        path: PathBuf,
        /// What is wrong with them.
        source: alexnet_weights::WeightsError,
    },
    /// Another process works on this run.
    #[error("{} is being trained by another process; wait for it or choose another `--out`", path.display())]
    Locked {
        /// The run folder.
        path: PathBuf,
    },
    /// The run's name is of other results than this program and its settings give.
    #[error(
        "{}: results of version {} with these images and operations belong to the run {identity}; begin it instead",
        path.display(),
        crate::RESULTS
    )]
    Identity {
        /// The run folder.
        path: PathBuf,
        /// The identity that the run would have now.
        identity: String,
    },
    /// The loss is not a number any more.
    #[error(
        "the loss became {loss} in epoch {epoch}, step {step}, at learning rate {learning_rate:.3e}; \
         lower `recipe.learning_rate` (the last checkpoint before it is kept)"
    )]
    Diverged {
        /// NaN or infinity.
        loss: f64,
        /// The epoch, from 1.
        epoch: usize,
        /// The step, from 1, over all epochs.
        step: usize,
        /// The learning rate of that step.
        learning_rate: f64,
    },
    /// A gradient has infinities or NaN, although the loss is a number.
    #[error(
        "the gradient of layer `{layer}` is not finite in epoch {epoch}, step {step}, at learning rate \
         {learning_rate:.3e}; lower `recipe.learning_rate` (the last checkpoint before it is kept)"
    )]
    Gradient {
        /// The layer.
        layer: String,
        /// The epoch, from 1.
        epoch: usize,
        /// The step, from 1, over all epochs.
        step: usize,
        /// The learning rate of that step.
        learning_rate: f64,
    },
    /// Someone asked the run to stop.
    #[error("interrupted; the same command (but for `--fresh`) goes on in epoch {epoch}, after step {step}")]
    Interrupted {
        /// The epoch in which it goes on, from 1.
        epoch: usize,
        /// The last step, over all epochs.
        step: usize,
    },
    /// Someone ended the training at once, in the dashboard.
    #[error("ended at once; the same command goes on from the last checkpoint")]
    Killed,
    /// Someone asked a test of final weights to stop.
    #[error("interrupted in testing, of which nothing is kept; the same command tests again")]
    InterruptedTest,
    /// Burn restores an optimizer on the first GPU backend of the build, if there is one, whatever the run's own is.
    #[error(
        "cannot go on from {}: Burn restores the optimizer on the first GPU backend of this build, which \
         failed ({message}); build with the feature of the backend you use alone", path.display()
    )]
    Restore {
        /// The checkpoints' folder.
        path: PathBuf,
        /// What the backend said.
        message: String,
    },
    /// The program, Burn or a driver panicked.
    #[error("unexpected failure at {place}: {message} (full report: {report})")]
    Unexpected {
        /// The first line of the message.
        message: String,
        /// The source file and line.
        place: String,
        /// The file with message, place, thread and backtrace.
        report: String,
    },
    /// Burn or a driver gave up.
    #[error("the training stopped with a failure of the backend: {message}")]
    Backend {
        /// What it said.
        message: String,
    },
}

impl TrainError {
    /// Whether it is no failure: someone asked to stop, and the same command goes on.
    pub fn is_interruption(&self) -> bool {
        matches!(self, Self::Interrupted { .. } | Self::InterruptedTest | Self::Killed)
    }

    pub(crate) fn read(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action: "read", path, source }
    }

    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action: "write", path, source }
    }
}
