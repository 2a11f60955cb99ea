//! The training of a run with burn-train.

use std::path::Path;
use std::time::Instant;

use alexnet_data::Views;
use alexnet_weights::{Weights, WeightsError};
use burn::module::Module;
use burn::tensor::Device;

use super::Run;
use crate::TrainError;
use crate::bridge::Launch;
use crate::checkpoint::load_model;
use crate::classifier::Classifier;
use crate::environment::{Data, Environment};
use crate::events::Events;
use crate::loaders::{evaluation_loader, training_loader};
use crate::progress::Progress;
use crate::training_loop::TrainingLoop;
use crate::warm_up::WarmUp;

impl Run {
    /// Trains from `start` to the end with burn-train.
    pub(super) fn fit(
        &self,
        data: &Data,
        environment: &Environment,
        label: &str,
        start: Progress,
        events: Events,
    ) -> Result<Progress, TrainError> {
        let (config, recipe) = (&self.config, &self.config.recipe);
        let placement = environment.placement.autodiff();
        let device = placement.first().clone();
        let train = training_loader(config, data, environment, self.seed, &device)?;
        let evaluation = |split| {
            evaluation_loader(
                config,
                split,
                &data.statistics,
                Views::Centre,
                environment.placement.first(),
                environment.workers,
            )
        };
        let valid = evaluation(data.dataset.validation.clone())?;
        let train_evaluated = match recipe.training_error.images {
            0 => None,
            images => Some(evaluation(data.dataset.train.first(images))?),
        };
        if environment.warms_up {
            let size = |images: usize| [images.min(recipe.batch_size), images % recipe.batch_size];
            let evaluated = [data.dataset.validation.len(), recipe.training_error.images];
            let warm_up = WarmUp {
                network: &config.network,
                placement: &environment.placement,
                rule: recipe.rule(),
                operations: environment.operations,
                precision: recipe.precision,
                training: size(data.dataset.train.len()).to_vec(),
                evaluation: evaluated.map(size).concat(),
            };
            let observer = &environment.observer;
            warm_up.run(&environment.stop, &|what, done| observer.warming_up(what, done))?;
        }
        let model = match start.step {
            0 => self.begin(placement.towers())?,
            _ => Classifier::new_on(&config.network, self.seed, placement.towers())?,
        };
        let training = TrainingLoop {
            label: label.to_owned(),
            recipe: recipe.clone(),
            placement: placement.clone(),
            train: train.clone(),
            train_evaluated,
            checkpoints: self.checkpoints(),
            metrics: self.file("metrics.jsonl"),
            events,
            observer: environment.observer.clone(),
            stop: environment.stop.clone(),
            rate: 0.0,
            last_checkpoint: Instant::now(),
        };
        let launch = Launch {
            folder: &self.folder,
            label,
            config,
            environment,
            placement,
            model: self.prepared(model, environment).with_objective(recipe.objective()),
            train,
            valid,
            start,
        };
        launch.run(|bridge, start| training.run(bridge, start), &self.checkpoints())?;
        // The loop ends by writing a checkpoint.
        Ok(self.checkpoints().newest()?.unwrap_or_else(Progress::start))
    }

    /// Creates the classifier with its initial weights.
    fn begin(&self, devices: &[Device]) -> Result<Classifier, TrainError> {
        let (network, initial) = (&self.config.network, &self.config.initial);
        if initial.weights.is_empty() {
            return Classifier::new_on(network, self.seed, devices);
        }
        let Some(path) = &self.begins_with else {
            let problem = format!("{} are needed and were not given", initial.weights);
            return Err(TrainError::Config { key: "initial.weights", problem });
        };
        let wrong = |source: WeightsError| TrainError::Initial { path: path.clone(), source };
        let weights = Weights::read(path).map_err(wrong)?;
        Ok(weights.begin(network, &initial.anew, self.seed, devices).map_err(wrong)?.into())
    }

    /// Loads the classifier with the weights of a file.
    pub(super) fn load(&self, path: &Path, environment: &Environment) -> Result<Classifier, TrainError> {
        let (record, devices) = (load_model(path)?, environment.placement.towers());
        let model = Classifier::new_on(&self.config.network, self.seed, devices)?.load_record(record);
        Ok(self.prepared(model, environment))
    }

    /// Returns the classifier with the operations and the precision of this run.
    fn prepared(&self, model: Classifier, environment: &Environment) -> Classifier {
        model.with_operations(environment.operations).with_precision(self.config.recipe.precision)
    }
}
