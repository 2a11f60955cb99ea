//! The binary files of CIFAR-10 and CIFAR-100: records of label bytes and planes of pixels.

use super::{LabelledImages, Source, in_memory};
use crate::{DataError, Files, Manifest};

pub(super) struct Cifar {
    train: &'static [&'static str],
    test: &'static str,
    /// Bytes of labels before the pixels; the last one is the label.
    labels: usize,
}

pub(super) const CIFAR10: Cifar = Cifar {
    train: &[
        "data_batch_1.bin",
        "data_batch_2.bin",
        "data_batch_3.bin",
        "data_batch_4.bin",
        "data_batch_5.bin",
    ],
    test: "test_batch.bin",
    labels: 1,
};
pub(super) const CIFAR100: Cifar = Cifar { train: &["train.bin"], test: "test.bin", labels: 2 };
pub(super) const CIFAR_PIXELS: usize = 3 * 32 * 32;

pub(super) fn read(files: &Files, manifest: &Manifest, cifar: Cifar) -> Result<Source, DataError> {
    let split = |names: &[&str], prefix: &str| -> Result<LabelledImages, DataError> {
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        let mut last = String::new();
        for name in names {
            let found = files
                .find(name)
                .ok_or_else(|| DataError::file(files.display(""), format!("holds no `{name}`")))?;
            last = files.display(found);
            let bytes = files.read(found)?;
            records(&bytes, cifar.labels, &mut pixels, &mut labels)
                .map_err(|problem| DataError::file(&last, problem))?;
        }
        in_memory(manifest, &last, prefix, pixels, labels)
    };
    Ok(Source::of_two("CIFAR", manifest, split(cifar.train, "train")?, split(&[cifar.test], "test")?))
}

/// Takes records of label bytes and pixels apart.
pub(crate) fn records(
    bytes: &[u8],
    label_bytes: usize,
    pixels: &mut Vec<u8>,
    labels: &mut Vec<u32>,
) -> Result<(), String> {
    let record = label_bytes + CIFAR_PIXELS;
    if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
        return Err(format!("{} bytes are not whole records of {record}", bytes.len()));
    }
    for record in bytes.chunks_exact(record) {
        labels.push(record[label_bytes - 1].into());
        pixels.extend_from_slice(&record[label_bytes..]);
    }
    Ok(())
}
