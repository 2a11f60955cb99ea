//! Burn's records: this project's own checkpoints and `weights.bpk`, whose layers are cut into towers.

use std::collections::BTreeMap;
use std::path::Path;

use burn_pack::Reader;

use crate::file::{Kind, problem, transpose};
use crate::{Tensor, Weights, WeightsError};

/// What the file begins with.
pub(crate) const MAGIC: [u8; 4] = *b"NRUB";

/// Reads a record: `conv.0.towers.1.weight` and so on become whole layers, `conv.0.weight`.
pub(crate) fn read(path: &Path, bytes: Vec<u8>) -> Result<Weights, WeightsError> {
    let reader = Reader::from_bytes(burn::tensor::Bytes::from_bytes_vec(bytes));
    let tensors = reader.and_then(Reader::into_tensors).map_err(|error| problem(path, error))?;
    // By layer and tower.
    let mut parts: BTreeMap<String, BTreeMap<usize, Tensor>> = BTreeMap::new();
    for tensor in tensors {
        let parted = tensor.into_parts().map_err(|error| problem(path, error))?;
        let (name, dtype, shape, _, bytes) = parted;
        let error =
            |problem: &str| WeightsError::Tensor { tensor: name.clone(), problem: problem.to_owned() };
        let kind = Kind::of_burn(dtype).ok_or_else(|| error("holds no floating-point numbers"))?;
        let path = name.strip_prefix("network.").unwrap_or(&name);
        let place = path.split_once(".towers.").and_then(|(layer, rest)| {
            let (tower, kind) = rest.split_once('.')?;
            let kind = match kind {
                "norm.gamma" => "gain",
                "norm.beta" => "shift",
                "norm.running_mean" => "running_mean",
                "norm.running_var" => "running_variance",
                other => other,
            };
            Some((format!("{layer}.{kind}"), tower.parse().ok()?))
        });
        let (whole, tower): (String, usize) =
            place.ok_or_else(|| error("is no parameter of a network of this project's"))?;
        let mut tensor = Tensor { shape: shape.to_vec(), values: kind.read(&bytes) };
        let count = tensor.shape.iter().try_fold(1usize, |all, extent| all.checked_mul(*extent));
        if tensor.shape.is_empty() || count != Some(tensor.values.len()) {
            return Err(error("has another number of numbers than its shape"));
        }
        // Units by inputs, as every other file has it.
        if let ([inputs, units], true) = (&tensor.shape[..], whole.starts_with("fc.")) {
            tensor = Tensor { shape: vec![*units, *inputs], values: transpose(&tensor.values, *units) };
        }
        parts.entry(whole).or_default().insert(tower, tensor);
    }
    let mut tensors = BTreeMap::new();
    for (name, towers) in parts {
        let error =
            |problem: &str| WeightsError::Tensor { tensor: name.clone(), problem: problem.to_owned() };
        let mut whole: Option<Tensor> = None;
        for (at, (number, tower)) in towers.into_iter().enumerate() {
            match &mut whole {
                _ if number != at => return Err(error("lacks a tower")),
                None => whole = Some(tower),
                Some(whole) if whole.shape.get(1..) == tower.shape.get(1..) => {
                    whole.shape[0] += tower.shape[0];
                    whole.values.extend(tower.values);
                }
                Some(_) => return Err(error("has towers of different shapes")),
            }
        }
        tensors.extend(whole.map(|whole| (name, whole)));
    }
    Ok(Weights { tensors, ..Weights::default() })
}
