//! CIFAR-10 and CIFAR-100. The binary versions hold records of label bytes and planes of pixels. The Python
//! versions hold the same in pickled dictionaries.

use super::pickle::Pickle;
use super::{Class, LabelledImages, Source, in_memory};
use crate::{DataError, Files, Manifest};

/// One of the two data sets.
pub(super) struct Cifar {
    /// Files of the binary version.
    train: &'static [&'static str],
    test: &'static str,
    /// The number of label bytes before the pixels. The last one is the label.
    labels: usize,
    python: Python,
}

/// Files of the Python version and the keys of their contents.
struct Python {
    train: &'static [&'static str],
    test: &'static str,
    meta: &'static str,
    labels: &'static str,
    names: &'static str,
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
    python: Python {
        train: &["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"],
        test: "test_batch",
        meta: "batches.meta",
        labels: "labels",
        names: "label_names",
    },
};
pub(super) const CIFAR100: Cifar = Cifar {
    train: &["train.bin"],
    test: "test.bin",
    labels: 2,
    python: Python {
        train: &["train"],
        test: "test",
        meta: "meta",
        labels: "fine_labels",
        names: "fine_label_names",
    },
};
pub(super) const CIFAR_PIXELS: usize = 3 * 32 * 32;

/// Files of the binary versions beside the images. The manifest has the same names.
const NAMES: [&str; 3] = ["batches.meta.txt", "fine_label_names.txt", "coarse_label_names.txt"];

impl Cifar {
    fn is_binary(&self, files: &Files) -> bool {
        files.find(self.train[0]).is_some() && files.find(self.test).is_some()
    }

    pub(super) fn is_laid_out(&self, files: &Files) -> bool {
        let Python { train, test, meta, .. } = &self.python;
        self.is_binary(files) || [train[0], *test, *meta].iter().all(|name| files.find(name).is_some())
    }
}

fn find<'a>(files: &'a Files, name: &str) -> Result<&'a str, DataError> {
    files.find(name).ok_or_else(|| DataError::file(files.display(""), format!("holds no `{name}`")))
}

pub(super) fn read(files: &Files, manifest: Option<&Manifest>, cifar: &Cifar) -> Result<Source, DataError> {
    let given: Vec<String> = manifest.map_or_else(Vec::new, |manifest| manifest.classes.clone());
    let binary = cifar.is_binary(files);
    for name in NAMES.iter().filter_map(|name| files.find(name)) {
        files.mark_used(name);
    }
    let names = if binary { given } else { names(files, &cifar.python, given)? };
    if names.is_empty() {
        let problem = "CIFAR's binary files, which have no names of classes; give the data set's name (see `list`) \
                       and these with `--data`";
        return Err(DataError::file(files.display(""), problem));
    }
    let split = |names_of_files: &[&str], prefix: &str| -> Result<LabelledImages, DataError> {
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        let mut last = String::new();
        for name in names_of_files {
            let found = find(files, name)?;
            last = files.display(found);
            let bytes = files.read(found)?;
            let read = match binary {
                true => records(&bytes, cifar.labels, &mut pixels, &mut labels),
                false => batch(&bytes, cifar.python.labels, &mut pixels, &mut labels),
            };
            read.map_err(|problem| DataError::file(&last, problem))?;
        }
        in_memory(&names, &last, prefix, pixels, labels)
    };
    let (train, test) = match binary {
        true => (cifar.train, cifar.test),
        false => (cifar.python.train, cifar.python.test),
    };
    let splits =
        vec![("train".to_owned(), split(train, "train")?), ("test".to_owned(), split(&[test], "test")?)];
    let classes = names.iter().map(Class::unnamed).collect();
    Ok(Source { shape: Some([3, 32]), ..Source::new("CIFAR", classes, splits) })
}

/// Returns the class names in the Python version. They must equal the given names, if any.
fn names(files: &Files, python: &Python, given: Vec<String>) -> Result<Vec<String>, DataError> {
    let found = find(files, python.meta)?;
    let problem = |problem: String| DataError::file(files.display(found), problem);
    let names = class_names(&files.read(found)?, python.names).map_err(problem)?;
    match names.iter().zip(&given).find(|(name, given)| name != given) {
        Some((name, given)) => Err(problem(format!("has the class `{name}` where `{given}` is expected"))),
        None if !given.is_empty() && given.len() != names.len() => {
            Err(problem(format!("has {} classes, expected {}", names.len(), given.len())))
        }
        None => Ok(names),
    }
}

fn class_names(bytes: &[u8], key: &str) -> Result<Vec<String>, String> {
    let pickle = Pickle::read(bytes)?;
    pickle.names(pickle.get(key)?).ok_or_else(|| format!("its `{key}` is no list of names"))
}

/// Splits a batch of the Python version into an array of bytes, with one row for each image, and a list of labels.
fn batch(bytes: &[u8], key: &str, pixels: &mut Vec<u8>, labels: &mut Vec<u32>) -> Result<(), String> {
    let pickle = Pickle::read(bytes)?;
    let data = pickle.array(pickle.get("data")?).ok_or("its `data` is no array of bytes, row by row")?;
    let of_batch =
        pickle.numbers(pickle.get(key)?).ok_or_else(|| format!("its `{key}` is no list of numbers"))?;
    if data.shape != [of_batch.len(), CIFAR_PIXELS] {
        let problem =
            format!("its `data` is of shape {:?}, and there are {} labels", data.shape, of_batch.len());
        return Err(format!("{problem}; expected [{}, {CIFAR_PIXELS}]", of_batch.len()));
    }
    pixels.extend_from_slice(&data.bytes);
    labels.extend(of_batch);
    Ok(())
}

/// Runs the whole reading of a Python-version file on bytes.
pub(crate) fn fuzz_python(bytes: &[u8]) {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for python in [CIFAR10.python, CIFAR100.python] {
        let _ = batch(bytes, python.labels, &mut pixels, &mut labels);
        let _ = class_names(bytes, python.names);
    }
}

/// Splits records into label bytes and pixels.
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
