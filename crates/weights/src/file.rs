use std::collections::BTreeMap;
use std::path::Path;

use half::{bf16, f16};
use pytorch_reader::PytorchReader;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use crate::{WeightsError, caffe, pickle, record};

/// A tensor of a file, in f32.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// Row after row.
    pub values: Vec<f32>,
}

/// The tensors of a file by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Weights {
    /// The tensors.
    pub tensors: BTreeMap<String, Tensor>,
    /// What else the file says: of Caffe's, `format` and the net's `name`; of safetensors, what this project wrote into it.
    pub metadata: BTreeMap<String, String>,
    /// What tensors hold that were left out, because it is no floating-point numbers, by name.
    pub left_out: BTreeMap<String, String>,
}

/// The one entry under which this project's metadata is written, so that the same weights give the same bytes: a file's entries
/// have no order.
const METADATA: &str = "alexnet-burn";

/// Under which a training checkpoint of PyTorch's has the weights, beside the optimizer's state.
const ROOTS: [&str; 3] = ["state_dict.", "model_state_dict.", "model."];

/// What names begin with where a module was part of another, or was wrapped or compiled.
const WRAPPERS: [&str; 6] = ["module.", "_orig_mod.", "model.", "net.", "network.", "alexnet."];

/// What is in the middle of names where a part of a module was wrapped for several devices, as PyTorch's own example does with
/// AlexNet's `features`.
const WRAPPED: &str = ".module.";

/// What to do where a file of PyTorch's holds something else.
const STATE_DICT: &str = " (of PyTorch, what `torch.save(model.state_dict(), …)` writes is read)";

/// Tensors of a PyTorch file may lie in the same bytes, but not so often that they take this much more than the file.
const REUSE: u64 = 4;

/// How a number is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    F64,
    F32,
    F16,
    Bf16,
}

impl Kind {
    pub(crate) fn of_burn(dtype: burn::tensor::DType) -> Option<Self> {
        use burn::tensor::DType;
        Some(match dtype {
            DType::F64 => Self::F64,
            DType::F32 | DType::Flex32 => Self::F32,
            DType::F16 => Self::F16,
            DType::BF16 => Self::Bf16,
            _ => return None,
        })
    }

    pub(crate) fn read(self, bytes: &[u8]) -> Vec<f32> {
        fn each<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f32) -> Vec<f32> {
            bytes.as_chunks::<N>().0.iter().map(|bytes| read(*bytes)).collect()
        }
        match self {
            Self::F64 => each(bytes, |bytes| f64::from_le_bytes(bytes) as f32),
            Self::F32 => each(bytes, f32::from_le_bytes),
            Self::F16 => each(bytes, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Self::Bf16 => each(bytes, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        }
    }
}

impl Weights {
    /// Reads a file of PyTorch, safetensors, Caffe or this project, told apart by what is in it.
    ///
    /// A pickle is data here: names, shapes and where the numbers are. Tensors that hold no
    /// floating-point numbers, such as counters, are left out.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged or is none of these.
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        use std::io::Read;
        if std::fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
            return Err(problem(
                path,
                "is no file; what is piped cannot be read twice, so write it into one first",
            ));
        }
        let io = |source| WeightsError::Io { path: path.to_owned(), source };
        let mut start = Vec::new();
        std::fs::File::open(path).map_err(io)?.take(9).read_to_end(&mut start).map_err(io)?;
        let weights = match start.as_slice() {
            // The length of a header in JSON, less than 4 GB, comes first: its lowest byte may be any of those below.
            [_, _, _, _, 0, 0, 0, 0, b'{'] => safetensors(path, &std::fs::read(path).map_err(io)?),
            // A zip archive, or a bare pickle.
            [b'P', b'K', ..] | [0x80, ..] => pytorch(path),
            [a, b, c, d, ..] if [*a, *b, *c, *d] == record::MAGIC => {
                record::read(path, std::fs::read(path).map_err(io)?)
            }
            // The name of a net, or its first layer in either form: Caffe's files begin with nothing else.
            [0x0a | 0x12 | 0x1a | 0xa2, ..] => caffe::read(path, &std::fs::read(path).map_err(io)?),
            _ => Err(problem(path, "neither PyTorch's, safetensors, Caffe's nor this project's")),
        }?;
        match weights.tensors.is_empty() {
            true => Err(problem(path, format!("holds no tensors of floating-point numbers{STATE_DICT}"))),
            false => Ok(weights),
        }
    }

    /// The bytes of a file of safetensors.
    ///
    /// # Errors
    /// If a tensor has more or fewer numbers than its shape says.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WeightsError> {
        let bytes: Vec<(&String, &Tensor, Vec<u8>)> = self
            .tensors
            .iter()
            .map(|(name, tensor)| {
                (name, tensor, tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect())
            })
            .collect();
        let views = bytes.iter().map(|(name, tensor, bytes)| {
            let view = TensorView::new(safetensors::Dtype::F32, tensor.shape.clone(), bytes);
            let wrong = |error: safetensors::SafeTensorError| WeightsError::Tensor {
                tensor: (*name).clone(),
                problem: error.to_string(),
            };
            view.map(|view| (name.as_str(), view)).map_err(wrong)
        });
        let views = views.collect::<Result<Vec<_>, _>>()?;
        let metadata = (!self.metadata.is_empty()).then(|| {
            let text = serde_json::to_string(&self.metadata).expect("texts");
            [(METADATA.to_owned(), text)].into()
        });
        Ok(safetensors::serialize(views, metadata).expect("views that were checked"))
    }
}

/// `[rows, columns]` to `[columns, rows]`.
pub(crate) fn transpose(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len() / columns.max(1);
    (0..values.len()).map(|at| values[at % rows * columns + at / rows]).collect()
}

pub(crate) fn problem(path: &Path, problem: impl std::fmt::Display) -> WeightsError {
    let problem = problem.to_string().replace(char::is_control, " ");
    WeightsError::File { path: path.to_owned(), problem }
}

/// A file's tensors under the names that a network has for them.
fn named<T>(tensors: impl IntoIterator<Item = (String, T)>) -> Result<BTreeMap<String, T>, WeightsError> {
    let mut tensors: Vec<(String, T)> = tensors.into_iter().collect();
    let has = |root: &&str| tensors.iter().any(|(name, _)| name.starts_with(root));
    if let Some(root) = ROOTS.iter().copied().find(has) {
        tensors.retain_mut(|(name, _)| {
            let inside = name.strip_prefix(root).map(str::to_owned);
            inside.map(|inside| *name = inside).is_some()
        });
    }
    let mut named = BTreeMap::new();
    for (name, tensor) in tensors {
        let mut inner = name.as_str();
        while let Some(rest) = WRAPPERS.iter().find_map(|wrapper| inner.strip_prefix(wrapper)) {
            inner = rest;
        }
        let name = inner.replace(WRAPPED, ".");
        if named.insert(name.clone(), tensor).is_some() {
            return Err(WeightsError::Tensor { tensor: name, problem: "is there twice".to_owned() });
        }
    }
    Ok(named)
}

fn pytorch(path: &Path) -> Result<Weights, WeightsError> {
    use pytorch_reader::DType;
    let io = |source| WeightsError::Io { path: path.to_owned(), source };
    let size = std::fs::metadata(path).map_err(io)?.len();
    let reader = PytorchReader::new(path).map_err(|error| match pickle::misplaced(path) {
        Some((tensor, problem)) => WeightsError::Tensor { tensor, problem },
        None => problem(path, format!("{error}{STATE_DICT}")),
    })?;
    let (mut weights, mut bytes) = (Weights::default(), 0usize);
    for (name, tensor) in named(reader.into_tensors())? {
        let kind = match tensor.dtype() {
            DType::F64 => Kind::F64,
            DType::F32 => Kind::F32,
            DType::F16 => Kind::F16,
            DType::BF16 => Kind::Bf16,
            other => {
                weights.left_out.insert(name, format!("{other:?}"));
                continue;
            }
        };
        bytes = tensor.byte_len().saturating_add(bytes);
        if bytes as u64 > REUSE.saturating_mul(size) {
            let problem = format!("would have read {bytes} bytes by now, out of a file of {size}");
            return Err(WeightsError::Tensor { tensor: name, problem });
        }
        let read = tensor.read().map_err(|error| problem(path, error))?;
        weights.tensors.insert(name, Tensor { shape: tensor.shape().to_vec(), values: kind.read(&read) });
    }
    Ok(weights)
}

/// The first tensor of a file of safetensors that is not where its header says.
fn misplaced(bytes: &[u8]) -> Option<WeightsError> {
    let length = usize::try_from(u64::from_le_bytes(*bytes.first_chunk()?)).ok()?;
    let header = bytes.get(8..length.checked_add(8)?)?;
    let header: BTreeMap<String, serde_json::Value> = serde_json::from_slice(header).ok()?;
    header.into_iter().filter(|(name, _)| name != "__metadata__").find_map(|(tensor, about)| {
        let number = |value: &serde_json::Value| usize::try_from(value.as_u64()?).ok();
        let ends: Option<Vec<usize>> = about["data_offsets"].as_array()?.iter().map(number).collect();
        let shape: Option<Vec<usize>> = about["shape"].as_array()?.iter().map(number).collect();
        let there = bytes.len() - 8 - length;
        let (problem, shown) = (
            |problem: String| Some(WeightsError::Tensor { tensor: tensor.clone(), problem }),
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

fn safetensors(path: &Path, bytes: &[u8]) -> Result<Weights, WeightsError> {
    use safetensors::Dtype;
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| misplaced(bytes).unwrap_or_else(|| problem(path, error)))?;
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| problem(path, error))?;
    // Of others' entries nobody knows what they mean.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn weights() -> Weights {
        let values = vec![1.0, -0.0, f32::MIN_POSITIVE, 3.4e38, 1.0 / 3.0, f32::INFINITY];
        let tensors = [("a", vec![2, 3], values), ("b.c", vec![1], vec![7.0])];
        let tensors =
            tensors.into_iter().map(|(name, shape, values)| (name.to_owned(), Tensor { shape, values }));
        let metadata =
            ["network", "preprocessing", "classes"].map(|key| (key.to_owned(), "x".to_owned())).into();
        Weights { tensors: tensors.collect(), metadata, ..Weights::default() }
    }

    #[test]
    fn what_is_written_is_read_to_the_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        std::fs::write(&path, weights().to_bytes().unwrap()).unwrap();
        assert_eq!(Weights::read(&path).unwrap(), weights());
        assert_eq!(weights().to_bytes().unwrap(), weights().to_bytes().unwrap());
        let mut wrong = weights();
        wrong.tensors.values_mut().next().unwrap().values.pop();
        assert!(wrong.to_bytes().is_err());
    }

    #[test]
    fn names_are_freed_of_what_training_puts_before_them() {
        let names = |names: &[&str]| {
            named(names.iter().map(|&name| (name.to_owned(), ()))).map(|named| named.into_keys().collect())
        };
        let found: Vec<String> = names(&["module.a.weight", "b.bias"]).unwrap();
        assert_eq!(found, ["a.weight", "b.bias"]);
        let found = names(&["state_dict.module.a.weight", "optimizer.state.0.exp_avg"]).unwrap();
        assert_eq!(found, ["a.weight"]);
        let found =
            names(&["state_dict.model._orig_mod.features.module.0.bias", "hyper_parameters.a"]).unwrap();
        assert_eq!(found, ["features.0.bias"]);
        assert_eq!(names(&["module.a", "a"]).unwrap_err().to_string(), "tensor `a`: is there twice");
    }

    #[test]
    fn a_header_of_any_length_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        // Lengths are rounded to eight; 0x80 is what a pickle begins with, 0x50 a zip.
        for more in (0..256).step_by(8) {
            let mut weights = weights();
            weights.metadata.insert("name".to_owned(), "x".repeat(more));
            std::fs::write(&path, weights.to_bytes().unwrap()).unwrap();
            assert_eq!(Weights::read(&path).unwrap(), weights);
        }
    }

    #[test]
    fn a_header_that_is_not_so_names_the_tensor() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let good = Weights { metadata: BTreeMap::new(), ..weights() }.to_bytes().unwrap();
        let message = |from: &str, to: &str| {
            let text: Vec<u8> = String::from_utf8_lossy(&good[8..]).bytes().take(good[0].into()).collect();
            let header = String::from_utf8(text).unwrap().replacen(from, to, 1);
            assert_eq!(header.len(), usize::from(good[0]), "{header}");
            std::fs::write(&path, [&good[..8], header.as_bytes(), &good[8 + header.len()..]].concat())
                .unwrap();
            Weights::read(&path).unwrap_err().to_string()
        };
        let found = message("[2,3]", "[2,4]");
        assert!(found.starts_with("tensor `a`: has a shape of [2,4], which its bytes"), "{found}");
        std::fs::write(&path, &good[..good.len() - 1]).unwrap();
        let found = Weights::read(&path).unwrap_err().to_string();
        assert!(found.contains("after its header") && found.starts_with("tensor `"), "{found}");
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        std::fs::write(&path, weights().to_bytes().unwrap()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(Weights::read(&path).is_err(), "{length} bytes");
        }
        for at in 0..8 {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            std::fs::write(&path, damaged).unwrap();
            assert!(Weights::read(&path).is_err(), "byte {at}");
        }
        for start in [&b"PK\x03\x04 and no more"[..], &[0x80, 2, b'}', b'q', 0, 0xff, b'.'], b"GIF89a..."] {
            std::fs::write(&path, start).unwrap();
            assert!(Weights::read(&path).is_err());
        }
        assert!(Weights::read(&folder.path().join("none")).unwrap_err().to_string().contains("cannot read"));
    }
}
