//! The display of a training: burn-train's dashboard in a terminal, or plain lines from the observer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use burn::tensor::TensorReadError;
use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::state::{FormatOptions, NumericMetricState};
use burn::train::metric::{
    Metric, MetricAttributes, MetricDefinition, MetricMetadata, MetricName, Numeric, NumericAttributes,
    NumericEntry, SerializedEntry,
};
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation, MetricsRendererTraining,
};

use crate::observer::Observer;
use crate::score::Score;

/// The time after which plain output reports the progress of a pass.
const QUIET: Duration = Duration::from_secs(15);

/// A renderer without a terminal. It prints a line from time to time during a long pass.
pub(crate) struct Plain {
    observer: Arc<dyn Observer>,
    label: String,
    epoch: usize,
    total: usize,
    last: Instant,
}

impl Plain {
    /// Creates a renderer. `finished` is the number of epochs that earlier sessions trained, unknown to
    /// burn-train.
    pub(crate) fn new(observer: Arc<dyn Observer>, finished: usize) -> Self {
        Self { observer, label: String::new(), epoch: finished + 1, total: 0, last: Instant::now() }
    }
}

impl TrainingProgressLogger for Plain {
    fn start(&mut self, _: usize, _: usize, _: Option<usize>, label: Option<&str>) {
        self.label = label.unwrap_or_default().to_owned();
    }

    fn update_epoch(&mut self, epoch: usize) {
        self.epoch = epoch + 1;
    }

    fn start_split(&mut self, _: &str, total_items: usize) {
        (self.total, self.last) = (total_items, Instant::now());
    }

    fn update_split(&mut self, items_processed: usize) {
        if self.last.elapsed() >= QUIET {
            self.last = Instant::now();
            let Self { label, epoch, total, .. } = self;
            self.observer.note(&format!("{label}: epoch {epoch}, {items_processed} of {total} images"));
        }
    }

    fn end_split(&mut self) {}
    fn end(&mut self) {}
    fn log_event_training(&mut self, _: String) {}
}

impl MetricsRendererTraining for Plain {
    fn update_train(&mut self, _: MetricState) {}
    fn update_valid(&mut self, _: MetricState) {}
}

impl MetricsRendererEvaluation for Plain {
    fn update_test(&mut self, _: EvaluationName, _: MetricState) {}
}

impl EvaluationProgressLogger for Plain {
    fn start_global_progress(&mut self, _: usize) {}
    fn start_test(&mut self, _: &str, _: usize) {}
    fn update_test_progress(&mut self, _: usize) {}
    fn end_test(&mut self) {}
    fn end_global_progress(&mut self) {}
    fn log_event_evaluation(&mut self, _: String) {}
}

impl MetricsRenderer for Plain {
    fn manual_close(&mut self) {}
    fn register_metric(&mut self, _: MetricDefinition) {}
}

/// The dashboard's number of training images per second.
#[derive(Clone)]
pub(crate) struct Speed {
    name: MetricName,
    last: Option<Instant>,
    state: NumericMetricState,
}

impl Default for Speed {
    fn default() -> Self {
        Self { name: Arc::new("Images/s".to_owned()), last: None, state: NumericMetricState::new() }
    }
}

impl Speed {
    /// Formats the rate in whole images, never as a power of ten.
    fn shown(&self, entry: SerializedEntry) -> SerializedEntry {
        let rate = |entry: NumericEntry| format!("{:.0}", entry.current());
        let (epoch, batch) = (rate(self.state.running_value()), rate(self.state.current_value()));
        SerializedEntry::new(format!("{epoch}, batch {batch}"), entry.serialized)
    }
}

impl Metric for Speed {
    type Input = Score;

    fn name(&self) -> MetricName {
        self.name.clone()
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes { unit: None, higher_is_better: true }.into()
    }

    fn update(&mut self, score: &Score, _: &MetricMetadata) -> Result<SerializedEntry, TensorReadError> {
        let now = Instant::now();
        if let Some(last) = self.last.replace(now) {
            let rate = score.images as f64 / (now - last).as_secs_f64().max(1e-9);
            self.state.update(rate, score.images);
        }
        Ok(self.shown(self.state.compute_update(FormatOptions::new(self.name()))))
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        Ok(self.shown(self.state.compute_final(FormatOptions::new(self.name()))))
    }

    fn clear(&mut self) {
        self.state.reset();
        self.last = None; // a validation pass came between
    }
}

impl Numeric for Speed {
    fn value(&self) -> Option<NumericEntry> {
        Some(self.state.current_value())
    }

    fn running_value(&self) -> Option<NumericEntry> {
        Some(self.state.running_value())
    }

    fn final_value(&self) -> NumericEntry {
        self.state.final_value()
    }
}

/// The dashboard's estimate of the time left for all runs.
#[derive(Clone)]
pub(crate) struct TimeLeft {
    name: MetricName,
    left: Arc<Mutex<Option<Duration>>>,
}

impl Default for TimeLeft {
    fn default() -> Self {
        Self { name: Arc::new("Time left, all runs".to_owned()), left: Arc::default() }
    }
}

impl TimeLeft {
    pub(crate) fn set(&self, left: Option<Duration>) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = left;
    }

    fn entry(&self) -> SerializedEntry {
        let left = *self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let text = left.map_or("not known yet".to_owned(), spoken);
        SerializedEntry::new(text.clone(), text)
    }
}

impl Metric for TimeLeft {
    type Input = Score;

    fn name(&self) -> MetricName {
        self.name.clone()
    }

    fn update(&mut self, _: &Score, _: &MetricMetadata) -> Result<SerializedEntry, TensorReadError> {
        Ok(self.entry())
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        Ok(self.entry())
    }

    fn clear(&mut self) {}
}

/// Its chart has minutes. Numbers are shown in the order of their registration, other metrics before them, where they would take the
/// place of the errors.
impl Numeric for TimeLeft {
    fn value(&self) -> Option<NumericEntry> {
        let left = *self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.map(|left| NumericEntry::Value(left.as_secs_f64() / 60.0))
    }

    fn running_value(&self) -> Option<NumericEntry> {
        self.value()
    }

    fn final_value(&self) -> NumericEntry {
        self.value().unwrap_or(NumericEntry::Value(0.0))
    }
}

/// Formats a duration for people: `48 s`, `12 min`, `3 h 05 min`.
pub fn spoken(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    let minutes = (seconds + 30) / 60;
    match seconds {
        0..100 => format!("{seconds} s"),
        _ if minutes < 100 => format!("{minutes} min"),
        _ => format!("{} h {:02} min", minutes / 60, minutes % 60),
    }
}
