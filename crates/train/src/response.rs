use alexnet_data::Loader;
use alexnet_model::{Mode, Stage};
use alexnet_ops::lrn_scale;
use burn::data::dataloader::DataLoader;
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::classifier::{Classifier, to_host};

/// How strongly an LRN layer responded: quantiles of `alpha · S / k` over all its inputs for some validation
/// images, where S is the (mean) sum of squares. If it is far below 1, the layer is only a constant gain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LrnResponse {
    /// The layer that the LRN follows.
    pub layer: String,
    /// The median.
    pub median: f64,
    /// The 95th percentile.
    pub percentile_95: f64,
}

impl LrnResponse {
    /// Returns whether the layer was a constant gain to within 5 %: at beta 0.75, `alpha · S / k` stays below
    /// 0.07 for 95 % of the inputs.
    pub fn acted_as_constant(&self) -> bool {
        self.percentile_95 < 0.07
    }
}

/// Computes the responses of every LRN layer to the first batch of `loader`.
pub(crate) fn responses(model: &Classifier, loader: &Loader) -> Result<Vec<LrnResponse>, TrainError> {
    let Some(batch) = loader.iter().next() else {
        return Ok(Vec::new());
    };
    let batch = batch?;
    let mut layers: Vec<(String, Vec<f32>)> = Vec::new();
    model.network().forward_observed(batch.images, Mode::Evaluation, &mut |place, maps| {
        let Some(Stage::Lrn(lrn)) = place.next else { return maps };
        let values = to_host(lrn_scale(maps.clone(), lrn).div_scalar(lrn.k));
        match layers.last_mut() {
            Some((name, all)) if name == place.layer => all.extend(values),
            _ => layers.push((place.layer.to_owned(), values)),
        }
        maps
    });
    let quantile =
        |sorted: &[f32], share: f64| f64::from(sorted[((sorted.len() - 1) as f64 * share) as usize]);
    Ok(layers
        .into_iter()
        .map(|(layer, mut values)| {
            values.sort_unstable_by(f32::total_cmp);
            LrnResponse { layer, median: quantile(&values, 0.5), percentile_95: quantile(&values, 0.95) }
        })
        .collect())
}
