use std::path::PathBuf;

use alexnet_data::DataError;
use alexnet_model::NetworkError;
use burn::data::dataset::DatasetError;

/// The reason why a run did not complete. Its last checkpoint is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The network cannot be built.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A loader cannot deliver a batch: an image cannot be read, or a worker stopped.
    #[error(transparent)]
    Images(#[from] DatasetError),
    /// The data cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The recipe is invalid, or the network and the data do not fit together.
    #[error("{key}: {problem}")]
    Config {
        /// The key in the config.
        key: &'static str,
        /// The problem and its correction.
        problem: String,
    },
    /// A file of the run folder cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file of the run folder is damaged.
    #[error("{} is damaged ({problem})", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: String,
    },
    /// The name and tags of a run are damaged. Nothing else depends on them.
    #[error("{} is damaged ({problem})", path.display())]
    DamagedLabel {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: String,
    },
    /// A checkpoint is damaged. An older one may be usable.
    #[error("the checkpoint {} is damaged ({problem})", path.display())]
    DamagedCheckpoint {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: String,
    },
    /// The initial weights cannot be used.
    #[cfg(feature = "runs")]
    #[error("the initial weights, {}: {source}", path.display())]
    Initial {
        /// The weights' file.
        path: PathBuf,
        /// The problem.
        source: alexnet_weights::WeightsError,
    },
    /// The network has another number of classes than the data.
    #[error("at `network.classes`: the network has {network} classes and `{name}` has {data} that take part")]
    Classes {
        /// The data set's name.
        name: String,
        /// The classes of the network.
        network: usize,
        /// The classes of the data that take part.
        data: usize,
        /// The network's last layer.
        layer: String,
    },
    /// Another process is working on this run.
    #[error("{} is being trained by another process", path.display())]
    Locked {
        /// The run folder.
        path: PathBuf,
    },
    /// The run's name denotes other results than this program with these settings produces.
    #[error(
        "{}: results of version {} with these images and operations belong to the run {identity}; begin it instead",
        path.display(),
        crate::RESULTS
    )]
    Identity {
        /// The run folder.
        path: PathBuf,
        /// The identity that this program would give the run.
        identity: String,
    },
    /// The loss is not finite.
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
    /// The loss is finite, but a gradient contains infinity or NaN.
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
    /// The run was asked to stop.
    #[error("interrupted; the run goes on in epoch {epoch}, after step {step}")]
    Interrupted {
        /// The epoch in which the run resumes, from 1.
        epoch: usize,
        /// The last step, over all epochs.
        step: usize,
    },
    /// The user killed the training in the dashboard.
    #[error("ended at once; the same command goes on from the last checkpoint")]
    Killed,
    /// A test of final weights was asked to stop.
    #[error("interrupted in testing, of which nothing is kept; the same command tests again")]
    InterruptedTest,
    /// The trying out of kernels was asked to stop.
    #[error("interrupted before the first step; the same command begins again")]
    InterruptedWarmUp,
    /// Burn restores an optimizer on the first GPU backend of the build, if there is one, whatever the run's
    /// backend is.
    #[error(
        "cannot go on from {}: Burn restores the optimizer on the first GPU backend of this build, which \
         failed ({message}); build with the feature of the backend you use alone", path.display()
    )]
    Restore {
        /// The folder of the checkpoints.
        path: PathBuf,
        /// The backend's message.
        message: String,
    },
    /// The program, Burn or a driver panicked.
    #[error("unexpected failure at {place}: {message} (full report: {report})")]
    Unexpected {
        /// The first line of the message.
        message: String,
        /// The source file and line.
        place: String,
        /// The file with the message, place, thread and backtrace.
        report: String,
    },
    /// Burn or a driver failed.
    #[error("the training stopped with a failure of the backend: {message}")]
    Backend {
        /// The message of Burn or the driver.
        message: String,
    },
}

impl TrainError {
    /// Returns whether the error is a requested stop. The same command then resumes the run.
    pub fn is_interruption(&self) -> bool {
        matches!(
            self,
            Self::Interrupted { .. } | Self::InterruptedTest | Self::InterruptedWarmUp | Self::Killed
        )
    }

    #[cfg(feature = "runs")]
    pub(crate) fn read(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action: "read", path, source }
    }

    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action: "write", path, source }
    }
}
