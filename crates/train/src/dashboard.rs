//! What a training shows: burn-train's dashboard in a terminal, or plain lines from the observer.

use std::time::{Duration, Instant};

use burn::train::logger::{EvaluationProgressLogger, MetricLogger, TrainingProgressLogger};
use burn::train::metric::store::{EpochSummary, MetricsUpdate, Split};
use burn::train::metric::{MetricDefinition, NumericEntry};
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation, MetricsRendererTraining,
};

/// How long a pass may go on before plain output says how far it is.
const QUIET: Duration = Duration::from_secs(15);

/// A renderer without a terminal: silent but for a line now and then during a long pass.
pub(crate) struct Plain {
    label: String,
    epoch: usize,
    total: usize,
    last: Instant,
}

impl Plain {
    /// `finished`: epochs that an earlier session trained, of which burn-train does not know.
    pub(crate) fn new(finished: usize) -> Self {
        Self { label: String::new(), epoch: finished + 1, total: 0, last: Instant::now() }
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
            eprintln!("{}: epoch {}, {items_processed} of {} images", self.label, self.epoch, self.total);
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

/// A metric logger that keeps nothing: `metrics.jsonl` is the run's one record.
pub(crate) struct NoLog;

impl MetricLogger for NoLog {
    fn log(&mut self, _: MetricsUpdate, _: usize, _: &Split) {}

    fn read_numeric(&mut self, _: &str, _: usize, _: &Split) -> Result<Vec<NumericEntry>, String> {
        Ok(Vec::new())
    }

    fn log_metric_definition(&mut self, _: MetricDefinition) {}
    fn log_epoch_summary(&mut self, _: EpochSummary) {}
}
