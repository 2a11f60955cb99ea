use alexnet_ops::math::{exp, ln};
use serde::{Deserialize, Serialize};

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

#[cfg(test)]
mod tests {
    use super::*;

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
