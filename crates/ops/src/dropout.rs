use std::sync::{Arc, OnceLock};

use crate::threads::*;
use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::rand_core::Rng;

use crate::Key;

/// The features that dropout keeps in each sample (Krizhevsky et al. 2012, §4.2).
///
/// Each sample's row depends only on its key and the layer's name. It does not depend on the backend, on
/// other draws, or on how samples are batched.
#[derive(Debug, Clone)]
pub struct DropoutMask {
    keys: Arc<[Key]>,
    features: usize,
    threshold: u32,
    gain: f32,
    /// One bit a feature, row by row; each row takes whole words. GPU backends draw their own.
    bits: Arc<OnceLock<Vec<u64>>>,
}

impl DropoutMask {
    /// Draws a mask with one row per key. `drop` is the share of features to drop; kept features are
    /// multiplied by `gain`.
    pub fn draw(keys: &[Key], layer: &str, features: usize, drop: f64, gain: f64) -> Self {
        Self {
            keys: keys.iter().map(|key| key.with_purpose(layer)).collect(),
            features,
            threshold: (drop * (1u64 << 32) as f64) as u32,
            gain: gain as f32,
            bits: Arc::default(),
        }
    }

    /// The factor that multiplies features that dropout keeps.
    pub fn gain(&self) -> f32 {
        self.gain
    }

    /// The key of each row's stream. A feature is kept if its number in the stream is at least [`threshold`](Self::threshold).
    #[cfg(feature = "gpu")]
    pub(crate) fn keys(&self) -> &[Key] {
        &self.keys
    }

    #[cfg(feature = "gpu")]
    pub(crate) fn threshold(&self) -> u32 {
        self.threshold
    }

    /// The factor of each feature of a sample: the gain, or zero.
    pub fn factors(&self, sample: usize) -> impl Iterator<Item = f32> {
        let words = self.features.div_ceil(64);
        let row = &self.bits.get_or_init(|| self.drawn())[sample * words..][..words];
        (0..self.features).map(move |at| if row[at / 64] >> (at % 64) & 1 == 1 { self.gain } else { 0.0 })
    }

    fn drawn(&self) -> Vec<u64> {
        let words = self.features.div_ceil(64);
        let mut bits = vec![0; self.keys.len() * words];
        bits.par_chunks_exact_mut(words.max(1)).zip(&self.keys[..]).for_each(|(row, key)| {
            let mut rng = key.rng();
            for feature in 0..self.features {
                let kept = rng.next_u32() >= self.threshold;
                row[feature / 64] |= u64::from(kept) << (feature % 64);
            }
        });
        bits
    }

    /// The factors as a tensor.
    ///
    /// # Shapes
    /// Output: `[samples, features]`.
    pub fn to_tensor(&self, device: &Device) -> Tensor<2> {
        let mut factors = vec![0.0; self.keys.len() * self.features];
        factors.par_chunks_exact_mut(self.features.max(1)).enumerate().for_each(|(sample, row)| {
            row.iter_mut().zip(self.factors(sample)).for_each(|(to, factor)| *to = factor);
        });
        Tensor::from_data(TensorData::new(factors, [self.keys.len(), self.features]), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(mask: &DropoutMask) -> Vec<f32> {
        (0..mask.keys.len()).flat_map(|sample| mask.factors(sample)).collect()
    }

    #[test]
    fn drops_the_stated_share_and_repeats() {
        let keys: Vec<Key> = (0..50).map(|sample| Key::new([7, 1, sample, 0])).collect();
        for drop in [0.0, 0.2, 0.5] {
            let mask = factors(&DropoutMask::draw(&keys, "fc6", 400, drop, 2.0));
            assert!(mask.iter().all(|factor| [0.0, 2.0].contains(factor)));
            let kept = mask.iter().sum::<f32>() / 2.0 / mask.len() as f32;
            // 20,000 draws; six standard deviations are 0.021.
            assert!((f64::from(kept) - (1.0 - drop)).abs() < 0.022, "{drop}: kept {kept}");
            assert_eq!(mask, factors(&DropoutMask::draw(&keys, "fc6", 400, drop, 2.0)));
        }
        let fc6 = factors(&DropoutMask::draw(&keys, "fc6", 400, 0.5, 1.0));
        assert_ne!(fc6, factors(&DropoutMask::draw(&keys, "fc7", 400, 0.5, 1.0)));
        // A sample's row does not depend on the batch around it.
        assert_eq!(fc6[400..800], factors(&DropoutMask::draw(&keys[1..2], "fc6", 400, 0.5, 1.0)));
    }
}
