//! Parquet files as the Hugging Face hub ships image data sets: a column of structures with an image's `bytes` (and
//! `path`), a column of class numbers, the classes' names in the file's metadata. Files are called after their split.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use parquet::column::reader::ColumnReader;
use parquet::data_type::ByteArray;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, FileReader, SerializedFileReader};

use super::{Class, Source};
use crate::DataError;
use crate::dataset::{Images, LabelledImages};

/// Rows of a row group, at most: a header that claims more is not believed.
const ROWS_LIMIT: usize = 1 << 24;

/// Names of the column of labels: ImageNet's and most; the fine one of CIFAR-100.
const LABELS: [&str; 2] = ["label", "fine_label"];

/// Groups of rows that are kept: threads that read images in order are in several at a time.
const GROUPS: usize = 4;

/// The images of some parquet files. A row can only be read with the whole group that it is in, so the groups last used
/// are kept: read images in order.
#[derive(Debug)]
pub(crate) struct Table {
    files: Vec<PathBuf>,
    /// File, group and row within it of each image.
    rows: Vec<(u32, u32, u32)>,
    /// Those last used, the latest at the end.
    recent: Mutex<Vec<Group>>,
}

/// A group's place, file and number, and its images.
type Group = ((u32, u32), Arc<Vec<ByteArray>>);

impl Table {
    pub(crate) fn place(&self, at: usize) -> String {
        let (file, group, row) = self.rows[at];
        format!("{}, row {row} of row group {group}", self.files[file as usize].display())
    }

    pub(crate) fn read(&self, at: usize) -> Result<Vec<u8>, DataError> {
        let (file, group, row) = self.rows[at];
        let mut recent = self.recent.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let used = match recent.iter().position(|(place, _)| *place == (file, group)) {
            Some(known) => recent.remove(known),
            None => {
                let path = &self.files[file as usize];
                let reader = open(path)?;
                let images = without_panic(|| images(&reader, group as usize))
                    .map_err(|problem| DataError::file(path.display().to_string(), problem))?;
                if recent.len() == GROUPS {
                    recent.remove(0);
                }
                ((file, group), Arc::new(images))
            }
        };
        let images = used.1.clone();
        recent.push(used);
        drop(recent);
        Ok(images[row as usize].data().to_vec())
    }
}

fn open(path: &Path) -> Result<SerializedFileReader<File>, DataError> {
    let file = File::open(path).map_err(DataError::read(path))?;
    let broken =
        |error| DataError::file(path.display().to_string(), format!("broken parquet file ({error})"));
    SerializedFileReader::new(file).map_err(broken)
}

/// What a damaged file makes the library panic at is an error like any other.
fn without_panic<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err("broken parquet file (its reader failed)".into()))
}

/// The leaf column with this path, or the first with such an end.
fn column(metadata: &ParquetMetaData, fits: impl Fn(&str) -> bool) -> Option<usize> {
    let columns = metadata.file_metadata().schema_descr().columns();
    columns.iter().position(|column| fits(&column.path().string()))
}

/// The values of a column without nulls, in one group.
fn values<T: parquet::data_type::DataType>(
    mut reader: parquet::column::reader::ColumnReaderImpl<T>,
    rows: usize,
    what: &str,
) -> Result<Vec<T::T>, String> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    let mut read = 0;
    while read < rows {
        let (records, _, _) = reader
            .read_records(rows - read, Some(&mut levels), None, &mut values)
            .map_err(|error| format!("broken parquet file ({error})"))?;
        if records == 0 {
            break;
        }
        read += records;
    }
    if values.len() != rows {
        return Err(format!("{what}: {} values in {rows} rows", values.len()));
    }
    Ok(values)
}

fn rows_of(metadata: &ParquetMetaData, group: usize) -> Result<usize, String> {
    let rows = usize::try_from(metadata.row_group(group).num_rows()).ok().filter(|rows| *rows <= ROWS_LIMIT);
    rows.ok_or_else(|| format!("row group {group} claims {} rows", metadata.row_group(group).num_rows()))
}

fn column_reader<R: ChunkReader + 'static>(
    reader: &SerializedFileReader<R>,
    group: usize,
    column: usize,
) -> Result<ColumnReader, String> {
    let group = reader.get_row_group(group);
    let column = group.and_then(|group| group.get_column_reader(column));
    column.map_err(|error| format!("broken parquet file ({error})"))
}

fn images<R: ChunkReader + 'static>(
    reader: &SerializedFileReader<R>,
    group: usize,
) -> Result<Vec<ByteArray>, String> {
    let metadata = reader.metadata();
    let at = column(metadata, |path| path.ends_with(".bytes"));
    let at = at.ok_or("has no column of images (a structure with `bytes`)")?;
    match column_reader(reader, group, at)? {
        ColumnReader::ByteArrayColumnReader(column) => values(column, rows_of(metadata, group)?, "images"),
        _ => Err("its images are no bytes".into()),
    }
}

fn labels<R: ChunkReader + 'static>(
    reader: &SerializedFileReader<R>,
    group: usize,
) -> Result<Vec<i64>, String> {
    let metadata = reader.metadata();
    let at = LABELS.iter().find_map(|name| column(metadata, |path| path == *name));
    let at = at.ok_or("has no column `label`")?;
    let rows = rows_of(metadata, group)?;
    match column_reader(reader, group, at)? {
        ColumnReader::Int64ColumnReader(column) => values(column, rows, "labels"),
        ColumnReader::Int32ColumnReader(column) => {
            Ok(values(column, rows, "labels")?.into_iter().map(i64::from).collect())
        }
        _ => Err("its labels are no whole numbers".into()),
    }
}

/// The names of the classes, from what the hub's library writes into a file.
fn class_names(metadata: &ParquetMetaData) -> Option<Vec<String>> {
    let entries = metadata.file_metadata().key_value_metadata()?;
    let text = entries.iter().find(|entry| entry.key == "huggingface")?.value.as_ref()?;
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    LABELS.iter().find_map(|label| {
        let names = value["info"]["features"][*label]["names"].as_array()?;
        names.iter().map(|name| name.as_str().map(str::to_owned)).collect()
    })
}

/// `train-00000-of-00294.parquet` → `train`.
fn split_of(path: &Path) -> &'static str {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let first = name.split(['-', '_', '.']).next().unwrap_or_default();
    match first {
        "validation" | "valid" | "val" => "val",
        "test" => "test",
        _ => "train",
    }
}

pub(super) fn read(path: &Path) -> Result<Source, DataError> {
    let mut files = Vec::new();
    for folder in [path.to_owned(), path.join("data")] {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "parquet"));
    files.sort_unstable();
    if path.is_file() {
        files = vec![path.to_owned()];
    }
    let (mut names, mut most) = (None, 0);
    let mut splits: Vec<(String, LabelledImages)> = Vec::new();
    for split in ["train", "val", "test"] {
        let files: Vec<PathBuf> = files.iter().filter(|file| split_of(file) == split).cloned().collect();
        let mut table = Table { files: files.clone(), rows: Vec::new(), recent: Mutex::default() };
        let (mut split_labels, mut keys) = (Vec::new(), Vec::new());
        for (number, file) in files.iter().enumerate() {
            let problem = |problem: String| DataError::file(file.display().to_string(), problem);
            let reader = open(file)?;
            names = names.or_else(|| class_names(reader.metadata()));
            for group in 0..reader.num_row_groups() {
                for (row, label) in
                    without_panic(|| labels(&reader, group)).map_err(problem)?.into_iter().enumerate()
                {
                    // Test images have no label: they cannot be used.
                    if label < 0 && split == "test" {
                        continue;
                    }
                    let limit = names.as_ref().map_or(1 << 20, |names: &Vec<String>| names.len());
                    let label = u32::try_from(label).ok().filter(|label| (*label as usize) < limit);
                    let label = label.ok_or_else(|| {
                        problem(format!(
                            "row {row} of row group {group}: its label is not one of {limit} classes"
                        ))
                    })?;
                    most = most.max(label);
                    keys.push(format!("{split}/{:08}.jpg", keys.len()));
                    split_labels.push(label);
                    table.rows.push((number as u32, group as u32, row as u32));
                }
            }
        }
        if !split_labels.is_empty() {
            let images = Images::Table(table);
            let images = LabelledImages { images, labels: split_labels, keys, boxes: Vec::new() };
            splits.push((split.to_owned(), images));
        }
    }
    if splits.is_empty() {
        return Err(DataError::file(path.display().to_string(), "its parquet files hold no labelled image"));
    }
    let classes = match names {
        Some(names) => names.into_iter().map(Class::unnamed).collect(),
        None => (0..=most).map(|label| Class::unnamed(label.to_string())).collect(),
    };
    Ok(Source::new("parquet files", classes, splits))
}

/// Everything that reading a file does, on bytes.
pub(crate) fn fuzz_table(bytes: &[u8]) -> Result<(), String> {
    let reader =
        SerializedFileReader::new(bytes::Bytes::copy_from_slice(bytes)).map_err(|e| e.to_string())?;
    let _ = class_names(reader.metadata());
    for group in 0..reader.num_row_groups() {
        without_panic(|| labels(&reader, group))?;
        without_panic(|| images(&reader, group))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout;

    /// Made by `fuzz/make_corpus.py` with pyarrow: three images, classes cat, dog, cat.
    fn corpus(compression: &str) -> Vec<u8> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/parquet");
        std::fs::read(root.join(format!("{compression}.parquet"))).unwrap()
    }

    #[test]
    fn the_hubs_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("train-00000-of-00002.parquet"), corpus("snappy")).unwrap();
        std::fs::write(data.join("train-00001-of-00002.parquet"), corpus("zstd")).unwrap();
        std::fs::write(data.join("validation-00000-of-00001.parquet"), corpus("none")).unwrap();
        let source = layout::read(folder.path(), None).unwrap();
        let ids: Vec<&str> = source.classes.iter().map(|class| class.id.as_str()).collect();
        assert_eq!(ids, ["cat", "dog"]);
        let [(train, images), (val, _)] = &source.splits[..] else { panic!() };
        assert_eq!((train.as_str(), val.as_str()), ("train", "val"));
        assert_eq!(images.labels, [0, 1, 0, 0, 1, 0]);
        let mut file = Vec::new();
        // The second file's first image, then the first file's: groups are read anew.
        for at in [3, 0, 5] {
            images.file(at, &mut file).unwrap();
            assert!(file.starts_with(&[0xff, 0xd8]));
        }
    }

    #[test]
    fn damage_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.parquet");
        let whole = corpus("snappy");
        for length in (0..whole.len()).step_by(97) {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = layout::read(&path, None).unwrap_err().to_string();
            assert!(error.contains("train.parquet: broken parquet file"), "{error}");
        }
    }
}
