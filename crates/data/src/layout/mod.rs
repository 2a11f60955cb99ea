//! Readers: each turns files of one layout into the images and labels of a data set's splits.

mod cifar;
mod folders;
mod idx;
mod ilsvrc;
mod matlab;
#[cfg(feature = "parquet")]
mod parquet;
mod tiny_imagenet;
mod webdataset;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::dataset::{Images, LabelledImages};
use crate::{DataError, Files, Layout, Manifest, shards};

pub(crate) use cifar::records as cifar_records;
pub(crate) use idx::body as idx_body;
pub(crate) use ilsvrc::annotation;
pub(crate) use matlab::synsets as matlab_synsets;
#[cfg(feature = "parquet")]
pub(crate) use parquet::{Table, fuzz_table};

/// A class: what files call it, and what people do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// A folder's name; of ImageNet's, the WordNet id.
    pub id: String,
    /// The same where nothing better is known.
    pub name: String,
}

impl Class {
    pub(crate) fn unnamed(id: impl Into<String>) -> Self {
        let id = id.into();
        Self { name: id.clone(), id }
    }
}

/// A data set as it is on disk.
#[derive(Debug)]
pub(crate) struct Source {
    /// What its layout is called.
    pub(crate) layout: &'static str,
    pub(crate) classes: Vec<Class>,
    /// `train`, `val`, `test`: those that are there.
    pub(crate) splits: Vec<(String, LabelledImages)>,
    /// `[channels, size]` where all images have been brought to one size.
    pub(crate) shape: Option<[usize; 2]>,
    /// A checksum of images and labels, where it is known without reading them.
    pub(crate) checksum: Option<String>,
}

impl Source {
    fn of_two(
        layout: &'static str,
        manifest: &Manifest,
        train: LabelledImages,
        test: LabelledImages,
    ) -> Self {
        let classes = manifest.classes.iter().map(Class::unnamed).collect();
        Self::new(layout, classes, vec![("train".into(), train), ("test".into(), test)])
    }

    fn new(layout: &'static str, classes: Vec<Class>, splits: Vec<(String, LabelledImages)>) -> Self {
        Self { layout, classes, splits, shape: None, checksum: None }
    }

    /// A split, taken out.
    pub(crate) fn take(&mut self, names: &[&str]) -> Option<LabelledImages> {
        let at = names.iter().find_map(|name| self.splits.iter().position(|(split, _)| split == name))?;
        Some(self.splits.swap_remove(at).1)
    }
}

/// Reads a data set whose files are laid out as `manifest` says, or in another layout that is
/// recognized by its files: CIFAR-10 is also passed around as class folders. Without a manifest the files
/// must speak for themselves.
pub(crate) fn read(path: &Path, manifest: Option<&Manifest>) -> Result<Source, DataError> {
    if shards::is_prepared(path) {
        return shards::open(path);
    }
    if is_parquet(path) {
        #[cfg(feature = "parquet")]
        return parquet::read(path);
        #[cfg(not(feature = "parquet"))]
        return Err(DataError::file(
            path.display().to_string(),
            "parquet files, which this build cannot read; build with `--features parquet`",
        ));
    }
    let files = Files::open(path)?;
    let nothing = || DataError::file(files.display(""), "holds no file of a layout that is known here");
    let layout = recognize(&files);
    if layout.is_none() && files.names().next().is_none() {
        return Err(nothing());
    }
    let with_manifest = |what: &str| {
        manifest.ok_or_else(|| {
            let problem =
                format!("{what} files; give the data set's name (see `list`) and these with `--data`");
            DataError::file(files.display(""), problem)
        })
    };
    match layout.or(manifest.map(|manifest| manifest.layout)).unwrap_or(Layout::Folders) {
        Layout::Idx => idx::read(&files, with_manifest("IDX")?),
        Layout::Cifar10 => cifar::read(&files, with_manifest("CIFAR")?, cifar::CIFAR10),
        Layout::Cifar100 => cifar::read(&files, with_manifest("CIFAR")?, cifar::CIFAR100),
        Layout::Folders => folders::read(files, manifest),
        Layout::TinyImagenet => tiny_imagenet::read(files, manifest),
        Layout::Ilsvrc => ilsvrc::read(files),
        Layout::Webdataset => webdataset::read(files, manifest),
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
    } else if has(ilsvrc::GROUND_TRUTH) || files.names().any(|name| ilsvrc::validation_number(name).is_some())
    {
        Some(Layout::Ilsvrc)
    } else if files.names().any(|name| name.ends_with(".cls")) {
        Some(Layout::Webdataset)
    } else if files.names().any(is_image) {
        Some(Layout::Folders)
    } else {
        None
    }
}

fn is_parquet(path: &Path) -> bool {
    let parquet = |path: &Path| path.extension().is_some_and(|extension| extension == "parquet");
    let inside = |folder: &Path| {
        std::fs::read_dir(folder).is_ok_and(|entries| entries.flatten().any(|entry| parquet(&entry.path())))
    };
    parquet(path) || inside(path) || inside(&path.join("data"))
}

/// Images already decoded, with labels checked against the classes.
fn in_memory(
    manifest: &Manifest,
    file: &str,
    prefix: &str,
    pixels: Vec<u8>,
    labels: Vec<u32>,
) -> Result<LabelledImages, DataError> {
    if let Some(at) = labels.iter().position(|&label| label as usize >= manifest.classes.len()) {
        let problem =
            format!("label {} of image {at} is not below {} classes", labels[at], manifest.classes.len());
        return Err(DataError::file(file, problem));
    }
    let keys = (0..labels.len()).map(|index| format!("{prefix}/{index}")).collect();
    Ok(LabelledImages { images: Images::Memory(pixels), labels, keys, boxes: Vec::new() })
}

fn is_image(name: &str) -> bool {
    let extension = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    matches!(extension.as_str(), "jpg" | "jpeg" | "png")
}

/// A box around an object: left, top, right and bottom in pixels.
pub type BoundingBox = [f32; 4];

/// The fields of a line as a box.
fn bounding_box<'a>(fields: impl Iterator<Item = &'a str>) -> Result<BoundingBox, String> {
    let numbers: Vec<f32> = fields
        .map(|field| field.trim().parse().map_err(|_| format!("`{field}` is no number")))
        .collect::<Result<_, _>>()?;
    let found = numbers.len();
    let numbers: BoundingBox =
        numbers.try_into().map_err(|_| format!("a box has four numbers, not {found}"))?;
    if numbers.iter().any(|number| !number.is_finite()) {
        return Err("a box with a number that is not finite".into());
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::cifar::CIFAR_PIXELS;
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
