//! Training the runs of a study.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use alexnet_train::{Data, Environment, Failure, Run, RunStatus, TrainError};

use crate::arm::SOURCE;
use crate::study::{Study, Task, begun};

impl Study {
    /// Returns the fraction of a task's training that is done.
    pub fn done(&self, task: &Task, out: &Path) -> f64 {
        let (recipe, images) = match (task.arms.first().map(|&arm| &self.arms[arm]), &self.source) {
            (Some(arm), _) => (&arm.config.recipe, self.learned_from(arm)),
            (None, Some(source)) => (&source.config.recipe, source.training_images),
            (None, None) => return 1.0,
        };
        let Ok(run) = Run::open(&out.join(&task.folder)) else { return 0.0 };
        match (run.status(), run.checkpoint()) {
            (Ok(RunStatus::Finished(_)), _) => 1.0,
            (Ok(RunStatus::Unfinished(_)), Ok(Some((_, step)))) => {
                let steps = recipe.epochs * images.div_ceil(recipe.batch_size);
                step as f64 / steps.max(1) as f64
            }
            _ => 0.0,
        }
    }

    /// Trains the missing part of a task's run and tests it with the views of each of its arms.
    ///
    /// # Errors
    /// If the run cannot continue. Its last checkpoint is kept.
    pub fn train(
        &self,
        task: &Task,
        data: &Data,
        environment: &Environment,
        out: &Path,
        fresh: bool,
    ) -> Result<(), TrainError> {
        let note = |text: &str| environment.observer.note(&format!("{}: {text}", task.label));
        if task.arms.is_empty() {
            return self.train_source(task.seed, data, environment, &task.label, out, fresh).map(drop);
        }
        for (number, &arm) in task.arms.iter().enumerate() {
            let fresh = fresh && number == 0;
            let config = begun(&self.arms[arm].config, self.source.as_ref(), task.seed);
            let from_source = self.arms[arm].config.initial.weights == SOURCE;
            let operations = environment.operations;
            let mut run = Run::new(config, self.seeds[task.seed], operations, &data.dataset, out);
            if !fresh && Failure::read(&run.folder).is_some_and(|failure| failure.diverged) {
                note("diverged before, not trained again (`--fresh` does)");
                continue;
            }
            if from_source && (fresh || !matches!(run.status()?, RunStatus::Finished(_))) {
                let source = self.train_source(task.seed, data, environment, &task.label, out, false);
                if let Err(error) = &source
                    && !error.is_interruption()
                {
                    let of_source = Failure::of(error);
                    Failure { why: format!("its source: {}", of_source.why), ..of_source }.keep(&run.folder);
                }
                run.begins_with = source?;
            }
            let status = if fresh { RunStatus::New } else { run.status()? };
            match status {
                RunStatus::Finished(_) if number == 0 => note("finished before, not trained again"),
                RunStatus::Unfinished(epoch) => note(&format!("goes on after epoch {epoch}")),
                _ => {}
            }
            run.complete(data, environment, &task.label, fresh)?;
        }
        Ok(())
    }

    /// Trains the source with a seed, or waits for the process that does. Returns its weights.
    fn train_source(
        &self,
        seed: usize,
        data: &Data,
        environment: &Environment,
        label: &str,
        out: &Path,
        fresh: bool,
    ) -> Result<Option<PathBuf>, TrainError> {
        let Some(source) = &self.source else { return Ok(None) };
        let operations = environment.operations;
        let run = Run::new(source.config.clone(), self.seeds[seed], operations, &data.dataset, out);
        loop {
            match run.complete(data, environment, label, fresh) {
                Err(TrainError::Locked { .. }) if environment.stop.load(Ordering::SeqCst) => {
                    let (epoch, step) = run.checkpoint()?.unwrap_or_default();
                    return Err(TrainError::Interrupted { epoch: epoch + 1, step });
                }
                Err(TrainError::Locked { .. }) => std::thread::sleep(Duration::from_millis(200)),
                other => return other.map(|_| Some(run.weights())),
            }
        }
    }
}
