//! Reads parquet files of image data sets from the Hugging Face hub. One column holds structures with an image's
//! `bytes` (and `path`), or plain bytes. Another holds class numbers. The file's metadata holds the class names.
//! The files or their folders are named after their split.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use parquet::column::reader::ColumnReader;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, FileReader, SerializedFileReader};

use super::folders::without_label;
use super::split::{self, SPLITS, Words};
use super::{Class, Source};
use crate::samples::{Images, LabelledImages};
use crate::table::{Table, column, column_reader, image_column, images, open, shape, values, without_panic};
use crate::{DataError, Files};

/// Names of the column of labels: the usual one, also ImageNet's, and the one of CIFAR-100's fine labels.
const LABELS: [&str; 2] = ["label", "fine_label"];

/// Returns the first row of a group without an image. The group is searched only if the file counts such rows.
fn row_without_image<R: ChunkReader + 'static>(
    reader: &SerializedFileReader<R>,
    group: usize,
) -> Result<Option<usize>, String> {
    let column = reader.metadata().row_group(group).column(image_column(reader.metadata())?);
    let missing = column.statistics().and_then(|statistics| statistics.null_count_opt());
    match missing {
        None | Some(0) => Ok(None),
        Some(_) => Ok(images(reader, group)?.iter().position(Option::is_none)),
    }
}

fn labels<R: ChunkReader + 'static>(
    reader: &SerializedFileReader<R>,
    group: usize,
) -> Result<Vec<Option<i64>>, String> {
    let metadata = reader.metadata();
    let at = LABELS.iter().find_map(|name| column(metadata, |path| path == *name));
    let at = at.ok_or("has no column `label`")?;
    let shape = shape(metadata, group, at)?;
    match column_reader(reader, group, at)? {
        ColumnReader::Int64ColumnReader(column) => values(column, shape, "labels"),
        ColumnReader::Int32ColumnReader(column) => {
            Ok(values(column, shape, "labels")?.into_iter().map(|label| label.map(i64::from)).collect())
        }
        _ => Err("its labels are no whole numbers".into()),
    }
}

/// Returns the class names that the hub's library writes into a file.
fn class_names(metadata: &ParquetMetaData) -> Option<Vec<String>> {
    let entries = metadata.file_metadata().key_value_metadata()?;
    let text = entries.iter().find(|entry| entry.key == "huggingface")?.value.as_ref()?;
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    LABELS.iter().find_map(|label| {
        let names = value["info"]["features"][*label]["names"].as_array()?;
        names.iter().map(|name| name.as_str().map(str::to_owned)).collect()
    })
}

/// Returns the files of each split.
///
/// # Errors
/// If the split of a file is ambiguous, or files of one split are in several folders: those are different versions
/// of the same images.
fn by_split(files: &Files) -> Result<BTreeMap<&'static str, Vec<PathBuf>>, DataError> {
    let (mut words, mut found) = (Words::default(), BTreeMap::<_, Vec<PathBuf>>::new());
    let mut places: BTreeMap<&str, String> = BTreeMap::new();
    for name in files.names() {
        let Some(stem) = name.strip_suffix(".parquet") else { continue };
        if files.archive(name).is_some() {
            return Err(DataError::file(files.display(name), "a parquet file in an archive; unpack it"));
        }
        let split = split::of_shard(files, stem, &mut words)?;
        let folders = name.split('/').rev().skip(1).filter(|folder| split::exact(folder).is_none());
        let place = folders.collect::<Vec<_>>().join("/");
        let first = places.entry(split).or_insert_with(|| place.clone());
        if *first != place {
            let problem = "lies in another folder than other files of its split, as another version of the same images \
                           does; give the folder of one version";
            return Err(DataError::file(files.display(name), problem));
        }
        files.mark_used(name);
        found.entry(split).or_default().push(files.root().join(name));
    }
    let stems: BTreeSet<&str> = files.names().filter_map(|name| name.strip_suffix(".parquet")).collect();
    split::no_other_words(files, &stems)?;
    Ok(found)
}

pub(super) fn read(source: &Files) -> Result<Source, DataError> {
    let mut by_split = by_split(source)?;
    let (mut names, mut most) = (None, 0);
    let mut splits: Vec<(String, LabelledImages)> = Vec::new();
    for (split, _) in SPLITS {
        let files = by_split.remove(split).unwrap_or_default();
        let mut table = Table::new(files.clone());
        let (mut split_labels, mut keys) = (Vec::new(), Vec::new());
        for (number, file) in files.iter().enumerate() {
            let problem = |problem: String| DataError::file(file.display().to_string(), problem);
            let reader = open(file)?;
            if let Some(own) = class_names(reader.metadata())
                && *names.get_or_insert_with(|| own.clone()) != own
            {
                return Err(problem("names its classes otherwise than the files before it".into()));
            }
            for group in 0..reader.num_row_groups() {
                let at_row =
                    |row: usize, what: &str| problem(format!("row {row} of row group {group}: {what}"));
                if let Some(row) = without_panic(|| row_without_image(&reader, group)).map_err(problem)? {
                    return Err(at_row(row, "has no image (null)"));
                }
                for (row, label) in
                    without_panic(|| labels(&reader, group)).map_err(problem)?.into_iter().enumerate()
                {
                    // In test images of the hub the label is often -1.
                    if split == "test" && label.is_none_or(|label| label < 0) {
                        source.count(&without_label(split), 1);
                        continue;
                    }
                    let label = label.ok_or_else(|| at_row(row, "has no label (null)"))?;
                    let limit = names.as_ref().map_or(1 << 20, |names: &Vec<String>| names.len());
                    let label = u32::try_from(label).ok().filter(|label| (*label as usize) < limit);
                    let label = label
                        .ok_or_else(|| at_row(row, &format!("its label is not one of {limit} classes")))?;
                    most = most.max(label);
                    keys.push(format!("{split}/{:08}.jpg", keys.len()));
                    split_labels.push(label);
                    table.push(number as u32, group as u32, row as u32);
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
        return Err(DataError::file(source.display(""), "its parquet files hold no labelled image"));
    }
    let classes = match names {
        Some(names) => names.into_iter().map(Class::unnamed).collect(),
        None => (0..=most).map(|label| Class::unnamed(label.to_string())).collect(),
    };
    Ok(Source::new("parquet files", classes, splits))
}

/// Runs the whole reading of a file on bytes.
pub(crate) fn fuzz_table(bytes: &[u8]) -> Result<(), String> {
    let reader =
        SerializedFileReader::new(bytes::Bytes::copy_from_slice(bytes)).map_err(|e| e.to_string())?;
    let _ = class_names(reader.metadata());
    for group in 0..reader.num_row_groups() {
        without_panic(|| labels(&reader, group))?;
        without_panic(|| row_without_image(&reader, group))?;
        without_panic(|| images(&reader, group))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use parquet::data_type::ByteArray;

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
        // The second file's first image, then the first file's: groups are read again.
        for at in [3, 0, 5] {
            images.file(at, &mut file).unwrap();
            assert!(file.starts_with(&[0xff, 0xd8]));
        }
    }

    use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
    use parquet::data_type::{ByteArrayType, Int64Type};
    use parquet::file::properties::{
        EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion,
    };
    use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
    use parquet::schema::parser::parse_message_type;

    /// Images as structures with bytes and path, and as plain bytes.
    const STRUCTURES: &str = "message m { optional group image { optional binary bytes; \
                              optional binary path (STRING); } optional int64 label; }";
    const PLAIN: &str =
        "message m { optional binary image; required int64 label; optional binary note (STRING); }";

    type Row<'a> = (Option<&'a [u8]>, Option<i64>);

    fn bytes_column(group: &mut SerializedRowGroupWriter<'_, Vec<u8>>, rows: &[Row<'_>], level: i16) {
        let levels: Vec<i16> =
            rows.iter().map(|(image, _)| if image.is_some() { level } else { 0 }).collect();
        let values: Vec<ByteArray> =
            rows.iter().filter_map(|(image, _)| Some(image.as_ref()?.to_vec().into())).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
        column.close().unwrap();
    }

    fn labels_column(group: &mut SerializedRowGroupWriter<'_, Vec<u8>>, rows: &[Row<'_>], optional: bool) {
        let levels: Vec<i16> = rows.iter().map(|(_, label)| label.is_some().into()).collect();
        let values: Vec<i64> = rows.iter().filter_map(|(_, label)| *label).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&values, optional.then_some(&levels[..]), None).unwrap();
        column.close().unwrap();
    }

    /// Builds a file with these rows in its groups.
    fn file(schema: &str, properties: WriterPropertiesBuilder, groups: &[&[Row<'_>]]) -> Vec<u8> {
        let message = Arc::new(parse_message_type(schema).unwrap());
        let mut writer =
            SerializedFileWriter::new(Vec::new(), message, Arc::new(properties.build())).unwrap();
        for rows in groups {
            let mut group = writer.next_row_group().unwrap();
            if schema == STRUCTURES {
                bytes_column(&mut group, rows, 2);
                bytes_column(&mut group, rows, 2);
                labels_column(&mut group, rows, true);
            } else {
                bytes_column(&mut group, rows, 1);
                labels_column(&mut group, rows, false);
                bytes_column(&mut group, rows, 1);
            }
            group.close().unwrap();
        }
        writer.into_inner().unwrap()
    }

    fn properties() -> WriterPropertiesBuilder {
        WriterProperties::builder()
    }

    fn put(root: &Path, name: &str, bytes: &[u8]) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    const ROWS: &[&[Row<'_>]] = &[
        &[(Some(b"first"), Some(0)), (Some(b"second"), Some(2)), (Some(b"first"), Some(0))],
        &[(Some(b"third"), Some(1))],
    ];

    #[test]
    fn all_pages_and_packings_are_read() {
        for compression in [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::GZIP(GzipLevel::default()),
            Compression::BROTLI(BrotliLevel::default()),
            Compression::LZ4,
            Compression::LZ4_RAW,
            Compression::ZSTD(ZstdLevel::default()),
        ] {
            for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
                for (schema, dictionary) in
                    [(STRUCTURES, true), (STRUCTURES, false), (PLAIN, true), (PLAIN, false)]
                {
                    let properties = properties().set_compression(compression).set_writer_version(version);
                    let properties = properties.set_dictionary_enabled(dictionary);
                    let properties = properties.set_data_page_row_count_limit(2).set_write_batch_size(1);
                    let folder = tempfile::tempdir().unwrap();
                    put(folder.path(), "train-00000-of-00001.parquet", &file(schema, properties, ROWS));
                    let source = layout::read(folder.path(), None).unwrap();
                    let images = &source.splits[0].1;
                    assert_eq!(images.labels, [0, 2, 0, 1], "{compression:?}");
                    let mut bytes = Vec::new();
                    for (at, expected) in [(3, &b"third"[..]), (0, b"first"), (1, b"second"), (2, b"first")] {
                        images.file(at, &mut bytes).unwrap();
                        assert_eq!(bytes, expected, "{compression:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn splits_are_in_the_names_of_files_or_folders() {
        let bytes = file(STRUCTURES, properties(), ROWS);
        let read = |names: &[&str]| {
            let folder = tempfile::tempdir().unwrap();
            names.iter().for_each(|name| put(folder.path(), name, &bytes));
            put(folder.path(), "README.md", b"x");
            let source = layout::read(folder.path(), None).map_err(|error| error.to_string())?;
            assert_eq!(source.passed_over.files(), 1);
            let told = source.splits.iter().map(|(split, images)| format!("{split} {}", images.labels.len()));
            Ok::<_, String>(told.collect::<Vec<_>>().join(", "))
        };
        for (names, expected) in [
            (&["train/0000.parquet", "train/0001.parquet", "validation/0000.parquet"][..], "train 8, val 4"),
            (&["data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"], "train 4, test 4"),
            (&["plain_text/partial-train/0.parquet", "plain_text/partial-test/0.parquet"], "train 4, test 4"),
            (&["contest.parquet"], "train 4"),
        ] {
            assert_eq!(read(names).unwrap(), expected);
        }
        for (names, expected) in [
            (["train/0.parquet", "other/train/0.parquet"], "in another folder than other files of its split"),
            (["val/0.parquet", "valid/0.parquet"], "is called after the split `val`, and so is"),
            (["val/train-0.parquet", "x/0.parquet"], "called after more than one split"),
            (["train-0.parquet", "extra-0.parquet"], "extra-0: has `extra` where "),
        ] {
            let error = read(&names).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "val-0.parquet", &bytes);
        let source = layout::read(&folder.path().join("val-0.parquet"), None).unwrap();
        assert_eq!((source.splits[0].0.as_str(), source.splits.len()), ("val", 1));
    }

    #[test]
    fn rows_without_image_or_label_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let read = |split: &str, rows: &[Row<'_>], statistics: EnabledStatistics| {
            let _ = std::fs::remove_file(folder.path().join("train.parquet"));
            let properties = properties().set_statistics_enabled(statistics);
            put(folder.path(), &format!("{split}.parquet"), &file(STRUCTURES, properties, &[ROWS[0], rows]));
            layout::read(folder.path(), None).map_err(|error| error.to_string())
        };
        let no_image: &[Row<'_>] = &[(Some(b"a"), Some(1)), (None, Some(1))];
        let error = read("train", no_image, EnabledStatistics::Chunk).unwrap_err();
        assert!(error.contains("train.parquet: row 1 of row group 1: has no image (null)"), "{error}");
        // If a file does not count missing images, the error occurs when the image is read.
        let source = read("train", no_image, EnabledStatistics::None).unwrap();
        let error = source.splits[0].1.file(4, &mut Vec::new()).unwrap_err().to_string();
        assert!(error.contains("train.parquet, row 1 of row group 1: has no image (null)"), "{error}");
        let no_label: &[Row<'_>] = &[(Some(b"a"), None), (Some(b"b"), Some(-1)), (Some(b"c"), Some(1))];
        let error = read("train", no_label, EnabledStatistics::Chunk).unwrap_err();
        assert!(error.contains("train.parquet: row 0 of row group 1: has no label (null)"), "{error}");
        let source = read("test", no_label, EnabledStatistics::Chunk).unwrap();
        assert_eq!(source.splits[0].1.labels, [0, 2, 0, 1]);
        assert_eq!(source.passed_over.to_string(), "2 files passed over: 2 test images without a label");
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
