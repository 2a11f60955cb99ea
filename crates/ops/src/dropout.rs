use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::rand_core::Rng;

use crate::Key;

/// A dropout mask: one row of ones (kept) and zeros (dropped) for each sample.
///
/// Each row is a function of its key, the layer's name and nothing else, so a mask does not depend
/// on the backend, on other draws, or on how samples are put into batches.
///
/// # Shapes
/// Output: `[keys.len(), units]`.
///
/// # Source
/// Krizhevsky et al. 2012, §4.2.
pub fn dropout_mask(keys: &[Key], layer: &str, units: usize, drop: f64, device: &Device) -> Tensor<2> {
    let threshold = (drop * (1u64 << 32) as f64) as u64;
    let mut mask = Vec::with_capacity(keys.len() * units);
    for key in keys {
        let mut rng = key.with_purpose(layer).rng();
        mask.extend((0..units).map(|_| f32::from(u8::from(u64::from(rng.next_u32()) >= threshold))));
    }
    Tensor::from_data(TensorData::new(mask, [keys.len(), units]), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{device, values};

    #[test]
    fn drops_the_stated_share_and_repeats() {
        let keys: Vec<Key> = (0..50).map(|sample| Key::new([7, 1, sample, 0])).collect();
        for drop in [0.0, 0.2, 0.5] {
            let mask = values(dropout_mask(&keys, "fc6", 400, drop, &device()));
            let kept = mask.iter().sum::<f32>() / mask.len() as f32;
            // 20,000 draws: six standard deviations are 0.021.
            assert!((f64::from(kept) - (1.0 - drop)).abs() < 0.022, "{drop}: kept {kept}");
            assert_eq!(mask, values(dropout_mask(&keys, "fc6", 400, drop, &device())));
        }
        let fc6 = values(dropout_mask(&keys, "fc6", 400, 0.5, &device()));
        assert_ne!(fc6, values(dropout_mask(&keys, "fc7", 400, 0.5, &device())));
        // A sample's row does not depend on the batch around it.
        assert_eq!(fc6[400..800], values(dropout_mask(&keys[1..2], "fc6", 400, 0.5, &device())));
    }
}
