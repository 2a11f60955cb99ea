use serde::{Deserialize, Serialize};

/// What a data set is, where it comes from and how it is laid out: `datasets/*.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The name to ask for it by.
    pub name: String,
    /// What it shows, in one sentence.
    pub about: String,
    /// Where it comes from.
    pub origin: String,
    /// Under what terms.
    pub licence: String,
    /// How its files are laid out.
    pub layout: Layout,
    /// Class names in the order of their labels; empty: the names of the class folders, sorted.
    pub classes: Vec<String>,
    /// Colour channels: 1 or 3.
    pub channels: usize,
    /// Side of an image in pixels. Larger or smaller ones are scaled to it on their shorter side
    /// and cut to the centre square (Krizhevsky et al. 2012, §2).
    pub size: usize,
    /// How many images each split has; absent for data of one's own.
    pub images: Option<SplitSizes>,
    /// The files to download, if they may be.
    #[serde(default)]
    pub files: Vec<RemoteFile>,
}

impl Manifest {
    /// Images of one's own in class folders, `train/<class>/…` and `test/<class>/…`: scaled to `size` pixels, in 1 (grey) or 3
    /// channels.
    pub fn class_folders(name: &str, channels: usize, size: usize) -> Self {
        Self {
            name: name.to_owned(),
            about: String::new(),
            origin: String::new(),
            licence: String::new(),
            layout: Layout::Folders,
            classes: Vec::new(),
            channels,
            size,
            images: None,
            files: Vec::new(),
        }
    }
}

/// How many images the official splits have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitSizes {
    /// Training images, before a tenth is set aside for validation.
    pub train: usize,
    /// Test images.
    pub test: usize,
}

/// How a data set's files are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// The IDX files of MNIST and its relatives, gzipped or not.
    Idx,
    /// The binary version of CIFAR-10.
    Cifar10,
    /// The binary version of CIFAR-100, fine labels.
    Cifar100,
    /// `train/<class>/…` and `test/<class>/…` (or `val/<class>/…`) with JPEG or PNG files.
    Folders,
    /// Tiny-ImageNet: class folders for training, `val/val_annotations.txt` for the test split
    /// (the official test images have no public labels).
    TinyImagenet,
    /// ILSVRC-2012 as distributed: the tars or folders of images, the development kit.
    Ilsvrc,
    /// WebDataset tars: `<key>.jpg` beside `<key>.cls`.
    Webdataset,
}

/// A file that `data fetch` downloads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteFile {
    /// Its name in the data set's folder.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
    /// Its size in bytes, where known.
    pub bytes: Option<u64>,
}
