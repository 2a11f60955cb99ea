//! Determines which files are images: those with the usual extensions, and others whose first bytes are those of an
//! image.

use crate::files::{base, is_image};
use crate::format::{SNIFFED, sniff};
use crate::{DataError, Files};

/// Returns the images among `names`. Images in unsupported formats are counted.
///
/// # Errors
/// If a file cannot be read.
pub(super) fn images_of<'a>(
    files: &Files,
    names: impl Iterator<Item = &'a str>,
) -> Result<Vec<&'a str>, DataError> {
    let mut images = Vec::new();
    for name in names {
        if is_readable(files, name)? {
            images.push(name);
        }
    }
    Ok(images)
}

/// Returns whether a file is a supported image. An unsupported image is counted.
///
/// # Errors
/// If the file cannot be read.
pub(super) fn is_readable(files: &Files, name: &str) -> Result<bool, DataError> {
    if is_image(name) {
        return Ok(true);
    }
    let Some(format) = sniff(&files.first(name, SNIFFED)?) else { return Ok(false) };
    if !format.is_read() {
        let name_of_format = format.name().to_ascii_lowercase();
        let kind = match base(name).rsplit_once('.') {
            Some((_, ending)) if name_of_format.starts_with(&ending.to_ascii_lowercase()) => {
                format!(".{} (not read)", ending.to_ascii_lowercase())
            }
            _ => format!("{} under other names (not read)", format.name()),
        };
        files.pass_over(name, &kind);
    }
    Ok(format.is_read())
}
