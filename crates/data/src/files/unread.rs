//! Archives of kinds that are not read.

use super::{Files, ending};

/// The first bytes of each kind, its name, and its extensions. `alexnet-weights` has a table of its own, of the
/// files that hold no weights: neither crate depends on the other.
const KINDS: [(&[u8], &str, &[&str]); 6] = [
    (b"PK\x03\x04", "a zip archive", &[".zip"]),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", &[".7z"]),
    (b"\xfd7zXZ\0", "an xz archive", &[".xz", ".txz"]),
    (b"BZh", "a bzip2 archive", &[".bz2", ".tbz2"]),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", &[".zst"]),
    (b"Rar!\x1a\x07", "a rar archive", &[".rar"]),
];

/// Returns the kind of an archive that is not read, by its first bytes.
pub(super) fn kind(first: &[u8]) -> Option<&'static str> {
    KINDS.iter().find(|(magic, ..)| first.starts_with(magic)).map(|(_, kind, _)| *kind)
}

impl Files {
    /// Returns an archive of a kind that is not read, and that kind. Its extension and its first bytes are those
    /// of such an archive.
    pub(crate) fn other_archive(&self) -> Option<(&str, &'static str)> {
        let packed = |name: &&str| {
            let ending = ending(name);
            KINDS.iter().any(|(_, _, endings)| endings.contains(&ending.as_str()))
        };
        self.names().filter(packed).find_map(|name| Some((name, kind(&self.first(name, 8).ok()?)?)))
    }
}
