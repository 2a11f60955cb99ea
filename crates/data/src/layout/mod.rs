//! Readers. Each turns files of one layout into the images and labels of a data set's splits.

mod cifar;
mod copies;
mod folders;
mod idx;
mod ilsvrc;
mod images;
mod masks;
mod matlab;
mod names;
#[cfg(feature = "parquet")]
mod parquet;
mod pickle;
mod prepared;
mod rules;
mod split;
mod tiny_imagenet;
mod webdataset;

use std::path::Path;
use std::sync::Arc;

pub(crate) use crate::label::{BoundingBox, Class};
use crate::samples::{Images, LabelledImages};
use crate::{DataError, Files, Layout, Manifest, PassedOver, shards};

pub(crate) use cifar::{fuzz_python as cifar_python, records as cifar_records};
pub(crate) use idx::{body as idx_body, in_memory_files as idx_in_memory};
pub(crate) use ilsvrc::annotation;
pub(crate) use matlab::synsets as matlab_synsets;
#[cfg(feature = "parquet")]
pub(crate) use parquet::fuzz_table;
pub(crate) use prepared::open as open_prepared;

/// A data set as stored on disk.
#[derive(Debug)]
pub(crate) struct Source {
    /// The name of its layout.
    pub(crate) layout: &'static str,
    pub(crate) classes: Vec<Class>,
    /// The splits that exist, of `train`, `val` and `test`.
    pub(crate) splits: Vec<(String, LabelledImages)>,
    /// `[channels, size]`, if all images have been brought to one size.
    pub(crate) shape: Option<[usize; 2]>,
    /// A checksum of images and labels, if it is known without reading them.
    pub(crate) checksum: Option<String>,
    /// Files that were not used.
    pub(crate) passed_over: PassedOver,
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
        Self { layout, classes, splits, shape: None, checksum: None, passed_over: PassedOver::default() }
    }

    /// Takes a split out.
    pub(crate) fn take(&mut self, names: &[&str]) -> Option<LabelledImages> {
        let at = names.iter().find_map(|name| self.splits.iter().position(|(split, _)| split == name))?;
        Some(self.splits.swap_remove(at).1)
    }
}

/// Reads a data set whose layout is that of `manifest`, or another layout that its files identify: CIFAR-10 is also
/// distributed as class folders. Without a manifest the files must identify the layout.
pub(crate) fn read(path: &Path, manifest: Option<&Manifest>) -> Result<Source, DataError> {
    if shards::is_prepared(path) {
        return prepared::open(path);
    }
    let files = Arc::new(Files::open(path)?);
    let Some(rule) = rules::of(&files, manifest) else {
        let passed = files.passed_over(std::iter::empty());
        let passed = if passed.is_empty() { String::new() } else { format!(" ({passed})") };
        let problem = format!("holds no file of a layout that is known here{passed}");
        return Err(DataError::file(files.display(""), problem));
    };
    let packed_only = !files.names().any(crate::files::is_image);
    let read = (rule.read)(&files, manifest).and_then(|source| match source.splits.is_empty() {
        true => Err(DataError::file(files.display(""), "holds no image with a label")),
        false => Ok(source),
    });
    let mut source = read.map_err(|error| if packed_only { with_packed(&files, error) } else { error })?;
    copies::pass_over(&files, &mut source)?;
    let in_files = source.splits.iter().filter(|(_, images)| matches!(images.images, Images::Files(_)));
    source.passed_over = files.passed_over(in_files.flat_map(|(_, images)| &images.keys));
    Ok(source)
}

/// Returns the layout that a data set's files identify; `None` for prepared images and parquet files, and where nothing
/// is known.
///
/// # Errors
/// If the folder or archive cannot be read.
pub fn layout_of(path: &Path) -> Result<Option<Layout>, DataError> {
    if shards::is_prepared(path) {
        return Ok(None);
    }
    Ok(rules::of(&Files::open(path)?, None).and_then(|rule| rule.layout))
}

/// Returns an error about missing files that also names an unsupported archive that may contain them.
fn with_packed(files: &Files, error: DataError) -> DataError {
    match (error, files.other_archive()) {
        (DataError::File { file, problem }, Some((name, kind))) => DataError::File {
            file,
            problem: format!("{problem}; {name} is {kind}, which is not read: unpack it"),
        },
        (error, _) => error,
    }
}

/// Returns the tables of `docs/data.md` in Markdown: layouts, names of splits, and files that are passed over.
pub fn tables() -> [String; 3] {
    [rules::table(), split::table(), crate::clutter::table()]
}

/// Returns images that are already decoded, after checking their labels against the classes.
fn in_memory(
    classes: &[String],
    file: &str,
    prefix: &str,
    pixels: Vec<u8>,
    labels: Vec<u32>,
) -> Result<LabelledImages, DataError> {
    if let Some(at) = labels.iter().position(|&label| label as usize >= classes.len()) {
        let problem = format!("label {} of image {at} is not below {} classes", labels[at], classes.len());
        return Err(DataError::file(file, problem));
    }
    let keys = (0..labels.len()).map(|index| format!("{prefix}/{index}")).collect();
    Ok(LabelledImages { images: Images::Memory(pixels), labels, keys, boxes: Vec::new() })
}

/// Parses the fields of a line as a box.
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
mod cases;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::cifar::CIFAR_PIXELS;
    use crate::decode::tests::encode_png;
    use crate::{Dataset, Layout, Manifest};

    fn manifest(layout: Layout, classes: usize, size: usize) -> Manifest {
        Manifest {
            layout: Some(layout),
            classes: (0..classes).map(|class| class.to_string()).collect(),
            ..Manifest::of_images("made", 3, size)
        }
    }

    /// Writes a CIFAR file. Each record has `labels` label bytes and pixels that repeat the record's number.
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

    /// The division of a folder without splits follows from names, and so does the checksum.
    #[test]
    fn other_names_of_the_same_images_are_another_data_set() {
        let open = |prefix: &str| {
            let folder = tempfile::tempdir().unwrap();
            for (class, first) in [("a", 0), ("b", 100)] {
                fs::create_dir(folder.path().join(class)).unwrap();
                for number in 0..20 {
                    let image = encode_png(&[first + number; 48], 4, 4, png::ColorType::Rgb);
                    fs::write(folder.path().join(format!("{class}/{prefix}{number:02}.png")), image).unwrap();
                }
            }
            Dataset::open(&Manifest::of_images("made", 3, 4), folder.path()).unwrap()
        };
        let (one, same, other) = (open("x"), open("x"), open("y"));
        assert!(one.test_set_aside && one.test.len() == 4 && one.original_sides == Some([4, 4]));
        assert_eq!(one.checksum, same.checksum);
        assert_ne!(one.checksum, other.checksum);
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
