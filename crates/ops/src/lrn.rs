use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// What `alpha` multiplies. The two differ by a factor of `size`, and both are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlphaConvention {
    /// The sum of squares over the window: the formula of Krizhevsky et al. 2012, §3.3.
    Sum,
    /// Their mean, the sum divided by `size`: Caffe, PyTorch, and the authors' own code.
    Mean,
}

/// The constants of a local response normalization (Krizhevsky et al. 2012, §3.3).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lrn {
    /// `n`, the number of adjacent channels in a window.
    pub size: usize,
    /// `alpha`, in the convention that `convention` names. Zero leaves only the gain `k^-beta`.
    pub alpha: f64,
    /// `beta`, the exponent.
    pub beta: f64,
    /// `k`, added to the scaled sum.
    pub k: f64,
    /// What `alpha` multiplies.
    pub convention: AlphaConvention,
}

impl Lrn {
    /// The coefficient of the plain sum of squares.
    pub(crate) fn coefficient(&self) -> f64 {
        match self.convention {
            AlphaConvention::Sum => self.alpha,
            AlphaConvention::Mean => self.alpha / self.size as f64,
        }
    }
}

/// Local response normalization across channels.
///
/// ```text
/// b[c] = a[c] / (k + alpha · Σ a[j]²)^beta
/// ```
/// where `j` runs over `size` channels around `c`, clipped at the first and last. For an even
/// `size` the extra channel is the lower one, as in PyTorch and the authors' code.
///
/// # Shapes
/// Input and output: `[batch, channels, height, width]`.
///
/// # Source
/// Krizhevsky et al. 2012, §3.3; see [`AlphaConvention`] for what `alpha` multiplies.
pub fn lrn(maps: Tensor<4>, lrn: &Lrn) -> Tensor<4> {
    if lrn.coefficient() == 0.0 {
        return maps.mul_scalar(lrn.k.powf(-lrn.beta));
    }
    #[cfg(feature = "flex")]
    if crate::flex::takes(&maps) {
        return crate::flex::lrn(maps, lrn);
    }
    crate::composed::lrn(maps, lrn)
}

/// `alpha · Σ a[j]²`: what is added to `k` in [`lrn`]. Where it stays small against `k`, LRN is a
/// constant gain.
///
/// # Shapes
/// Input and output: `[batch, channels, height, width]`.
pub fn lrn_scale(maps: Tensor<4>, lrn: &Lrn) -> Tensor<4> {
    let [batch, channels, height, width] = maps.dims();
    let below = lrn.size / 2;
    let zeros = |count| Tensor::<4>::zeros([batch, count, height, width], &maps.device());
    let squares = maps.clone().square().mul_scalar(lrn.coefficient());
    let above = lrn.size - 1 - below;
    let padded = [(below > 0).then(|| zeros(below)), Some(squares), (above > 0).then(|| zeros(above))];
    let padded = Tensor::cat(padded.into_iter().flatten().collect(), 1);
    (0..lrn.size)
        .map(|offset| padded.clone().narrow(1, offset, channels))
        .reduce(|sum, window| sum + window)
        .expect("an LRN window has at least one channel")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{device, values};
    use burn::tensor::TensorData;

    /// §3.3 written as a loop, in f64.
    fn by_the_formula(maps: &[f32], [batch, channels, pixels]: [usize; 3], lrn: &Lrn) -> Vec<f32> {
        let mut out = vec![0.0; maps.len()];
        for image in 0..batch {
            for pixel in 0..pixels {
                let at = |channel: usize| f64::from(maps[(image * channels + channel) * pixels + pixel]);
                for channel in 0..channels {
                    let first = channel.saturating_sub(lrn.size / 2);
                    let last = (channel + lrn.size - lrn.size / 2).min(channels);
                    let sum: f64 = (first..last).map(|j| at(j) * at(j)).sum();
                    let alpha = match lrn.convention {
                        AlphaConvention::Sum => lrn.alpha,
                        AlphaConvention::Mean => lrn.alpha / lrn.size as f64,
                    };
                    let value = at(channel) / (lrn.k + alpha * sum).powf(lrn.beta);
                    out[(image * channels + channel) * pixels + pixel] = value as f32;
                }
            }
        }
        out
    }

    #[test]
    fn agrees_with_the_formula_where_every_constant_matters() {
        let shape = [2, 7, 6];
        // Values in the tens, so that alpha · S is of the order of k.
        let maps: Vec<f32> = (0..84).map(|i| ((i * 37 % 83) as f32 - 41.0) * 1.3).collect();
        for size in 1..=9 {
            for (alpha, beta, k) in [(1e-4, 0.75, 2.0), (5e-4, 0.75, 1.0), (1.0, 0.5, 0.5), (0.0, 0.75, 2.0)]
            {
                for convention in [AlphaConvention::Sum, AlphaConvention::Mean] {
                    let config = Lrn { size, alpha, beta, k, convention };
                    let tensor =
                        Tensor::<4>::from_data(TensorData::new(maps.clone(), [2, 7, 2, 3]), &device());
                    let ours = values(lrn(tensor, &config));
                    for (a, b) in ours.iter().zip(by_the_formula(&maps, shape, &config)) {
                        // A sum of nine squares and a power: a few roundings of f32.
                        assert!((a - b).abs() <= 2e-6 * b.abs() + 1e-6, "{config:?}: {a} is not {b}");
                    }
                }
            }
        }
    }
}
