//! What readers of files have in common.

use std::collections::BTreeMap;
use std::path::Path;

use half::{bf16, f16};

use crate::WeightsError;

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
    /// The entry of a training checkpoint of PyTorch's that the tensors come from.
    pub checkpoint: Option<Checkpoint>,
}

/// Where in a training checkpoint the weights are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The entry that they were taken from, such as `state_dict`.
    pub taken: String,
    /// Other entries that have weights, such as `ema`.
    pub others: Vec<String>,
}

/// What names begin with where a module was part of another, or was wrapped or compiled.
const WRAPPERS: [&str; 6] = ["module.", "_orig_mod.", "model.", "net.", "network.", "alexnet."];

/// What is in the middle of names where a part of a module was wrapped for several devices, as PyTorch's own example does with
/// AlexNet's `features`.
const WRAPPED: &str = ".module.";

/// Tensors of a file may lie in the same bytes, but not so often that they take this much more than the file.
pub(crate) const REUSE: u64 = 4;

/// Longer messages are cut: a library's may show a whole file.
const MESSAGE: usize = 400;

/// How many bytes of tensors have been read of a file.
pub(crate) struct Budget {
    size: u64,
    read: u64,
}

impl Budget {
    /// Of a file of so many bytes.
    pub(crate) fn of(size: u64) -> Self {
        Self { size, read: 0 }
    }

    /// Refuses a tensor for which too much would be read.
    pub(crate) fn spend(&mut self, tensor: &str, bytes: usize) -> Result<(), WeightsError> {
        self.read = self.read.saturating_add(bytes as u64);
        if self.read <= self.size.saturating_mul(REUSE) {
            return Ok(());
        }
        let problem = format!("would have read {} bytes by now, out of a file of {}", self.read, self.size);
        Err(WeightsError::Tensor { tensor: tensor.to_owned(), problem })
    }
}

/// How a number is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    F64,
    F32,
    F16,
    Bf16,
}

impl Kind {
    pub(crate) fn of_burn(dtype: burn_pack::DType) -> Option<Self> {
        use burn_pack::DType;
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

/// `[rows, columns]` to `[columns, rows]`.
pub(crate) fn transpose(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len() / columns.max(1);
    (0..values.len()).map(|at| values[at % rows * columns + at / rows]).collect()
}

pub(crate) fn problem(path: &Path, problem: impl std::fmt::Display) -> WeightsError {
    WeightsError::File { path: path.to_owned(), problem: shortened(&problem.to_string()) }
}

/// A message in one line of bounded length.
pub(crate) fn shortened(text: &str) -> String {
    let line = |text: &str| text.replace(char::is_control, " ");
    match text.char_indices().nth(MESSAGE) {
        None => line(text),
        Some((end, _)) => line(&text[..end]) + " …",
    }
}

/// A file's tensors without the prefixes that training puts before their names.
pub(crate) fn named<T>(
    tensors: impl IntoIterator<Item = (String, T)>,
) -> Result<BTreeMap<String, T>, WeightsError> {
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
