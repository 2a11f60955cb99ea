//! Readers: each turns files of one layout into the images and labels of the official splits.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::GzDecoder;

use crate::dataset::{Images, LabelledImages};
use crate::{DataError, Files, Layout, Manifest};

/// The official splits as they are on disk.
pub(crate) struct Official {
    pub(crate) classes: Vec<String>,
    pub(crate) train: LabelledImages,
    pub(crate) test: LabelledImages,
}

/// Reads a data set whose files are laid out as `manifest` says, or in another layout that is
/// recognized by its files: CIFAR-10 is also passed around as class folders.
pub(crate) fn read(files: Files, manifest: &Manifest) -> Result<Official, DataError> {
    match recognize(&files).unwrap_or(manifest.layout) {
        Layout::Idx => idx(&files, manifest),
        Layout::Cifar10 => cifar(&files, manifest, CIFAR10),
        Layout::Cifar100 => cifar(&files, manifest, CIFAR100),
        Layout::Folders => folders(files, manifest),
        Layout::TinyImagenet => tiny_imagenet(files, manifest),
    }
}

fn recognize(files: &Files) -> Option<Layout> {
    let has = |name: &str| files.find(name).is_some();
    if has("train-images-idx3-ubyte") || has("train-images-idx3-ubyte.gz") {
        Some(Layout::Idx)
    } else if has("data_batch_1.bin") {
        Some(Layout::Cifar10)
    } else if has("train.bin") && has("test.bin") {
        Some(Layout::Cifar100)
    } else if has("val/val_annotations.txt") {
        Some(Layout::TinyImagenet)
    } else if files.names().any(|name| name.starts_with("train/") || name.contains("/train/")) {
        Some(Layout::Folders)
    } else {
        None
    }
}

// ---- IDX ------------------------------------------------------------------------------------

/// Reads `name` or `name.gz`.
fn read_gz(files: &Files, name: &str) -> Result<(String, Vec<u8>), DataError> {
    if let Some(found) = files.find(&format!("{name}.gz")) {
        let mut bytes = Vec::new();
        let packed = files.read(found)?;
        GzDecoder::new(packed.as_slice()).read_to_end(&mut bytes).map_err(|error| {
            DataError::file(files.display(found), format!("broken or truncated gzip file ({error})"))
        })?;
        return Ok((files.display(found), bytes));
    }
    let found = files.find(name).ok_or_else(|| {
        DataError::file(files.display(""), format!("holds neither `{name}.gz` nor `{name}`"))
    })?;
    Ok((files.display(found), files.read(found)?))
}

/// The data behind an IDX header of unsigned bytes with these dimensions.
fn idx_body(bytes: &[u8], dimensions: usize) -> Result<(Vec<usize>, &[u8]), String> {
    let word = |at: usize| -> Result<u32, String> {
        let four = bytes.get(4 * at..4 * at + 4).and_then(|four| four.try_into().ok());
        four.map(u32::from_be_bytes).ok_or_else(|| "ends inside its header".to_owned())
    };
    let magic = 0x0800 + dimensions as u32;
    if word(0)? != magic {
        return Err(format!("not an IDX file of bytes: magic {:#010x}, expected {magic:#010x}", word(0)?));
    }
    let sizes: Vec<usize> =
        (1..=dimensions).map(|at| word(at).map(|size| size as usize)).collect::<Result<_, _>>()?;
    let body = &bytes[4 * (dimensions + 1)..];
    let expected: usize = sizes.iter().product();
    if body.len() != expected {
        return Err(format!("has {} bytes after its header, which announces {expected}", body.len()));
    }
    Ok((sizes, body))
}

fn idx(files: &Files, manifest: &Manifest) -> Result<Official, DataError> {
    let split = |prefix: &str| -> Result<LabelledImages, DataError> {
        let (name, bytes) = read_gz(files, &format!("{prefix}-images-idx3-ubyte"))?;
        let (sizes, pixels) = idx_body(&bytes, 3).map_err(|problem| DataError::file(&name, problem))?;
        if sizes[1..] != [manifest.size; 2] {
            let problem = format!("images of {}×{}, expected {2}×{2}", sizes[1], sizes[2], manifest.size);
            return Err(DataError::file(name, problem));
        }
        let (label_name, bytes) = read_gz(files, &format!("{prefix}-labels-idx1-ubyte"))?;
        let (_, labels) = idx_body(&bytes, 1).map_err(|problem| DataError::file(&label_name, problem))?;
        if labels.len() != sizes[0] {
            let problem = format!("{} labels for {} images", labels.len(), sizes[0]);
            return Err(DataError::file(label_name, problem));
        }
        let labels = labels.iter().map(|&label| label.into()).collect();
        in_memory(manifest, &label_name, prefix, pixels.to_vec(), labels)
    };
    Ok(Official { classes: manifest.classes.clone(), train: split("train")?, test: split("t10k")? })
}

/// Images already decoded, with labels checked against the classes.
fn in_memory(
    manifest: &Manifest,
    file: &str,
    prefix: &str,
    pixels: Vec<u8>,
    labels: Vec<usize>,
) -> Result<LabelledImages, DataError> {
    if let Some(at) = labels.iter().position(|&label| label >= manifest.classes.len()) {
        let problem =
            format!("label {} of image {at} is not below {} classes", labels[at], manifest.classes.len());
        return Err(DataError::file(file, problem));
    }
    let keys = (0..labels.len()).map(|index| format!("{prefix}/{index}")).collect();
    Ok(LabelledImages { images: Images::Memory(pixels), labels, keys })
}

// ---- CIFAR ----------------------------------------------------------------------------------

struct Cifar {
    train: &'static [&'static str],
    test: &'static str,
    /// Bytes of labels before the pixels; the last one is the label.
    labels: usize,
}

const CIFAR10: Cifar = Cifar {
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
const CIFAR100: Cifar = Cifar { train: &["train.bin"], test: "test.bin", labels: 2 };
const CIFAR_PIXELS: usize = 3 * 32 * 32;

fn cifar(files: &Files, manifest: &Manifest, cifar: Cifar) -> Result<Official, DataError> {
    let split = |names: &[&str], prefix: &str| -> Result<LabelledImages, DataError> {
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        let mut last = String::new();
        for name in names {
            let found = files
                .find(name)
                .ok_or_else(|| DataError::file(files.display(""), format!("holds no `{name}`")))?;
            last = files.display(found);
            let bytes = files.read(found)?;
            let record = cifar.labels + CIFAR_PIXELS;
            if bytes.is_empty() || bytes.len() % record != 0 {
                let problem = format!("{} bytes are not whole records of {record}", bytes.len());
                return Err(DataError::file(last, problem));
            }
            for record in bytes.chunks_exact(record) {
                labels.push(record[cifar.labels - 1].into());
                pixels.extend_from_slice(&record[cifar.labels..]);
            }
        }
        in_memory(manifest, &last, prefix, pixels, labels)
    };
    Ok(Official {
        classes: manifest.classes.clone(),
        train: split(cifar.train, "train")?,
        test: split(&[cifar.test], "test")?,
    })
}

// ---- class folders --------------------------------------------------------------------------

fn is_image(name: &str) -> bool {
    let extension = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    matches!(extension.as_str(), "jpg" | "jpeg" | "png")
}

/// Splits `…/<split>/<class>/…/<file>` and returns (class, whole path), by split.
fn by_split<'a>(files: &'a Files, split: &str) -> Vec<(&'a str, &'a str)> {
    let images = files.names().filter(|name| is_image(name));
    let parts = images.filter_map(|name| {
        let rest = match name.strip_prefix(split).and_then(|rest| rest.strip_prefix('/')) {
            Some(rest) => rest,
            None => name.split_once(&format!("/{split}/"))?.1,
        };
        let (class, _) = rest.split_once('/')?;
        Some((class, name))
    });
    parts.collect()
}

fn labelled(
    manifest: &Manifest,
    classes: &[String],
    entries: &[(&str, &str)],
) -> Result<(Vec<usize>, Vec<String>), DataError> {
    let order: BTreeMap<&str, usize> =
        classes.iter().enumerate().map(|(label, class)| (class.as_str(), label)).collect();
    let labels = entries.iter().map(|(class, name)| {
        order
            .get(class)
            .copied()
            .ok_or_else(|| DataError::file(*name, format!("`{class}` is not a class of `{}`", manifest.name)))
    });
    Ok((labels.collect::<Result<_, _>>()?, entries.iter().map(|(_, name)| (*name).to_owned()).collect()))
}

fn class_names(manifest: &Manifest, train: &[(&str, &str)]) -> Vec<String> {
    if !manifest.classes.is_empty() {
        return manifest.classes.clone();
    }
    let mut classes: Vec<String> = train.iter().map(|(class, _)| (*class).to_owned()).collect();
    classes.sort_unstable();
    classes.dedup();
    classes
}

fn folders(files: Files, manifest: &Manifest) -> Result<Official, DataError> {
    let train = by_split(&files, "train");
    let test = ["test", "val", "validation"]
        .iter()
        .map(|split| by_split(&files, split))
        .find(|entries| !entries.is_empty())
        .unwrap_or_default();
    if train.is_empty() || test.is_empty() {
        return Err(DataError::dataset(
            &manifest.name,
            format!(
                "{} has no images in `train/<class>/` and `test/<class>/` (or `val/<class>/`)",
                files.display("")
            ),
        ));
    }
    let classes = class_names(manifest, &train);
    let train = labelled(manifest, &classes, &train)?;
    let test = labelled(manifest, &classes, &test)?;
    lazily(files, manifest, classes, train, test)
}

fn tiny_imagenet(files: Files, manifest: &Manifest) -> Result<Official, DataError> {
    let train = by_split(&files, "train");
    let classes = class_names(manifest, &train);
    let annotations = files
        .find("val/val_annotations.txt")
        .ok_or_else(|| DataError::file(files.display(""), "holds no `val/val_annotations.txt`"))?;
    let text = String::from_utf8_lossy(&files.read(annotations)?).into_owned();
    let folder = annotations.trim_end_matches("val_annotations.txt");
    let mut test = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let mut fields = line.split('\t');
        let (Some(file), Some(class)) = (fields.next(), fields.next()) else {
            return Err(DataError::file(
                files.display(annotations),
                format!("cannot read the line `{line}`"),
            ));
        };
        test.push((class.to_owned(), format!("{folder}images/{file}")));
    }
    let test: Vec<(&str, &str)> = test.iter().map(|(class, name)| (class.as_str(), name.as_str())).collect();
    let train = labelled(manifest, &classes, &train)?;
    let test = labelled(manifest, &classes, &test)?;
    lazily(files, manifest, classes, train, test)
}

fn lazily(
    files: Files,
    manifest: &Manifest,
    classes: Vec<String>,
    (train_labels, train_keys): (Vec<usize>, Vec<String>),
    (test_labels, test_keys): (Vec<usize>, Vec<String>),
) -> Result<Official, DataError> {
    let files = std::sync::Arc::new(files);
    let images = |labels: Vec<usize>, keys: Vec<String>| -> Result<LabelledImages, DataError> {
        let images = Images::on_disk(files.clone(), &keys, manifest.channels, manifest.size)?;
        Ok(LabelledImages { images, labels, keys })
    };
    Ok(Official { classes, train: images(train_labels, train_keys)?, test: images(test_labels, test_keys)? })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::decode::tests::encode_png;
    use crate::{Dataset, Manifest};

    fn manifest(layout: Layout, classes: usize, size: usize) -> Manifest {
        Manifest {
            name: "made".into(),
            about: String::new(),
            origin: String::new(),
            licence: String::new(),
            layout,
            classes: (0..classes).map(|class| class.to_string()).collect(),
            channels: 3,
            size,
            images: None,
            files: Vec::new(),
        }
    }

    /// A CIFAR file: `labels` label bytes, then pixels that repeat the record's number.
    fn cifar_file(path: &Path, records: u8, labels: usize) {
        let record = |number: u8| {
            let mut bytes = vec![99; labels - 1]; // coarse labels, which are not used
            bytes.push(number % 2);
            bytes.extend([number; CIFAR_PIXELS]);
            bytes
        };
        fs::write(path, (0..records).flat_map(record).collect::<Vec<u8>>()).unwrap();
    }

    #[test]
    fn cifar_records_are_labels_then_planes() {
        for (layout, labels, names) in [
            (Layout::Cifar10, 1, ["data_batch_1.bin", "test_batch.bin"]),
            (Layout::Cifar100, 2, ["train.bin", "test.bin"]),
        ] {
            let folder = tempfile::tempdir().unwrap();
            for number in 1..=5 {
                cifar_file(&folder.path().join(format!("data_batch_{number}.bin")), 4, labels);
            }
            names.iter().for_each(|name| cifar_file(&folder.path().join(name), 4, labels));
            if layout == Layout::Cifar100 {
                for number in 1..=5 {
                    fs::remove_file(folder.path().join(format!("data_batch_{number}.bin"))).unwrap();
                }
            }
            let data = Dataset::open(&manifest(layout, 2, 32), folder.path()).unwrap();
            assert_eq!(data.test.len(), 4);
            assert_eq!((data.test.label(3), &*data.test.image(3).unwrap()), (1, &[3; CIFAR_PIXELS][..]));

            let test = folder.path().join(names[1]);
            let whole = fs::read(&test).unwrap();
            fs::write(&test, &whole[..whole.len() - 1]).unwrap();
            let error = Dataset::open(&manifest(layout, 2, 32), folder.path()).unwrap_err().to_string();
            assert!(error.contains(names[1]) && error.contains("not whole records"), "{error}");
            fs::write(&test, &whole).unwrap();
            let error = Dataset::open(&manifest(layout, 1, 32), folder.path()).unwrap_err().to_string();
            assert!(error.contains("label 1 of image 1 is not below 1 classes"), "{error}");
        }
    }

    #[test]
    fn tiny_imagenet_labels_its_validation_images_by_the_annotations() {
        let folder = tempfile::tempdir().unwrap();
        let image = |shade: u8| encode_png(&[shade; 48], 4, 4, png::ColorType::Rgb);
        for (class, shade) in [("n02", 20), ("n01", 10)] {
            let images = folder.path().join("train").join(class).join("images");
            fs::create_dir_all(&images).unwrap();
            (0..3)
                .for_each(|n| fs::write(images.join(format!("{class}_{n}.png")), image(shade + n)).unwrap());
        }
        let val = folder.path().join("val/images");
        fs::create_dir_all(&val).unwrap();
        fs::write(val.join("val_0.png"), image(77)).unwrap();
        fs::write(folder.path().join("val/val_annotations.txt"), "val_0.png\tn02\t0\t0\t3\t3\n").unwrap();
        let manifest = Manifest { classes: Vec::new(), ..manifest(Layout::TinyImagenet, 0, 4) };
        let data = Dataset::open(&manifest, folder.path()).unwrap();
        assert_eq!(data.classes, ["n01", "n02"]);
        assert_eq!((data.test.len(), data.test.label(0), data.test.image(0).unwrap()[0]), (1, 1, 77));
        assert_eq!(data.train.len() + data.validation.len(), 6);

        fs::write(folder.path().join("val/val_annotations.txt"), "val_0.png\tn03\t0\t0\t3\t3\n").unwrap();
        let error = Dataset::open(&manifest, folder.path()).unwrap_err().to_string();
        assert!(error.contains("`n03` is not a class"), "{error}");
    }
}
