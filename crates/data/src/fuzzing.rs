//! The readers of untrusted files as functions of bytes, for `fuzz/` and for the test that replays the findings of
//! fuzzing. Each must return for any input, in memory bounded by the input's length. The limit on pixels bounds the
//! memory of an image.

use std::io::{Cursor, Read, Write};
use std::sync::Once;

use crate::gzip::Gzip;
use crate::{PassedOver, archive, decode, layout, shard_index};

/// A function that reads bytes.
pub type Reader = fn(&[u8]);

/// The readers by name.
pub const READERS: &[(&str, Reader)] = &[
    ("tar", tar),
    ("idx", idx),
    ("cifar", cifar),
    ("pickle", pickle),
    ("gzip", gzip),
    ("image", image),
    ("jpeg", jpeg),
    ("meta", meta),
    ("index", index),
    ("annotation", annotation),
    #[cfg(feature = "parquet")]
    ("parquet", parquet),
];

/// Runs the reader of this name on these bytes.
///
/// # Panics
/// If there is no such reader, or it violates its contract.
pub fn read(name: &str, bytes: &[u8]) {
    let (_, reader) = READERS.iter().find(|(reader, _)| *reader == name).expect("a reader of that name");
    reader(bytes);
}

fn tar(bytes: &[u8]) {
    let _ =
        archive::members_of(Cursor::new(bytes), bytes.len() as u64, "fuzz.tar", &mut PassedOver::default());
}

fn idx(bytes: &[u8]) {
    let (dimensions, bytes) = bytes.split_first().unwrap_or((&1, bytes));
    let _ = layout::idx_body(bytes, usize::from(dimensions % 4));
}

fn cifar(bytes: &[u8]) {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for label_bytes in [1, 2] {
        let _ = layout::cifar_records(bytes, label_bytes, &mut pixels, &mut labels);
    }
}

fn pickle(bytes: &[u8]) {
    layout::cifar_python(bytes);
}

fn gzip(bytes: &[u8]) {
    let mut unpacked = Gzip::new(bytes).take(1 << 24);
    let _ = std::io::copy(&mut unpacked, &mut std::io::sink());
}

/// Suppresses panics in a library that we catch: they are not findings, but the fuzzer's hook would end the process
/// at once. Other panics are findings. Tests have no such hook.
fn caught_in(library: &'static str) {
    if cfg!(test) {
        return;
    }
    let theirs = move |panic: &std::panic::PanicHookInfo<'_>| {
        panic.location().is_some_and(|location| location.file().contains(library))
    };
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(move |panic| {
            if !theirs(panic) {
                let _ = writeln!(std::io::stderr(), "{panic}");
                std::process::abort();
            }
        }));
    });
}

fn image(bytes: &[u8]) {
    caught_in("libjpeg-turbo-rs");
    let turned = decode::orientation(bytes);
    for channels in [1, 3] {
        if let Ok(pixels) = decode::pixels(bytes, channels) {
            assert_eq!(pixels.bytes.len(), pixels.width * pixels.height * channels);
            let square = decode::square(decode::upright(pixels, turned), 16);
            assert_eq!(square.bytes.len(), 16 * 16 * channels);
        }
    }
}

/// The last two bytes choose the requested columns.
fn jpeg(bytes: &[u8]) {
    caught_in("libjpeg-turbo-rs");
    let part = |at: usize, width: usize| {
        bytes.get(bytes.len().wrapping_sub(at)).map_or(0, |&byte| width * usize::from(byte) / 256)
    };
    for channels in [1, 3] {
        let seen = |width: usize, _: usize| {
            part(1, width).min(part(2, width))..part(1, width).max(part(2, width)) + 1
        };
        if let Ok(pixels) = crate::jpeg::decode(Vec::new(), bytes, channels, seen) {
            assert_eq!(pixels.bytes.len(), pixels.columns.len() * pixels.height * channels);
        }
    }
}

fn meta(bytes: &[u8]) {
    let _ = layout::matlab_synsets(bytes);
}

fn index(bytes: &[u8]) {
    for line in String::from_utf8_lossy(bytes).lines() {
        if let Ok(row) = shard_index::Row::parse(line) {
            let _ = row.boxes();
        }
    }
}

fn annotation(bytes: &[u8]) {
    let _ = layout::annotation(bytes);
}

#[cfg(feature = "parquet")]
fn parquet(bytes: &[u8]) {
    caught_in("parquet-");
    let _ = layout::fuzz_table(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seeds and findings of fuzzing, `fuzz/corpus/<reader>/…`.
    #[test]
    fn the_corpus_is_read_without_a_panic() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
        for (name, reader) in READERS {
            let files: Vec<_> = std::fs::read_dir(root.join(name)).unwrap().flatten().collect();
            assert!(!files.is_empty(), "no corpus for {name}");
            for file in files {
                reader(&std::fs::read(file.path()).unwrap());
            }
        }
    }
}
