//! Recognises files that systems and tools leave behind. They are passed over and counted.

/// How the name of a file or folder is matched. Letter case does not matter.
enum Pattern {
    Name(&'static str),
    Start(&'static str),
    End(&'static str),
}

use Pattern::{End, Name, Start};

/// The kinds in the order in which they are tried. A file has a kind if its name or that of a folder above it
/// matches.
const KINDS: &[(&str, &[Pattern])] = &[
    ("AppleDouble", &[Start("._"), Name("__MACOSX"), Name(".AppleDouble")]),
    (
        "thumbnails",
        &[
            Name("Thumbs.db"),
            Name("ehthumbs.db"),
            Name("ehthumbs_vista.db"),
            Name("@eaDir"),
            Name("@SynoEAStream"),
        ],
    ),
    (
        "system files",
        &[
            Name("desktop.ini"),
            Name("Icon\r"),
            Name("lost+found"),
            Name("$RECYCLE.BIN"),
            Name("#recycle"),
            Name("System Volume Information"),
        ],
    ),
    ("tar headers", &[Start("PaxHeader"), Name("pax_global_header")]),
    (
        "partial downloads",
        &[End(".part"), End(".partial"), End(".crdownload"), End(".filepart"), End(".aria2")],
    ),
    ("backups", &[End("~")]),
    ("Python caches", &[Name("__pycache__")]),
    ("hidden", &[Start(".")]),
];

impl Pattern {
    fn fits(&self, name: &str) -> bool {
        let same = |part: Option<&str>, text: &str| part.is_some_and(|part| part.eq_ignore_ascii_case(text));
        match self {
            Name(text) => name.eq_ignore_ascii_case(text),
            Start(text) => same(name.get(..text.len()), text),
            End(text) => same(name.len().checked_sub(text.len()).and_then(|at| name.get(at..)), text),
        }
    }
}

/// Returns the kind of clutter that a file or folder is by its own name.
pub(crate) fn kind_of_name(name: &str) -> Option<&'static str> {
    let fits = |(_, patterns): &&(&str, &[Pattern])| patterns.iter().any(|pattern| pattern.fits(name));
    KINDS.iter().find(fits).map(|(kind, _)| *kind)
}

/// Does the same as [`kind_of_name`] for the first part of a path that has a kind.
pub(crate) fn kind(path: &str) -> Option<&'static str> {
    path.split('/').find_map(kind_of_name)
}

/// Returns the table of these kinds in Markdown.
pub(crate) fn table() -> String {
    let pattern = |pattern: &Pattern| match pattern {
        Name(text) => format!("`{}`", text.escape_debug()),
        Start(text) => format!("`{text}*`"),
        End(text) => format!("`*{text}`"),
    };
    let rows = KINDS.iter().map(|(kind, patterns)| {
        format!("| {kind} | {} |\n", patterns.iter().map(pattern).collect::<Vec<_>>().join(", "))
    });
    format!("| counted as | files and folders called |\n|---|---|\n{}", rows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clutter_is_told_from_data_by_name() {
        for (path, expected) in [
            ("cat/._1.jpg", Some("AppleDouble")),
            ("__MACOSX/cat/1.jpg", Some("AppleDouble")),
            ("cat/.DS_Store", Some("hidden")),
            (".ipynb_checkpoints/1.jpg", Some("hidden")),
            ("cat/thumbs.DB", Some("thumbnails")),
            ("cat/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg", Some("thumbnails")),
            ("cat/1.jpg~", Some("backups")),
            ("cat/1.jpg.crdownload", Some("partial downloads")),
            ("PaxHeaders.1234/1.jpg", Some("tar headers")),
            ("lost+found/#1.jpg", Some("system files")),
            ("cat/1.part.jpg", None),
            ("cat.v2/1.jpg", None),
            ("é", None),
        ] {
            assert_eq!(kind(path), expected, "{path}");
        }
    }
}
