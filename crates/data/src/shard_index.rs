//! The index of a shard: a line for each image.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::DataError;
use crate::label::BoundingBox;

/// The first line of an index.
pub(crate) const INDEX_HEADER: &str = "key\toffset\tlength\tlabel\tboxes";

/// Returns the name of a shard's index.
pub(crate) fn index_name(shard: &str) -> String {
    format!("{}.tsv", shard.trim_end_matches(".tar"))
}

/// A line of an index.
pub(crate) struct Row<'a> {
    pub(crate) key: &'a str,
    pub(crate) offset: u64,
    pub(crate) length: u32,
    pub(crate) label: u32,
    boxes: &'a str,
}

impl<'a> Row<'a> {
    pub(crate) fn parse(line: &'a str) -> Result<Self, String> {
        let mut fields = line.split('\t');
        let mut field = |name: &str| fields.next().ok_or_else(|| format!("has no {name}"));
        let key = field("key")?;
        let [offset, length, label] =
            [field("offset")?, field("length")?, field("label")?].map(str::parse::<u64>);
        let boxes = field("boxes")?;
        let number =
            |field: Result<u64, _>, name: &str| field.map_err(|_| format!("its {name} is no number"));
        let small = |field, name: &str| {
            u32::try_from(number(field, name)?).map_err(|_| format!("its {name} is too large"))
        };
        Ok(Self {
            key,
            offset: number(offset, "offset")?,
            length: small(length, "length")?,
            label: small(label, "label")?,
            boxes,
        })
    }

    /// Returns an error if there is no such class.
    pub(crate) fn check_label(&self, classes: usize) -> Result<(), String> {
        match (self.label as usize) < classes {
            true => Ok(()),
            false => Err(format!("label {} is not below {classes} classes", self.label)),
        }
    }

    /// Parses `x0,y0,x1,y1;…`.
    pub(crate) fn boxes(&self) -> Result<Vec<BoundingBox>, String> {
        let parse = |text: &str| -> Option<BoundingBox> {
            let numbers: Option<Vec<f32>> = text.split(',').map(|number| number.parse().ok()).collect();
            numbers?.try_into().ok()
        };
        let boxes = self.boxes.split(';').filter(|text| !text.is_empty());
        boxes.map(|text| parse(text).ok_or_else(|| format!("`{text}` is no box"))).collect()
    }
}

/// Formats an image's line of an index.
pub(crate) fn row(key: &str, offset: u64, length: usize, label: u32, boxes: &[BoundingBox]) -> String {
    let boxes: Vec<String> = boxes.iter().map(|[a, b, c, d]| format!("{a},{b},{c},{d}")).collect();
    format!("{key}\t{offset}\t{length}\t{label}\t{}\n", boxes.join(";"))
}

/// Passes each line of an index to `each`, with the byte at which it starts.
pub(crate) fn for_each_row(
    path: &Path,
    mut each: impl FnMut(u64, Row<'_>) -> Result<(), String>,
) -> Result<(), DataError> {
    let display = path.display().to_string();
    let mut reader = BufReader::new(File::open(path).map_err(DataError::read(path))?);
    let (mut line, mut at) = (String::new(), 0u64);
    loop {
        line.clear();
        let read = reader.read_line(&mut line).map_err(DataError::read(path))?;
        let problem = |problem: String| DataError::at(&display, at, problem);
        match (read, at) {
            (0, 0) => return Err(problem("is empty".into())),
            (0, _) => return Ok(()),
            (_, 0) if line.trim_end() != INDEX_HEADER => {
                return Err(problem("not the index of a shard".into()));
            }
            (_, 0) => {}
            _ => {
                let text = line.strip_suffix('\n').ok_or_else(|| problem("ends in mid-line".into()))?;
                Row::parse(text).and_then(|row| each(at, row)).map_err(problem)?;
            }
        }
        at += read as u64;
    }
}
