//! A file of weights in any supported format.

use std::path::Path;

use crate::tensors::problem;
use crate::{Weights, WeightsError, caffe, foreign, onnx, record, safetensors, state_dict};

/// The number of first bytes by which a file's format is recognised.
const START: u64 = 512;

impl Weights {
    /// Reads a file of PyTorch, safetensors, Caffe, ONNX or this project. The format is recognised by its contents.
    ///
    /// A pickle is treated as data: names, shapes and the positions of the numbers. Tensors without floating-point
    /// numbers, such as counters, are left out.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, has none of these formats (the error names its format if that is
    /// known), or would take far more memory than its size.
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
        std::fs::File::open(path).map_err(io)?.take(START).read_to_end(&mut start).map_err(io)?;
        match start.as_slice() {
            // A zip archive, or a bare pickle. Their reader takes parts of the file at a time.
            #[cfg(feature = "pytorch")]
            [b'P', b'K', ..] | [0x80, ..] if !is_safetensors(&start) => {
                some(path, crate::pytorch::read(path)?)
            }
            _ => Self::from_file(path, Some(path), std::fs::read(path).map_err(io)?),
        }
    }

    /// Reads the bytes of a file, as [`read`](Self::read) does. Messages call it `path`. Of PyTorch's files it reads state dicts, alone
    /// or in a training checkpoint, and passes over other objects. No file is opened: tensors of ONNX that are in a file beside the
    /// model are refused.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn of_bytes(path: &Path, bytes: Vec<u8>) -> Result<Self, WeightsError> {
        Self::from_file(path, None, bytes)
    }

    /// Reads the bytes of a file. Tensors may be in files beside the path `beside`.
    fn from_file(path: &Path, beside: Option<&Path>, bytes: Vec<u8>) -> Result<Self, WeightsError> {
        let start = &bytes[..bytes.len().min(START as usize)];
        let weights = match start {
            start if is_safetensors(start) => safetensors::read(path, &bytes),
            [b'P', b'K', ..] | [0x80, ..] => state_dict::read(path, &bytes),
            [a, b, c, d, ..] if [*a, *b, *c, *d] == record::MAGIC => record::read(path, bytes),
            start if foreign::is_onnx(start) => onnx::read(path, &bytes, beside),
            start => match (foreign::file(start), start) {
                (Some(what), _) => Err(problem(path, what)),
                // The name of a net, or its first layer in either form. Caffe's files have no other beginning.
                (None, [0x0a | 0x12 | 0x1a | 0xa2, ..]) => caffe::read(path, &bytes),
                (None, _) => {
                    Err(problem(path, "neither PyTorch's, safetensors, Caffe's, ONNX nor this project's"))
                }
            },
        }?;
        some(path, weights)
    }

    /// Returns the bytes of a safetensors file.
    ///
    /// # Errors
    /// If a tensor has more or fewer numbers than its shape says.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WeightsError> {
        safetensors::write(self, false)
    }

    /// Returns the bytes of a safetensors file of 16-bit numbers, which are rounded to 11 bits.
    ///
    /// # Errors
    /// If a tensor has more or fewer numbers than its shape says, or a finite number over 65,504.
    pub fn to_half_bytes(&self) -> Result<Vec<u8>, WeightsError> {
        let large = |value: &f32| value.is_finite() && !half::f16::from_f32(*value).is_finite();
        for (name, tensor) in &self.tensors {
            if let Some(value) = tensor.values.iter().find(|value| large(value)) {
                let problem = format!("{value} is too large for a 16-bit number");
                return Err(WeightsError::Tensor { tensor: name.clone(), problem });
            }
        }
        safetensors::write(self, true)
    }
}

/// The length of a JSON header, less than 4 GB, comes first. Its lowest byte may equal any that other formats begin with.
fn is_safetensors(start: &[u8]) -> bool {
    matches!(start, [_, _, _, _, 0, 0, 0, 0, b'{', ..])
}

fn some(path: &Path, weights: Weights) -> Result<Weights, WeightsError> {
    match weights.tensors.is_empty() {
        true => Err(problem(path, "holds no tensors of floating-point numbers")),
        false => Ok(weights),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::Tensor;
    use crate::tensors::named;

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
    fn half_precision_rounds_and_refuses_what_is_too_large() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let of = |value: f32| Weights {
            tensors: [("a".to_owned(), Tensor { shape: vec![2], values: vec![value, 0.1] })].into(),
            ..weights()
        };
        std::fs::write(&path, of(65_504.0).to_half_bytes().unwrap()).unwrap();
        let read = Weights::read(&path).unwrap();
        assert_eq!(read.tensors["a"].values, [65_504.0, 0.099_975_586]);
        assert_eq!(read.metadata, weights().metadata);
        let error = of(65_520.0).to_half_bytes().unwrap_err().to_string();
        assert_eq!(error, "tensor `a`: 65520 is too large for a 16-bit number");
    }

    #[test]
    fn names_are_freed_of_what_training_puts_before_them() {
        let names = |names: &[&str]| {
            named(names.iter().map(|&name| (name.to_owned(), ()))).map(|named| named.into_keys().collect())
        };
        let found: Vec<String> = names(&["module.a.weight", "b.bias"]).unwrap();
        assert_eq!(found, ["a.weight", "b.bias"]);
        let found = names(&["model._orig_mod.features.module.0.bias"]).unwrap();
        assert_eq!(found, ["features.0.bias"]);
        assert_eq!(names(&["module.a", "a"]).unwrap_err().to_string(), "tensor `a`: is there twice");
    }

    #[test]
    fn a_header_of_any_length_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        // Lengths are rounded to eight. A pickle begins with 0x80, a zip with 0x50.
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
