//! The readers of weights as functions of bytes, for `fuzz/` and for the tests that replay the findings of fuzzing.
//! Each must return for any input, in memory bounded by the input's length.

use std::io::{Cursor, Write};
use std::path::Path;

use tempfile::NamedTempFile;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::{Tensor, Weights, WeightsError, caffe, onnx, pytorch, record, safetensors, state_dict};

/// A function that reads bytes.
pub type Reader = fn(&[u8]);

/// The readers by name.
pub const READERS: &[(&str, Reader)] = &[
    ("pytorch_zip", pytorch_zip),
    ("pytorch_legacy", pytorch_legacy),
    ("safetensors", safetensors),
    ("caffemodel", caffemodel),
    ("burnpack", burnpack),
    ("onnx", onnx),
];

/// Runs the reader of this name on these bytes.
///
/// # Panics
/// If there is no such reader, or it violates its contract.
pub fn read(name: &str, bytes: &[u8]) {
    let (_, reader) = READERS.iter().find(|(reader, _)| *reader == name).expect("a reader of that name");
    reader(bytes);
}

/// Reads an archive, or a pickle that is put into one: the archive's checksum would reject a mutated pickle.
fn pytorch_zip(bytes: &[u8]) {
    match bytes.starts_with(b"PK") {
        true => from_file(bytes),
        false => from_file(&archive(bytes)),
    }
}

/// Reads a bare pickle, or the bytes after the first three pickles of a file of before 2020.
fn pytorch_legacy(bytes: &[u8]) {
    match bytes.starts_with(&[0x80]) {
        true => from_file(bytes),
        false => from_file(&[pytorch::BEFORE, bytes].concat()),
    }
}

fn safetensors(bytes: &[u8]) {
    consistent(safetensors::read(Path::new("fuzz"), bytes));
}

fn caffemodel(bytes: &[u8]) {
    consistent(caffe::read(Path::new("fuzz"), bytes));
    let _ = caffe::mean(Path::new("fuzz"), bytes);
}

fn onnx(bytes: &[u8]) {
    consistent(onnx::read(Path::new("fuzz"), bytes, None));
}

fn burnpack(bytes: &[u8]) {
    consistent(record::read(Path::new("fuzz"), bytes.to_vec()));
}

/// Reads from a file, because `pytorch-reader` only reads files, and from memory.
fn from_file(bytes: &[u8]) {
    thread_local! {
        static FILE: NamedTempFile = NamedTempFile::new().expect("a temporary file");
    }
    FILE.with(|file| {
        pytorch::overwrite(file, bytes).expect("room for a temporary file");
        let from_file = pytorch::read(file.path());
        let from_memory = state_dict::read(Path::new("fuzz"), bytes);
        if let (Ok(one), Ok(other)) = (&from_file, &from_memory) {
            same(one, other);
        }
        consistent(from_file);
        consistent(from_memory);
    });
}

/// Builds an archive like those of `torch.save`, with this pickle and a few storages.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let storages = ["a/data/0", "a/data/1", "a/data/2", "a/data/3"].map(|name| (name, &[0; 64][..]));
    for (name, bytes) in [("a/data.pkl", pickle), ("a/version", b"3\n")].into_iter().chain(storages) {
        archive.start_file(name, stored).expect("a valid name");
        archive.write_all(bytes).expect("memory");
    }
    archive.finish().expect("memory").into_inner()
}

/// Checks that both readers of PyTorch's files give the same numbers where they give a tensor.
fn same(one: &Weights, other: &Weights) {
    for (name, tensor) in &one.tensors {
        let Some(other) = other.tensors.get(name) else { continue };
        let bits = |tensor: &Tensor| tensor.values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!((&tensor.shape, bits(tensor)), (&other.shape, bits(other)), "{name}");
    }
}

/// Checks that a tensor has as many numbers as its shape says, and that an error is one line of bounded length.
fn consistent(read: Result<Weights, WeightsError>) {
    match read {
        Ok(weights) => {
            for (name, tensor) in &weights.tensors {
                assert_eq!(tensor.shape.iter().product::<usize>(), tensor.values.len(), "{name}");
            }
        }
        Err(error) => {
            let error = error.to_string();
            assert!(error.lines().count() == 1 && error.len() < 10_000, "{error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// The seeds and findings (`found-…`) of fuzzing, `fuzz/corpus/<reader>/…`.
    fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
        let files = std::fs::read_dir(folder).unwrap().map(|file| {
            let file = file.unwrap();
            (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap())
        });
        let mut files: Vec<_> = files.collect();
        files.sort();
        files
    }

    #[test]
    fn the_corpus_is_read_without_a_panic() {
        for (name, reader) in READERS {
            let files = corpus(name);
            assert!(!files.is_empty(), "no corpus for {name}");
            files.iter().for_each(|(_, bytes)| reader(bytes));
        }
    }

    /// Mutations of files that no reader accepts would test little.
    #[test]
    fn the_corpus_begins_with_files_that_are_read() {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in READERS.iter().flat_map(|(name, _)| corpus(name)) {
            let whole = [".pth", ".safetensors", ".caffemodel", ".bpk", ".onnx"];
            if name.starts_with("found-") || !whole.iter().any(|ending| name.ends_with(ending)) {
                continue;
            }
            let path = folder.path().join(&name);
            std::fs::write(&path, bytes).unwrap();
            let weights = Weights::read(&path).unwrap();
            assert!(!weights.tensors.is_empty(), "{name}");
        }
    }

    /// Pickles that would take gigabytes if the results of reading were not bounded.
    fn hostile() -> Vec<Vec<u8>> {
        let text = |text: &[u8]| [b"X", &(text.len() as u32).to_le_bytes()[..], text].concat();
        let long = &b"x".repeat(100_000)[..];
        let copies = &b"h\0".repeat(20_000)[..];
        let function = &b"torch._utils\n_rebuild_tensor_v2\n"[..];
        let tensor = b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n\
            X\x01\0\0\x000X\x03\0\0\0cpuK\x01tQK\0K\x01\x85K\x01\x85\x89}tR";
        vec![
            // Memory that doubles, nested tuples, and unending values.
            [b")q\0", &b"h\0h\0\x86q\0".repeat(40)[..], b"."].concat(),
            [b")", &b"\x85".repeat(2_000_000)[..], b"."].concat(),
            [b"(", &b"N".repeat(16_000_000)[..], b"t."].concat(),
            // Copies of a class with a long name, of a long key, and of a tensor whose name contains that key.
            [b"c", long, b"\n", long, b"\nq\0(", copies, b"t."].concat(),
            [b"}", &text(long)[..], b"Nsq\0(", copies, b"t."].concat(),
            [b"}", &text(long)[..], b"](", tensor, b"q\0", copies, b"es."].concat(),
            // Arguments and extents that are long and recalled for each of many calls: what a call copies is counted.
            [
                b"c",
                function,
                b"q\0((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x01tQK\0(",
                &b"K\x01".repeat(2_000)[..],
                b"tq\x02h\x02\x89}tq\x01",
                &b"h\0h\x01R".repeat(300_000),
                b".",
            ]
            .concat(),
        ]
    }

    /// Draws a number below `end` by a linear congruence, so the files are the same every time.
    fn draw(state: &mut u64, end: usize) -> usize {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((*state >> 33) as usize) % end.max(1)
    }

    /// Changes a file in a few places.
    fn mutated(files: &[(String, Vec<u8>)], state: &mut u64) -> Vec<u8> {
        let mut bytes = files[draw(state, files.len())].1.clone();
        for _ in 0..=draw(state, 4) {
            let at = draw(state, bytes.len());
            let end = (at + draw(state, 40)).min(bytes.len());
            match draw(state, 8) {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(at..end)),
                2 => {
                    let repeated = bytes[at..end].repeat(1 + draw(state, 60));
                    drop(bytes.splice(at..at, repeated));
                }
                3 => {
                    let other = &files[draw(state, files.len())].1;
                    drop(bytes.splice(at.., other[draw(state, other.len())..].iter().copied()));
                }
                // A length that is the largest its field allows, or nearly.
                4 | 5 => {
                    let extremes = [
                        u64::MAX,
                        i64::MAX as u64,
                        u32::MAX.into(),
                        i32::MAX as u64,
                        1 << 62,
                        1 << 31,
                        65_535,
                        0,
                    ];
                    let extreme = extremes[draw(state, extremes.len())].to_le_bytes();
                    let width = [1, 2, 4, 8][draw(state, 4)].min(bytes.len() - at);
                    bytes[at..at + width].copy_from_slice(&extreme[..width]);
                }
                _ if bytes.is_empty() => {}
                6 => bytes[at] ^= 1 << draw(state, 8),
                _ => bytes[at] = draw(state, 256) as u8,
            }
        }
        bytes
    }

    /// Reads in a separate process, which ends if it requests more memory than allowed.
    #[test]
    #[cfg(unix)]
    fn ten_thousand_mutated_files_a_reader_are_read_in_a_gibibyte() {
        const CHILD: &str = "ALEXNET_WEIGHTS_MUTATED";
        if std::env::var_os(CHILD).is_some() {
            for pickle in hostile() {
                pytorch_zip(&pickle);
                pytorch_legacy(&pickle);
                pytorch_legacy(&[b"\x80\x02", &pickle[..]].concat());
            }
            for (name, reader) in READERS {
                let mut files = corpus(name);
                files.retain(|(name, _)| !name.starts_with("found-"));
                let mut state = 7;
                for _ in 0..10_000 {
                    reader(&mutated(&files, &mut state));
                }
            }
            return;
        }
        let this = "fuzzing::tests::ten_thousand_mutated_files_a_reader_are_read_in_a_gibibyte";
        let child = Command::new("sh")
            .args(["-c", "ulimit -v 1048576 && exec \"$0\" \"$@\""])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", this, "--test-threads", "1", "--nocapture"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stderr);
        assert!(child.status.success(), "{}: {said}", child.status);
        assert!(String::from_utf8_lossy(&child.stdout).contains("1 passed"), "no test ran");
    }
}
