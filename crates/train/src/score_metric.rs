//! Scores on burn-train's dashboard.

use std::sync::Arc;

use burn::tensor::TensorReadError;
use burn::train::ItemLazy;
use burn::train::metric::state::{FormatOptions, NumericMetricState};
use burn::train::metric::{
    Adaptor, Metric, MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes, NumericEntry,
    SerializedEntry,
};

use crate::score::Score;
use crate::smoothed::Smoothed;

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
}
