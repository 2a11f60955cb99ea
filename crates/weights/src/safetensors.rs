//! Reads and writes safetensors: a JSON header, then numbers. This project's metadata is one entry of the header.

use std::collections::BTreeMap;
use std::path::Path;

use ::safetensors::tensor::TensorView;
use ::safetensors::{Dtype, SafeTensorError, SafeTensors, serialize};

use half::f16;

use crate::tensors::{Kind, named, problem, shortened};
use crate::{Tensor, Weights, WeightsError};

/// The single entry that holds this project's metadata. Entries of a file have no order, so one entry ensures that
/// the same weights give the same bytes.
const METADATA: &str = "alexnet-burn";

/// A misplaced tensor is named if the header has at most this many bytes.
const NAMED: usize = 1 << 20;

/// Reads the bytes of a file.
pub(crate) fn read(path: &Path, bytes: &[u8]) -> Result<Weights, WeightsError> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| misplaced(bytes).unwrap_or_else(|| problem(path, error)))?;
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| problem(path, error))?;
    // The meaning of other programs' entries is unknown.
    let ours = header.metadata().as_ref().and_then(|entries| entries.get(METADATA));
    let metadata = ours.map_or_else(|| Ok(BTreeMap::new()), |ours| serde_json::from_str(ours));
    let metadata = metadata.map_err(|error| problem(path, format!("the metadata `{METADATA}`: {error}")))?;
    let mut weights = Weights { metadata, ..Weights::default() };
    for (name, view) in named(file.tensors())? {
        let kind = match view.dtype() {
            Dtype::F64 => Kind::F64,
            Dtype::F32 => Kind::F32,
            Dtype::F16 => Kind::F16,
            Dtype::BF16 => Kind::Bf16,
            other => {
                weights.left_out.insert(name, format!("{other:?}"));
                continue;
            }
        };
        let tensor = Tensor { shape: view.shape().to_vec(), values: kind.read(view.data()) };
        weights.tensors.insert(name, tensor);
    }
    Ok(weights)
}

/// Returns the bytes of a file of 32-bit or 16-bit numbers.
pub(crate) fn write(weights: &Weights, half: bool) -> Result<Vec<u8>, WeightsError> {
    let bytes = |values: &[f32]| -> Vec<u8> {
        match half {
            true => values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
            false => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    };
    let bytes: Vec<(&String, &Tensor, Vec<u8>)> =
        weights.tensors.iter().map(|(name, tensor)| (name, tensor, bytes(&tensor.values))).collect();
    let views = bytes.iter().map(|(name, tensor, bytes)| {
        let dtype = if half { Dtype::F16 } else { Dtype::F32 };
        let view = TensorView::new(dtype, tensor.shape.clone(), bytes);
        let wrong = |error: SafeTensorError| WeightsError::Tensor {
            tensor: (*name).clone(),
            problem: error.to_string(),
        };
        view.map(|view| (name.as_str(), view)).map_err(wrong)
    });
    let views = views.collect::<Result<Vec<_>, _>>()?;
    let metadata = (!weights.metadata.is_empty()).then(|| {
        let text = serde_json::to_string(&weights.metadata).expect("texts");
        [(METADATA.to_owned(), text)].into()
    });
    Ok(serialize(views, metadata).expect("views that were checked"))
}

/// Returns the first tensor of a safetensors file that is not where its header says.
fn misplaced(bytes: &[u8]) -> Option<WeightsError> {
    let length = usize::try_from(u64::from_le_bytes(*bytes.first_chunk()?)).ok()?;
    if length > NAMED {
        return None;
    }
    let header = bytes.get(8..8 + length)?;
    let header: BTreeMap<String, serde_json::Value> = serde_json::from_slice(header).ok()?;
    header.into_iter().filter(|(name, _)| name != "__metadata__").find_map(|(tensor, about)| {
        let number = |value: &serde_json::Value| usize::try_from(value.as_u64()?).ok();
        let ends: Option<Vec<usize>> = about["data_offsets"].as_array()?.iter().map(number).collect();
        let shape: Option<Vec<usize>> = about["shape"].as_array()?.iter().map(number).collect();
        let there = bytes.len() - 8 - length;
        let (problem, shown) = (
            |problem: String| {
                Some(WeightsError::Tensor { tensor: tensor.clone(), problem: shortened(&problem) })
            },
            &about["shape"],
        );
        let (Some(&[begin, end]), Some(shape)) = (ends.as_deref(), shape) else {
            return problem(format!("has a shape of {shown} at {}", about["data_offsets"]));
        };
        let bits = match about["dtype"].as_str()? {
            "F64" | "I64" | "U64" => 64,
            "F32" | "I32" | "U32" => 32,
            "F16" | "BF16" | "I16" | "U16" => 16,
            _ => return None,
        };
        let needed = shape.iter().try_fold(bits / 8, |all: usize, extent| all.checked_mul(*extent));
        match end.checked_sub(begin) {
            Some(found) if Some(found) == needed && end <= there => None,
            Some(found) if Some(found) == needed => {
                problem(format!("ends at byte {end}, and the file has {there} after its header"))
            }
            _ => problem(format!("has a shape of {shown}, which its bytes {begin} to {end} do not hold")),
        }
    })
}
