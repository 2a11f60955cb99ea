//! The common parts of the file readers.

use std::collections::BTreeMap;
use std::path::Path;

use half::{bf16, f16};

use crate::WeightsError;

/// A tensor from a file, converted to f32.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// Values in row-major order.
    pub values: Vec<f32>,
}

/// The tensors of a file by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Weights {
    /// The tensors.
    pub tensors: BTreeMap<String, Tensor>,
    /// Other information in the file. For Caffe, `format` and the net's `name`; for safetensors, this project's
    /// entries.
    pub metadata: BTreeMap<String, String>,
    /// The contents of the tensors that were left out because they hold no floating-point numbers, by name.
    pub left_out: BTreeMap<String, String>,
    /// The entry of a PyTorch training checkpoint from which the tensors were taken.
    pub checkpoint: Option<Checkpoint>,
}

/// The location of the weights in a training checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The entry from which they were taken, such as `state_dict`.
    pub taken: String,
    /// Other entries that hold weights, such as `ema`.
    pub others: Vec<String>,
}

/// Prefixes of names from modules that were part of another module, wrapped or compiled.
const WRAPPERS: [&str; 6] = ["module.", "_orig_mod.", "model.", "net.", "network.", "alexnet."];

/// The infix of names from a part of a module that was wrapped for several devices. PyTorch's own example wraps
/// AlexNet's `features`.
const WRAPPED: &str = ".module.";

/// Tensors of a file may share bytes, but may take at most this many times the file's size.
pub(crate) const REUSE: u64 = 4;

/// The length at which messages are cut. A library's message may contain a whole file.
const MESSAGE: usize = 400;

/// The number of bytes of tensors that have been read from a file.
pub(crate) struct Budget {
    size: u64,
    read: u64,
}

impl Budget {
    /// Creates the budget of a file of this size.
    pub(crate) fn of(size: u64) -> Self {
        Self { size, read: 0 }
    }

    /// Adds the size of another file from which tensors are read. The same file is added once.
    pub(crate) fn allow(&mut self, size: u64) {
        self.size = self.size.max(size);
    }

    /// Rejects a tensor if too much would be read for it.
    pub(crate) fn spend(&mut self, tensor: &str, bytes: usize) -> Result<(), WeightsError> {
        self.read = self.read.saturating_add(bytes as u64);
        if self.read <= self.size.saturating_mul(REUSE) {
            return Ok(());
        }
        let problem = format!("would have read {} bytes by now, out of a file of {}", self.read, self.size);
        Err(WeightsError::Tensor { tensor: tensor.to_owned(), problem })
    }
}

/// The storage format of a number.
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

/// Transposes `[rows, columns]` to `[columns, rows]`.
pub(crate) fn transpose(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len() / columns.max(1);
    (0..values.len()).map(|at| values[at % rows * columns + at / rows]).collect()
}

pub(crate) fn problem(path: &Path, problem: impl std::fmt::Display) -> WeightsError {
    WeightsError::File { path: path.to_owned(), problem: shortened(&problem.to_string()) }
}

/// Returns a message in one line of bounded length.
pub(crate) fn shortened(text: &str) -> String {
    let line = |text: &str| text.replace(char::is_control, " ");
    match text.char_indices().nth(MESSAGE) {
        None => line(text),
        Some((end, _)) => line(&text[..end]) + " …",
    }
}

/// Returns a file's tensors without the prefixes that training adds to their names.
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

/// Joins the towers of layers, which are rows of one tensor.
pub(crate) fn joined(
    parts: BTreeMap<String, BTreeMap<usize, Tensor>>,
) -> Result<BTreeMap<String, Tensor>, WeightsError> {
    let mut tensors = BTreeMap::new();
    for (name, towers) in parts {
        let error =
            |problem: &str| WeightsError::Tensor { tensor: name.clone(), problem: problem.to_owned() };
        let mut whole: Option<Tensor> = None;
        for (at, (number, tower)) in towers.into_iter().enumerate() {
            match &mut whole {
                _ if number != at => return Err(error("lacks a tower")),
                None => whole = Some(tower),
                Some(whole) if !whole.shape.is_empty() && whole.shape.get(1..) == tower.shape.get(1..) => {
                    whole.shape[0] += tower.shape[0];
                    whole.values.extend(tower.values);
                }
                Some(_) => return Err(error("has towers of different shapes")),
            }
        }
        tensors.extend(whole.map(|whole| (name, whole)));
    }
    Ok(tensors)
}
