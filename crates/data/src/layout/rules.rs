//! The supported layouts and their signs, in one table that `docs/data.md` shows.

use std::sync::Arc;

use super::{Source, cifar, folders, idx, ilsvrc, tiny_imagenet, webdataset};
use crate::files::is_image;
use crate::{DataError, Files, Layout, Manifest};

/// A layout.
pub(super) struct Rule {
    /// The layout's name in a manifest. Parquet files have none.
    pub(super) layout: Option<Layout>,
    /// The layout's common name.
    name: &'static str,
    /// A description of the files by which the layout is recognised.
    sign: &'static str,
    /// A description of how its files are read.
    meaning: &'static str,
    /// Returns whether the sign is present.
    fits: fn(&Files) -> bool,
    pub(super) read: fn(&Arc<Files>, Option<&Manifest>) -> Result<Source, DataError>,
}

/// The first rule that fits is used, but the manifest's layout takes precedence.
const RULES: &[Rule] = &[
    Rule {
        layout: None,
        name: "Hugging Face parquet",
        sign: "a `*.parquet`",
        meaning: "an image as a structure with `bytes` or as plain bytes, `label` or `fine_label`, class names from the \
                  metadata; the split is a word of the file's name or of the nearest folder's; needs `--features parquet`",
        fits: has_parquet,
        read: read_parquet,
    },
    Rule {
        layout: Some(Layout::Idx),
        name: "IDX (MNIST and its relatives)",
        sign: "`train-images-idx3-ubyte`, with dots in place of lines or not, packed or not, in a folder of that name or not",
        meaning: "images and labels of `train` and `t10k`; of equal copies one is read",
        fits: idx::is_laid_out,
        read: |files, manifest| idx::read(files, with_names(files, manifest, "IDX")?),
    },
    Rule {
        layout: Some(Layout::Cifar10),
        name: "CIFAR-10",
        sign: "`data_batch_1.bin` and `test_batch.bin`, or `data_batch_1`, `test_batch` and `batches.meta`",
        meaning: "the binary version, or Python's, a pickle, which is read as data: nothing in it is run",
        fits: |files| cifar::CIFAR10.is_laid_out(files),
        read: |files, manifest| cifar::read(files, manifest, &cifar::CIFAR10),
    },
    Rule {
        layout: Some(Layout::Cifar100),
        name: "CIFAR-100",
        sign: "`train.bin` and `test.bin`, or `train`, `test` and `meta`",
        meaning: "the same, fine labels",
        fits: |files| cifar::CIFAR100.is_laid_out(files),
        read: |files, manifest| cifar::read(files, manifest, &cifar::CIFAR100),
    },
    Rule {
        layout: Some(Layout::TinyImagenet),
        name: "Tiny-ImageNet-200",
        sign: "`val_annotations.txt`, or a `*_boxes.txt`",
        meaning: "`train/<wnid>/images/…` with boxes; validation images by the folder of their class if they are in one, \
                  else by `val_annotations.txt`; test images have no labels and are left out",
        fits: |files| {
            let signs = [tiny_imagenet::ANNOTATIONS, tiny_imagenet::BOXES];
            files.names().any(|name| signs.iter().any(|sign| name.ends_with(sign)))
        },
        read: tiny_imagenet::read,
    },
    Rule {
        layout: Some(Layout::Ilsvrc),
        name: "ILSVRC-2012",
        sign: "the development kit's `ILSVRC2012_validation_ground_truth.txt`, Kaggle's `LOC_val_solution.csv`, or \
               `ILSVRC2012_val_*` not sorted into classes",
        meaning: "training images by the folder or tar of their WordNet id; validation images by such a folder, by \
                  Kaggle's table, by the kit or by their annotations; boxes from XML or Kaggle's tables",
        fits: |files| {
            let tables = [ilsvrc::GROUND_TRUTH, ilsvrc::SOLUTION];
            tables.iter().any(|table| files.find(table).is_some())
                || ilsvrc::has_flat_validation_images(files)
        },
        read: |files, _| ilsvrc::read(files),
    },
    Rule {
        layout: Some(Layout::Webdataset),
        name: "WebDataset",
        sign: "a `*.cls`; or shards without any, which are an error: archives with images at the top and other files \
               under the same keys, or called by numbers of four digits and more",
        meaning: "`<key>.jpg` and `<key>.cls`; a key ends at the first dot of a name; the split is a word of the \
                  shard's name or of the nearest folder's, else `train`",
        fits: webdataset::is_laid_out,
        read: webdataset::read,
    },
    Rule {
        layout: Some(Layout::Folders),
        name: "class folders",
        sign: "anything else",
        meaning: "`<split>/<class>/…`, or `<class>/…` alone, which is one split, `train`; between split and class may be \
                  `images`; test images in one folder that is no class have no labels and are left out",
        fits: has_images_in_folders,
        read: folders::read,
    },
];

/// Returns the rule for reading the files: that of the manifest's layout if its sign is present, or the first rule
/// whose sign is present. Otherwise it is the rule that best describes what is missing. Returns `None` if there are
/// no files.
pub(super) fn of(files: &Files, manifest: Option<&Manifest>) -> Option<&'static Rule> {
    let named = manifest.and_then(|manifest| manifest.layout);
    let named = named.and_then(|layout| RULES.iter().find(|rule| rule.layout == Some(layout)));
    let fits = |rule: &&Rule| (rule.fits)(files);
    files.names().next()?;
    named.filter(fits).or_else(|| RULES.iter().find(fits)).or(named).or(RULES.last())
}

/// Returns the table of layouts in Markdown.
pub(super) fn table() -> String {
    let row = |rule: &Rule| format!("| {} | {} | {} |\n", rule.name, rule.sign, rule.meaning);
    format!(
        "| layout | recognised by | read as |\n|---|---|---|\n{}",
        RULES.iter().map(row).collect::<String>()
    )
}

/// Returns whether images are in folders that may be their classes. Nothing else gives their labels.
fn has_images_in_folders(files: &Files) -> bool {
    let mut names = files.names();
    !webdataset::is_laid_out(files) && names.any(|name| name.contains('/') && is_image(name))
}

fn has_parquet(files: &Files) -> bool {
    files.names().any(|name| name.ends_with(".parquet"))
}

#[cfg(feature = "parquet")]
fn read_parquet(files: &Arc<Files>, _: Option<&Manifest>) -> Result<Source, DataError> {
    super::parquet::read(files)
}

#[cfg(not(feature = "parquet"))]
fn read_parquet(files: &Arc<Files>, _: Option<&Manifest>) -> Result<Source, DataError> {
    let problem = "parquet files, which this build cannot read; build with `--features parquet`";
    Err(DataError::file(files.display(""), problem))
}

/// Returns the manifest, which has the names of the classes.
fn with_names<'a>(
    files: &Files,
    manifest: Option<&'a Manifest>,
    what: &str,
) -> Result<&'a Manifest, DataError> {
    manifest.ok_or_else(|| {
        let problem = format!("{what} files; give the data set's name (see `list`) and these with `--data`");
        DataError::file(files.display(""), problem)
    })
}
