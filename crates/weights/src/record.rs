//! Reads Burn's records: this project's own checkpoints and `weights.bpk`, whose layers are split into towers.

use std::collections::BTreeMap;
use std::path::Path;

use burn_pack::Reader;

use crate::tensors::{Budget, Kind, joined, problem, transpose};
use crate::{Tensor, Weights, WeightsError};

/// The first bytes of the file.
pub(crate) const MAGIC: [u8; 4] = *b"NRUB";

/// Reads a record. Parts such as `conv.0.towers.1.weight` are joined to whole layers, `conv.0.weight`.
pub(crate) fn read(path: &Path, bytes: Vec<u8>) -> Result<Weights, WeightsError> {
    let mut budget = Budget::of(bytes.len() as u64);
    let reader = Reader::from_bytes(burn_pack::Bytes::from_bytes_vec(bytes));
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
                "norm.gamma" | "group.gamma" => "gain",
                "norm.beta" | "group.beta" => "shift",
                "norm.running_mean" => "running_mean",
                "norm.running_var" => "running_variance",
                other => other,
            };
            Some((format!("{layer}.{kind}"), tower.parse().ok()?))
        });
        let (whole, tower): (String, usize) =
            place.ok_or_else(|| error("is no parameter of a network of this project's"))?;
        budget.spend(&name, bytes.len())?;
        let mut tensor = Tensor { shape: shape.to_vec(), values: kind.read(&bytes) };
        let count = tensor.shape.iter().try_fold(1usize, |all, extent| all.checked_mul(*extent));
        if tensor.shape.is_empty() || tensor.values.is_empty() || count != Some(tensor.values.len()) {
            return Err(error("has no numbers, or another number of them than its shape"));
        }
        // Converted to units by inputs, as in every other file.
        if let ([inputs, units], true) = (&tensor.shape[..], whole.starts_with("fc.")) {
            tensor = Tensor { shape: vec![*units, *inputs], values: transpose(&tensor.values, *units) };
        }
        parts.entry(whole).or_default().insert(tower, tensor);
    }
    Ok(Weights { tensors: joined(parts)?, ..Weights::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encodes a number in CBOR as the head of a value of this kind.
    fn head(kind: u8, number: u64) -> Vec<u8> {
        [&[kind << 5 | 27][..], &number.to_be_bytes()].concat()
    }

    fn text(text: &str) -> Vec<u8> {
        [head(3, text.len() as u64), text.as_bytes().to_vec()].concat()
    }

    fn list(numbers: &[u64]) -> Vec<u8> {
        [head(4, numbers.len() as u64), numbers.iter().flat_map(|number| head(0, *number)).collect()].concat()
    }

    /// Packs a record of tensors of f32, all of which begin with the file's first number.
    fn pack(tensors: &[(String, Vec<u64>)], numbers: usize) -> Vec<u8> {
        let descriptor = |(name, shape): &(String, Vec<u64>)| {
            let bytes = 4 * shape.iter().fold(1u64, |all, extent| all.wrapping_mul(*extent));
            let about = [text("dtype"), text("F32"), text("shape"), list(shape)].concat();
            [text(name), head(5, 3), about, text("data_offsets"), list(&[0, bytes])].concat()
        };
        let count = head(5, tensors.len() as u64);
        let descriptors: Vec<u8> = tensors.iter().flat_map(descriptor).collect();
        let about = [head(5, 1), text("tensors"), count, descriptors].concat();
        let mut file = [&MAGIC[..], &[1, 0], &(about.len() as u32).to_le_bytes(), &about].concat();
        file.resize(file.len().next_multiple_of(256) + 4 * numbers, 0);
        file
    }

    fn read_towers(shapes: &[&[u64]], numbers: usize) -> Result<Weights, WeightsError> {
        let named = |(at, shape): (usize, &&[u64])| (format!("conv.0.towers.{at}.weight"), shape.to_vec());
        let tensors: Vec<_> = shapes.iter().enumerate().map(named).collect();
        read(Path::new("a.bpk"), pack(&tensors, numbers))
    }

    #[test]
    fn towers_become_one_layer() {
        let read = read_towers(&[&[2, 3], &[1, 3]], 6).unwrap();
        assert_eq!(read.tensors["conv.0.weight"], Tensor { shape: vec![3, 3], values: vec![0.0; 9] });
    }

    #[test]
    fn tensors_in_the_same_bytes_may_not_take_much_more_than_the_file() {
        let error = read_towers(&[&[100_000][..]; 100], 100_000).map(drop).unwrap_err().to_string();
        assert!(error.starts_with("tensor `conv.0.towers.") && error.contains("out of a file of"), "{error}");
    }

    #[test]
    fn extents_without_numbers_are_an_error() {
        let error = read_towers(&[&[u64::MAX, 0], &[u64::MAX, 0]], 6).map(drop).unwrap_err().to_string();
        assert!(error.contains("has no numbers"), "{error}");
    }
}
