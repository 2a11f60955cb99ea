//! Images in the rows of parquet files.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use parquet::basic::{ConvertedType, Type};
use parquet::column::reader::ColumnReader;
use parquet::data_type::ByteArray;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, FileReader, SerializedFileReader};

use crate::DataError;

/// The largest number of rows in a row group that a header may claim.
const ROWS_LIMIT: usize = 1 << 24;

/// The number of row groups that are kept. Threads that read images in order are in several groups at a time.
const GROUPS: usize = 4;

/// The images of some parquet files. A row can only be read together with its whole group, so the most recently
/// used groups are kept. Images should be read in order.
#[derive(Debug)]
pub(crate) struct Table {
    files: Vec<PathBuf>,
    /// File, group and row within it of each image.
    rows: Vec<(u32, u32, u32)>,
    /// The most recently used groups, the latest last.
    recent: Mutex<Vec<Group>>,
}

/// A group's file and number, and its images.
type Group = ((u32, u32), Arc<Vec<Option<ByteArray>>>);

impl Table {
    /// Creates a table of some files, without rows.
    pub(crate) fn new(files: Vec<PathBuf>) -> Self {
        Self { files, rows: Vec::new(), recent: Mutex::default() }
    }

    /// Adds a row by its file, its group in the file and its position in the group.
    pub(crate) fn push(&mut self, file: u32, group: u32, row: u32) {
        self.rows.push((file, group, row));
    }

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
        let image = images[row as usize].as_ref();
        image
            .map(|image| image.data().to_vec())
            .ok_or_else(|| DataError::file(self.place(at), "has no image (null)"))
    }

    /// Returns the files.
    pub(crate) fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

pub(crate) fn open(path: &Path) -> Result<SerializedFileReader<File>, DataError> {
    let file = File::open(path).map_err(DataError::read(path))?;
    let broken =
        |error| DataError::file(path.display().to_string(), format!("broken parquet file ({error})"));
    SerializedFileReader::new(file).map_err(broken)
}

/// Turns a panic of the library on a damaged file into an error.
pub(crate) fn without_panic<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err("broken parquet file (its reader failed)".into()))
}

/// Returns the first leaf column whose path fits.
pub(crate) fn column(metadata: &ParquetMetaData, fits: impl Fn(&str) -> bool) -> Option<usize> {
    let columns = metadata.file_metadata().schema_descr().columns();
    columns.iter().position(|column| fits(&column.path().string()))
}

/// Returns the values of a column in one group, with `None` for missing values.
pub(crate) fn values<T: parquet::data_type::DataType>(
    mut reader: parquet::column::reader::ColumnReaderImpl<T>,
    (rows, defined): (usize, i16),
    what: &str,
) -> Result<Vec<Option<T::T>>, String> {
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
    // A column without missing values has no levels.
    if levels.is_empty() {
        levels = vec![defined; values.len()];
    }
    let there = levels.iter().filter(|level| **level == defined).count();
    if levels.len() != rows || there != values.len() {
        return Err(format!("{what}: {} values in {rows} rows", values.len()));
    }
    let mut values = values.into_iter();
    Ok(levels.into_iter().map(|level| (level == defined).then(|| values.next()).flatten()).collect())
}

pub(crate) fn rows_of(metadata: &ParquetMetaData, group: usize) -> Result<usize, String> {
    let rows = usize::try_from(metadata.row_group(group).num_rows()).ok().filter(|rows| *rows <= ROWS_LIMIT);
    rows.ok_or_else(|| format!("row group {group} claims {} rows", metadata.row_group(group).num_rows()))
}

pub(crate) fn column_reader<R: ChunkReader + 'static>(
    reader: &SerializedFileReader<R>,
    group: usize,
    column: usize,
) -> Result<ColumnReader, String> {
    let group = reader.get_row_group(group);
    let column = group.and_then(|group| group.get_column_reader(column));
    column.map_err(|error| format!("broken parquet file ({error})"))
}

/// Returns the column of images: a structure with a usual name for images, any structure, or the only column of
/// plain bytes.
pub(crate) fn image_column(metadata: &ParquetMetaData) -> Result<usize, String> {
    let called = |name: &str| column(metadata, |path| path == name);
    if let Some(at) = called("image.bytes")
        .or_else(|| called("img.bytes"))
        .or_else(|| column(metadata, |path| path.ends_with(".bytes")))
    {
        return Ok(at);
    }
    let columns = metadata.file_metadata().schema_descr().columns();
    let plain = |at: &usize| {
        let column = &columns[*at];
        column.physical_type() == Type::BYTE_ARRAY
            && column.logical_type_ref().is_none()
            && column.converted_type() == ConvertedType::NONE
    };
    let plain: Vec<usize> = (0..columns.len()).filter(plain).collect();
    match plain[..] {
        [at] => Ok(at),
        [] => Err("has no column of images (structures with `bytes`, or plain bytes)".into()),
        _ => plain
            .into_iter()
            .find(|at| columns[*at].name().starts_with("im"))
            .ok_or_else(|| "has several columns of bytes, and none of them is called `image`".into()),
    }
}

/// Returns the number of rows in a group, and the definition level of a column's present values.
pub(crate) fn shape(metadata: &ParquetMetaData, group: usize, column: usize) -> Result<(usize, i16), String> {
    let column = metadata.file_metadata().schema_descr().column(column);
    match column.max_rep_level() {
        0 => Ok((rows_of(metadata, group)?, column.max_def_level())),
        _ => Err(format!("its column `{}` holds lists", column.path().string())),
    }
}

pub(crate) fn images<R: ChunkReader + 'static>(
    reader: &SerializedFileReader<R>,
    group: usize,
) -> Result<Vec<Option<ByteArray>>, String> {
    let metadata = reader.metadata();
    let at = image_column(metadata)?;
    match column_reader(reader, group, at)? {
        ColumnReader::ByteArrayColumnReader(column) => values(column, shape(metadata, group, at)?, "images"),
        _ => Err("its images are no bytes".into()),
    }
}
