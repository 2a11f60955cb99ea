//! The learning rate range test (Smith 2017, §3.3): the loss of a training whose rate rises from step to step.

use std::sync::atomic::Ordering;

use alexnet_ops::math::{exp, ln};
use burn::data::dataloader::DataLoader;
use burn::train::TrainStep;
use serde::Serialize;

use crate::TrainError;
use crate::classifier::Classifier;
use crate::config::RunConfig;
use crate::environment::{Data, Environment};
use crate::loaders::training_loader;
use crate::rule::optimizer;
use crate::smoothed::Smoothed;
use crate::update::Elapsed;

/// The test ends when the smoothed loss is so many times its smallest value.
const BLOWN_UP: f64 = 4.0;

/// The rates of a test, which rise by the same factor at each step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateRange {
    /// The rate of the first step.
    pub from: f64,
    /// The rate of the last step.
    pub to: f64,
    /// The number of steps.
    pub steps: usize,
}

/// A step of a test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RatePoint {
    /// The learning rate.
    pub rate: f64,
    /// The loss of the step's batch, before its update.
    pub loss: f64,
    /// The loss, averaged over the last steps.
    pub smoothed: f64,
}

impl RateRange {
    /// Trains a network from its initial weights with a rising rate. `heard` receives each step. Ends early when the loss
    /// blows up. Keeps nothing.
    ///
    /// # Errors
    /// If images cannot be read, or the test is interrupted.
    pub fn test(
        &self,
        config: &RunConfig,
        data: &Data,
        environment: &Environment,
        seed: u64,
        heard: &mut dyn FnMut(usize, &RatePoint),
    ) -> Result<Vec<RatePoint>, TrainError> {
        config.check(&data.dataset)?;
        let data = data.of(config, seed)?;
        let placement = environment.placement.autodiff();
        let loader = training_loader(config, &data, environment, seed, placement.first())?;
        let model = Classifier::new_on(&config.network, seed, placement.towers())?;
        let recipe = &config.recipe;
        let model = model.with_operations(environment.operations).with_precision(recipe.precision);
        let mut model = model.with_objective(recipe.objective());
        let (elapsed, operations) = (Elapsed::default(), environment.operations);
        let mut optimizer = optimizer(&config.network, &recipe.rule(), &elapsed, operations);
        let (mut points, mut average, mut least) = (Vec::new(), Smoothed::default(), f64::INFINITY);
        for epoch in 1.. {
            loader.set_epoch(epoch, 0);
            for batch in loader.iter() {
                if environment.stop.load(Ordering::SeqCst) {
                    return Err(TrainError::InterruptedTest);
                }
                let (step, rate) = (points.len(), self.rate(points.len()));
                let output = TrainStep::step(&model, batch?);
                let loss = output.item.loss_sum / output.item.images as f64;
                average.add(loss);
                let smoothed = average.value().unwrap_or(loss);
                let point = RatePoint { rate, loss, smoothed };
                if !loss.is_finite() {
                    return Ok(points);
                }
                points.push(point);
                heard(step, &point);
                least = f64::min(least, smoothed);
                if points.len() >= self.steps || smoothed > BLOWN_UP * least {
                    return Ok(points);
                }
                model = optimizer.step(rate, model, output.grads);
            }
        }
        Ok(points)
    }

    fn rate(&self, step: usize) -> f64 {
        let share = step as f64 / self.steps.saturating_sub(1).max(1) as f64;
        self.from * exp(share * ln(self.to / self.from))
    }
}

/// The suggestion of a test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SuggestedRate {
    /// A third of the rate at which the smoothed loss is smallest, which is the last at which it still falls.
    Rate(f64),
    /// The loss falls at no rate of the range.
    NoFall,
    /// The loss still falls at the end of the range.
    StillFalls,
}

impl SuggestedRate {
    /// Reads the suggestion off the steps of a test.
    pub fn of(points: &[RatePoint]) -> Self {
        let least = points.iter().enumerate().min_by(|(_, a), (_, b)| a.smoothed.total_cmp(&b.smoothed));
        let (Some((at, least)), Some(first)) = (least, points.first()) else { return Self::NoFall };
        if least.smoothed >= 0.98 * first.smoothed {
            return Self::NoFall;
        }
        // The smoothed loss is some steps behind.
        match at + 1 + points.len() / 20 >= points.len() {
            true => Self::StillFalls,
            false => Self::Rate(least.rate / 3.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_rise_by_the_same_factor() {
        let range = RateRange { from: 1e-4, to: 1.0, steps: 5 };
        for (step, expected) in [1e-4, 1e-3, 1e-2, 1e-1, 1.0].into_iter().enumerate() {
            assert!((range.rate(step) / expected - 1.0).abs() < 1e-12, "{step}");
        }
    }

    #[test]
    fn the_suggestion_is_below_the_smallest_loss() {
        let points = |losses: &[f64]| -> Vec<RatePoint> {
            let point = |(step, &loss): (usize, &f64)| RatePoint {
                rate: 0.001 * (step + 1) as f64,
                loss,
                smoothed: loss,
            };
            losses.iter().enumerate().map(point).collect()
        };
        assert_eq!(SuggestedRate::of(&points(&[2.3, 2.0, 1.0, 3.0])), SuggestedRate::Rate(0.001));
        assert_eq!(SuggestedRate::of(&points(&[2.3, 2.0, 1.5, 1.0])), SuggestedRate::StillFalls);
        assert_eq!(SuggestedRate::of(&points(&[2.3, 2.3, 2.4])), SuggestedRate::NoFall);
        assert_eq!(SuggestedRate::of(&[]), SuggestedRate::NoFall);
    }
}
