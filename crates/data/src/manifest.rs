use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Describes a data set, its origin and its layout: `datasets/*.toml`. All keys but the name may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The name by which it is requested.
    pub name: String,
    /// A description in one sentence.
    #[serde(default)]
    pub about: String,
    /// The source of the data.
    #[serde(default)]
    pub origin: String,
    /// The terms of use.
    #[serde(default)]
    pub licence: String,
    /// The layout of its files. Absent: the files identify it.
    #[serde(default)]
    pub layout: Option<Layout>,
    /// Class names in the order of their labels. If empty, the sorted names of the class folders.
    #[serde(default)]
    pub classes: Vec<String>,
    /// Colour channels: 1 or 3. 0: those of the network.
    #[serde(default)]
    pub channels: usize,
    /// Side of an image in pixels. Larger or smaller images are scaled to it on their shorter side and cut to the
    /// centre square (Krizhevsky et al. 2012, §2). 0: what the network's input needs.
    #[serde(default)]
    pub size: usize,
    /// The number of images in each split. Absent for the user's own data.
    #[serde(default)]
    pub images: Option<SplitSizes>,
    /// How the test split is cut out of the training images. Absent: the official test images are the test split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<HeldOut>,
    /// The name of the data set whose files these are, if not its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_of: Option<String>,
    /// The files to download, if that is permitted.
    #[serde(default)]
    pub files: Vec<RemoteFile>,
}

impl Manifest {
    /// Describes the user's own images in any layout that its files identify, such as class folders, scaled to `size`
    /// pixels, in 1 (grey) or 3 channels.
    pub fn of_images(name: &str, channels: usize, size: usize) -> Self {
        Self { name: name.to_owned(), channels, size, ..Self::default() }
    }
}

/// A test split of training images that nothing else has used. The official test images are then not used. The images
/// are those whose keys have the highest hashes, so the choice depends only on the data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeldOut {
    /// The number of images of each class.
    pub per_class: usize,
    /// The number of images of each class, the first in the data set's order, that are not held out.
    #[serde(default)]
    pub after: usize,
}

/// The number of images in the official splits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitSizes {
    /// Training images, before a tenth is set aside for validation.
    pub train: usize,
    /// Test images.
    pub test: usize,
}

/// The layout of a data set's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// The IDX files of MNIST and related data sets, gzipped or not.
    Idx,
    /// The binary version of CIFAR-10, or Python's pickles.
    Cifar10,
    /// The same of CIFAR-100, fine labels.
    Cifar100,
    /// `train/<class>/…` and `test/<class>/…` (or `val/<class>/…`) with JPEG or PNG files.
    Folders,
    /// `train/<class>/…` folders for training and `val/val_annotations.txt` for the test split. The official test
    /// images have no public labels.
    TinyImagenet,
    /// ILSVRC-2012 as distributed: tars or folders of images, and the development kit.
    Ilsvrc,
    /// WebDataset tars with `<key>.jpg` and `<key>.cls`.
    Webdataset,
}

/// A file that `data fetch` downloads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoteFile {
    /// Its name in the data set's folder.
    pub name: String,
    /// Its address.
    pub url: String,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
    /// Its size in bytes, if known.
    pub bytes: Option<u64>,
}
