use std::sync::Arc;

use alexnet_ops::math::{exp, ln};
use burn::tensor::TensorReadError;
use burn::train::ItemLazy;
use burn::train::metric::state::{FormatOptions, NumericMetricState};
use burn::train::metric::{
    Adaptor, Metric, MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes, NumericEntry,
    SerializedEntry,
};
use serde::{Deserialize, Serialize};

use crate::smoothed::Smoothed;

/// The loss and the errors of some images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// The number of images.
    pub images: usize,
    /// The sum over the images of the negative log-probability of the true class.
    pub loss_sum: f64,
    /// The number of images whose true class is not the most probable.
    pub top1_errors: usize,
    /// The number of images whose true class is not among the five most probable.
    pub top5_errors: usize,
}

impl Score {
    /// Computes the score of logits `[images, classes]`.
    pub(crate) fn of(logits: &[f32], targets: &[usize]) -> Self {
        let classes = logits.len() / targets.len().max(1);
        let mut score = Self::default();
        for (logits, &target) in logits.chunks_exact(classes.max(1)).zip(targets) {
            score.add(&averaged_softmax(logits, classes), target);
        }
        score
    }

    /// Adds one image with these class probabilities.
    pub(crate) fn add(&mut self, probabilities: &[f64], target: usize) {
        let own = probabilities[target];
        // Among equal probabilities, the lower class ranks first. NaN is never right.
        let ahead = probabilities.iter().enumerate().filter(|&(class, &p)| {
            class != target && (p > own || (p == own && class < target) || p.is_nan() || own.is_nan())
        });
        let rank = ahead.count();
        self.images += 1;
        // A probability that underflows f64 still has a finite loss; NaN does not.
        let loss = -ln(own.max(f64::MIN_POSITIVE));
        self.loss_sum += if own.is_nan() { f64::NAN } else { loss };
        self.top1_errors += usize::from(rank >= 1);
        self.top5_errors += usize::from(rank >= 5);
    }

    /// Adds another score.
    pub(crate) fn join(&mut self, other: &Score) {
        self.images += other.images;
        self.loss_sum += other.loss_sum;
        self.top1_errors += other.top1_errors;
        self.top5_errors += other.top5_errors;
    }

    /// Returns the mean negative log-probability of the true class.
    pub fn loss(&self) -> f64 {
        self.loss_sum / self.images as f64
    }

    /// Returns the fraction of images whose true class is not the most probable.
    pub fn top1_error(&self) -> f64 {
        self.top1_errors as f64 / self.images as f64
    }

    /// Returns the fraction of images whose true class is not among the five most probable.
    pub fn top5_error(&self) -> f64 {
        self.top5_errors as f64 / self.images as f64
    }
}

/// Returns the class probabilities of one image, `[classes]`: the mean softmax output over the logits of its
/// views `[views, classes]` (Krizhevsky et al. 2012, §4.1).
pub fn averaged_softmax(logits: &[f32], classes: usize) -> Vec<f64> {
    let views = logits.chunks_exact(classes);
    let count = views.len() as f64;
    let mut average = vec![0.0; classes];
    for view in views {
        let max = view.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exps: Vec<f64> = view.iter().map(|&z| exp(f64::from(z - max))).collect();
        let sum: f64 = exps.iter().sum();
        average.iter_mut().zip(&exps).for_each(|(p, e)| *p += e / (sum * count));
    }
    average
}

impl ItemLazy for Score {
    fn sync(self) -> Result<Self, burn::tensor::ExecutionError> {
        Ok(self)
    }
}

impl Adaptor<Score> for Score {
    fn adapt(&self) -> Score {
        *self
    }
}

/// One value of [`Score`] on burn-train's dashboard.
#[derive(Clone)]
pub(crate) struct ScoreMetric {
    name: MetricName,
    unit: Option<&'static str>,
    value: fn(&Score) -> f64,
    state: NumericMetricState,
    /// The chart's line. It has one for each split, and single batches would hide its course.
    smoothed: Smoothed,
}

impl ScoreMetric {
    pub(crate) fn loss() -> Self {
        Self::new("Loss", None, Score::loss)
    }

    pub(crate) fn top1_error() -> Self {
        Self::new("Top-1 error", Some("%"), |score| 100.0 * score.top1_error())
    }

    pub(crate) fn top5_error() -> Self {
        Self::new("Top-5 error", Some("%"), |score| 100.0 * score.top5_error())
    }

    fn new(name: &str, unit: Option<&'static str>, value: fn(&Score) -> f64) -> Self {
        Self {
            name: Arc::new(name.to_owned()),
            unit,
            value,
            state: NumericMetricState::new(),
            smoothed: Smoothed::default(),
        }
    }

    /// Formats the value of the epoch so far and of the last batch, never as a power of ten.
    fn shown(&self, entry: SerializedEntry) -> SerializedEntry {
        let text = |entry: NumericEntry| match (entry.current(), self.unit) {
            (value, Some(unit)) => format!("{value:.1} {unit}"),
            (value, None) => format!("{value:.3}"),
        };
        let (epoch, batch) = (text(self.state.running_value()), text(self.state.current_value()));
        // As short as this, both splits fit into 80 columns.
        SerializedEntry::new(format!("{epoch}, batch {batch}"), entry.serialized)
    }
}

impl Metric for ScoreMetric {
    type Input = Score;

    fn name(&self) -> MetricName {
        self.name.clone()
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes { unit: self.unit.map(str::to_owned), higher_is_better: false }.into()
    }

    fn update(&mut self, score: &Score, _: &MetricMetadata) -> Result<SerializedEntry, TensorReadError> {
        let value = (self.value)(score);
        self.state.update(value, score.images);
        self.smoothed.add(value);
        Ok(self.shown(self.state.compute_update(FormatOptions::new(self.name()))))
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        Ok(self.shown(self.state.compute_final(FormatOptions::new(self.name()))))
    }

    fn clear(&mut self) {
        self.state.reset();
        self.smoothed = Smoothed::default();
    }
}

impl Numeric for ScoreMetric {
    fn value(&self) -> Option<NumericEntry> {
        self.smoothed.value().map(NumericEntry::Value)
    }

    fn running_value(&self) -> Option<NumericEntry> {
        Some(self.state.running_value())
    }

    fn final_value(&self) -> NumericEntry {
        self.state.final_value()
    }
}

#[cfg(test)]
mod tests {
    use burn::data::dataloader::Progress;

    use super::*;

    #[test]
    fn the_dashboard_shows_percentages_as_percentages() {
        let score = |top1_errors: usize| Score { images: 40, loss_sum: 1.0, top1_errors, top5_errors: 0 };
        let progress = Progress { items_processed: 1, items_total: 1, unit: None };
        let metadata = MetricMetadata { progress, iteration: Some(0), lr: None };
        let mut metric = ScoreMetric::top1_error();
        metric.update(&score(5), &metadata).unwrap();
        let entry = metric.update(&score(0), &metadata).unwrap();
        assert_eq!(entry.formatted, "6.2 %, batch 0.0 %");
        let loss = ScoreMetric::loss().update(&score(0), &metadata).unwrap();
        assert_eq!(loss.formatted, "0.025, batch 0.025");
        // 12.5 % and then 0 %: the chart's line is between them, nearer to the last.
        assert!(matches!(metric.value(), Some(NumericEntry::Value(value)) if value < 6.25 && value > 6.0));
        metric.clear();
        assert!(metric.value().is_none());
    }

    #[test]
    fn counts_top_1_and_top_5_and_breaks_ties_by_class() {
        let logits = [[9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]; 4].concat();
        let score = Score::of(&logits, &[0, 6, 2, 1]);
        // The classes by rank: 0, 6, 5, 4, 3, 2, 1.
        assert_eq!((score.images, score.top1_errors, score.top5_errors), (4, 3, 2));
        let equal = Score::of(&[1.0; 12], &[0, 5]);
        assert_eq!((equal.top1_errors, equal.top5_errors), (1, 1));
        assert!((equal.loss() - 6f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn views_average_probabilities_not_logits() {
        // One view strongly favours class 0, the other slightly class 1. The mean favours class 0.
        let probabilities = averaged_softmax(&[2.0, 0.0, 0.0, 1.0], 2);
        let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
        assert!((probabilities[0] - (sigmoid(2.0) + sigmoid(-1.0)) / 2.0).abs() < 1e-7);
    }

    #[test]
    fn a_loss_that_is_not_a_number_stays_one() {
        for bad in [f32::NAN, f32::INFINITY] {
            let score = Score::of(&[bad, 0.0], &[1]);
            assert!(!score.loss().is_finite(), "{bad}");
            assert_eq!(score.top1_errors, 1);
        }
    }
}
