//! The estimate of the time left for all runs of an ablation.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::study::Task;

/// The time before the first estimate. Earlier rates are not meaningful.
const FIRST_GUESS: Duration = Duration::from_secs(5);

/// Sums the progress of tasks, each weighted by its estimated cost.
#[derive(Debug)]
pub struct Clock {
    begun: Instant,
    tasks: Mutex<HashMap<String, Share>>,
}

#[derive(Debug, Clone, Copy)]
struct Share {
    weight: f64,
    /// The completed weight, at the start and now.
    at_first: f64,
    done: f64,
}

impl Clock {
    /// Starts a clock for `tasks`, each with its completed fraction.
    pub fn start<'a>(tasks: impl Iterator<Item = (&'a Task, f64)>) -> Self {
        let share = |(task, done): (&Task, f64)| {
            (task.label.clone(), Share { weight: task.weight, at_first: done, done })
        };
        Self { begun: Instant::now(), tasks: Mutex::new(tasks.map(share).collect()) }
    }

    /// Records the completed fraction of a task. Returns the time left for all tasks.
    pub fn update(&self, label: &str, done: f64) -> Option<Duration> {
        if let Some(share) = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).get_mut(label) {
            share.done = done;
        }
        self.left()
    }

    /// Returns the time left for all tasks at the rate so far. This is an estimate, because weights only
    /// approximate costs.
    pub fn left(&self) -> Option<Duration> {
        let elapsed = self.begun.elapsed();
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = |of: fn(&Share) -> f64| tasks.values().map(|share| share.weight * of(share)).sum::<f64>();
        let (done, open) = (sum(|share| share.done - share.at_first), sum(|share| 1.0 - share.done));
        if elapsed < FIRST_GUESS || done <= 0.0 {
            return None;
        }
        Duration::try_from_secs_f64(elapsed.as_secs_f64() * open / done).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_counts_every_task() {
        let task = |label: &str, weight: f64| Task {
            folder: String::new(),
            arms: vec![0],
            seed: 0,
            label: label.to_owned(),
            weight,
        };
        let (small, large, before) = (task("small", 1.0), task("large", 3.0), task("before", 9.0));
        let mut clock = Clock::start([(&small, 0.0), (&large, 0.5), (&before, 1.0)].into_iter());
        assert_eq!(clock.left(), None, "nothing is known yet");
        clock.begun = Instant::now().checked_sub(Duration::from_secs(100)).unwrap();
        // 1 unit of weight took 100 s; the large task has 1.5 left.
        let left = clock.update("small", 1.0).unwrap().as_secs_f64();
        assert!((left - 150.0).abs() < 1.0, "{left}");
    }
}
