use alexnet_ops::math::{cos, whole_power};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A learning rate schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// The learning rate stays constant.
    Constant,
    /// The learning rate is divided when the validation error stops improving (Krizhevsky et al. 2012, §5).
    Plateau(Plateau),
    /// The learning rate is divided after these epochs.
    Steps {
        /// The epochs, from 1.
        after_epochs: Vec<usize>,
        /// The divisor.
        divide_by: f64,
    },
    /// The learning rate falls step by step along a half cosine to a fraction of its initial value.
    Cosine {
        /// The final fraction.
        final_share: f64,
    },
    /// The learning rate rises to its value along half a cosine, then falls along another (Smith & Topin 2017; PyTorch's
    /// `OneCycleLR`). `warmup_steps` must be 0.
    OneCycle {
        /// The fraction of the steps after which the rate has risen.
        peak_at: f64,
        /// The rate at the start, as a fraction of the highest.
        first_share: f64,
        /// The rate at the end, as a fraction of the highest.
        final_share: f64,
    },
}

/// "Divide the learning rate by 10 when the validation error rate stopped improving" (§5).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plateau {
    /// The divisor.
    pub divide_by: f64,
    /// The number of consecutive epochs without improvement before a division.
    pub patience: usize,
    /// The amount, a fraction, by which the error must fall below the best so far to count as improvement.
    pub improvement: f64,
    /// The maximum number of divisions.
    pub drops: usize,
    /// The lower bound of the learning rate.
    pub minimum: f64,
}

/// The state of a plateau schedule. It is part of every checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlateauState {
    /// The lowest validation error that counted as improvement.
    pub best: Option<f64>,
    /// The number of consecutive epochs without improvement.
    pub waited: usize,
    /// The number of divisions so far.
    pub drops: usize,
}

impl PlateauState {
    /// Returns the state before the first epoch.
    pub fn new() -> Self {
        Self { best: None, waited: 0, drops: 0 }
    }

    /// Updates the state with an epoch's validation error.
    pub fn observe(&mut self, plateau: &Plateau, error: f64) {
        if self.best.is_none_or(|best| error < best - plateau.improvement) {
            *self = Self { best: Some(error), waited: 0, ..*self };
            return;
        }
        self.waited += 1;
        if self.waited >= plateau.patience && self.drops < plateau.drops {
            *self = Self { waited: 0, drops: self.drops + 1, ..*self };
        }
    }
}

impl Default for PlateauState {
    fn default() -> Self {
        Self::new()
    }
}

/// The position of a step in a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// The epoch, from 1.
    pub(crate) epoch: usize,
    /// The step, from 0, over all epochs.
    pub(crate) step: usize,
    /// The number of steps of the whole run.
    pub(crate) steps: usize,
}

impl Schedule {
    /// Returns the learning rate of a step, given the initial one.
    pub(crate) fn rate(&self, initial: f64, warmup_steps: usize, place: Place, state: &PlateauState) -> f64 {
        if place.step < warmup_steps {
            return initial * (place.step + 1) as f64 / warmup_steps as f64;
        }
        match self {
            Schedule::Constant => initial,
            Schedule::Plateau(plateau) => {
                let rate = initial / whole_power(plateau.divide_by, state.drops);
                rate.max(plateau.minimum).min(initial)
            }
            Schedule::Steps { after_epochs, divide_by } => {
                let passed = after_epochs.iter().filter(|&&epoch| place.epoch > epoch).count();
                initial / whole_power(*divide_by, passed)
            }
            Schedule::Cosine { final_share } => {
                let whole = place.steps.saturating_sub(warmup_steps).max(1) as f64;
                let done = (place.step - warmup_steps) as f64 / whole;
                let cosine = (1.0 + cos(std::f64::consts::PI * done)) / 2.0;
                initial * (final_share + (1.0 - final_share) * cosine)
            }
            Schedule::OneCycle { peak_at, first_share, final_share } => {
                let last = place.steps.saturating_sub(1).max(1) as f64;
                let (step, peak) = (place.step as f64, peak_at * last);
                let [from, to, done] = match step <= peak {
                    true => [*first_share, 1.0, step / peak.max(1.0)],
                    false => [1.0, *final_share, (step - peak) / (last - peak).max(1.0)],
                };
                let fallen = (1.0 - cos(std::f64::consts::PI * done)) / 2.0;
                initial * (from + (to - from) * fallen)
            }
        }
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        let divides = |by: f64| by.is_finite() && by >= 1.0;
        match self {
            Schedule::Plateau(plateau) if plateau.patience == 0 => Err("patience must be at least 1".into()),
            Schedule::Plateau(Plateau { divide_by, .. }) | Schedule::Steps { divide_by, .. }
                if !divides(*divide_by) =>
            {
                Err(format!("divide_by is {divide_by} and must be at least 1"))
            }
            Schedule::Plateau(Plateau { improvement, minimum, .. })
                if ![*improvement, *minimum].iter().all(|number| *number >= 0.0 && number.is_finite()) =>
            {
                Err(format!(
                    "improvement of {improvement} and minimum of {minimum} must be finite and at least 0"
                ))
            }
            Schedule::OneCycle { peak_at, first_share, final_share }
                if ![peak_at, first_share, final_share].iter().all(|share| (0.0..=1.0).contains(*share)) =>
            {
                Err("peak_at, first_share and final_share must be 0 to 1".into())
            }
            Schedule::Cosine { final_share } if !(0.0..=1.0).contains(final_share) => {
                Err(format!("final_share is {final_share} and must be 0 to 1"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(epoch: usize, step: usize) -> Place {
        Place { epoch, step, steps: 100 }
    }

    #[test]
    fn a_plateau_divides_after_its_patience_and_at_most_so_often() {
        let plateau = Plateau { divide_by: 10.0, patience: 2, improvement: 0.001, drops: 2, minimum: 0.0 };
        let schedule = Schedule::Plateau(plateau);
        let mut state = PlateauState::new();
        let errors = [0.5, 0.4, 0.3995, 0.41, 0.39, 0.39, 0.39, 0.2, 0.3, 0.3, 0.3, 0.3];
        let rates: Vec<f64> = errors
            .iter()
            .map(|&error| {
                state.observe(&plateau, error);
                schedule.rate(0.01, 0, place(1, 0), &state)
            })
            .collect();
        // 0.3995 does not count as an improvement on 0.4. Two such epochs cause a division. 0.39 and 0.2 are
        // improvements.
        let expected = [1e-2, 1e-2, 1e-2, 1e-3, 1e-3, 1e-3, 1e-4, 1e-4, 1e-4, 1e-4, 1e-4, 1e-4];
        for (rate, expected) in rates.iter().zip(expected) {
            assert!((rate / expected - 1.0).abs() < 1e-12, "{rates:?}");
        }
        let floor = Schedule::Plateau(Plateau { minimum: 5e-4, ..plateau });
        assert_eq!(floor.rate(0.01, 0, place(1, 0), &state), 5e-4);
    }

    #[test]
    fn training_that_shall_never_end_early_does_not_end_at_no_errors() {
        let never = crate::TrainingError { images: 5, stop_at: 0.0, every_steps: 0 };
        assert!(!never.ends_at(0.0));
        assert!(crate::TrainingError { stop_at: 0.25, ..never }.ends_at(0.25));
    }

    #[test]
    fn steps_warmup_and_cosine() {
        let state = PlateauState::new();
        let steps = Schedule::Steps { after_epochs: vec![2, 4], divide_by: 10.0 };
        let rates = [2, 3, 4, 5].map(|epoch| steps.rate(1.0, 0, place(epoch, 50), &state));
        assert_eq!(rates, [1.0, 0.1, 0.1, 0.01]);
        let rates = [0, 1, 4, 5].map(|step| Schedule::Constant.rate(1.0, 5, place(1, step), &state));
        assert_eq!(rates, [0.2, 0.4, 1.0, 1.0]);
        let cosine = Schedule::Cosine { final_share: 0.1 };
        assert_eq!(cosine.rate(1.0, 0, place(1, 0), &state), 1.0);
        assert!((cosine.rate(1.0, 0, place(1, 50), &state) - 0.55).abs() < 1e-12);
        assert!((cosine.rate(1.0, 0, place(1, 100), &state) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn one_cycle_rises_and_falls_as_in_pytorch() {
        let schedule = Schedule::OneCycle { peak_at: 0.3, first_share: 0.04, final_share: 0.001 };
        let rates = |step| schedule.rate(0.1, 0, Place { epoch: 1, step, steps: 11 }, &PlateauState::new());
        // torch.optim.lr_scheduler.OneCycleLR(max_lr=0.1, total_steps=11, pct_start=0.4, div_factor=25, final_div_factor=40)
        // puts the peak at step 0.4 · 11 − 1 = 3.4; here it is at step 0.3 · 10 = 3.
        assert!((rates(0) - 0.004).abs() < 1e-12 && (rates(3) - 0.1).abs() < 1e-12);
        assert!((rates(10) - 0.0001).abs() < 1e-12 && rates(1) < rates(2) && rates(5) > rates(6));
    }
}
