//! The name of images that no manifest names.

use std::path::Path;

use crate::Prepared;

/// Returns the name of images in a folder or an archive: that of the file without its ending, or the name that prepared
/// images were given, with `-` for characters other than letters, digits, `-`, `_` and `.`.
pub fn name_of_images(path: &Path) -> String {
    if let Ok(Prepared { name: Some(name), .. }) = Prepared::read(path) {
        return name;
    }
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = whole.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let endings = [".tar.gz", ".tgz", ".tar"];
    let name = endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let name: String = name.chars().map(|letter| if fits(letter) { letter } else { '-' }).collect();
    match name.trim_start_matches('.') {
        name if name.contains(|letter: char| letter.is_ascii_alphanumeric()) => name.to_owned(),
        _ => "images".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_files_without_what_no_name_may_have() {
        for (path, name) in [
            ("a/my photos", "my-photos"),
            ("photos.v2.tar.gz", "photos.v2"),
            ("photos.tgz", "photos"),
            (".hidden", "hidden"),
            ("写真", "images"),
            ("/", "images"),
        ] {
            assert_eq!(name_of_images(Path::new(path)), name, "{path}");
        }
    }
}
