//! Recognises files that hold no weights, and suggests a remedy.

/// The first bytes of formats that these bytes alone identify, and what such a file is. `alexnet-data` has a
/// table of its own of the archives among them, with their extensions: without its feature `network`, this crate does not
/// depend on it.
const SIGNATURES: [(&[u8], &str); 16] = [
    (
        b"version https://git-lfs.github.com/spec/",
        "is a Git LFS pointer, not the file that it stands for; run `git lfs pull`",
    ),
    (b"\x1f\x8b", "is compressed with gzip; unpack it first"),
    (b"\xfd7zXZ\0", "is compressed with xz; unpack it first"),
    (b"BZh", "is compressed with bzip2; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive; unpack it first"),
    (b"Rar!\x1a\x07", "is a RAR archive; unpack it first"),
    (b"\x89HDF\r\n\x1a\n", "is an HDF5 file (Keras); HDF5 is not read"),
    (b"\x93NUMPY", "is a NumPy array (.npy); NumPy's files are not read"),
    (b"GGUF", "is a GGUF file; GGUF is not read"),
    // The version of the format, then a graph.
    (b"\x08\x01\x12", "is a SavedModel of TensorFlow's; TensorFlow's files are not read"),
    (b"\x08\x01\x10\x03\x18", "is one blob of Caffe's, such as a mean image, and no network's weights"),
    (b"\x89PNG\r\n\x1a\n", "is a PNG image: neither PyTorch's, safetensors, Caffe's nor this project's"),
    (b"\xff\xd8\xff", "is a JPEG image: neither PyTorch's, safetensors, Caffe's nor this project's"),
    (b"%PDF-", "is a PDF document"),
    (b"\x7fELF", "is a program"),
];

/// The description of a tar archive.
pub(crate) const TAR: &str = "is a tar archive; unpack it first";

/// Returns whether a file begins as a tar archive does.
pub(crate) fn is_tar(start: &[u8]) -> bool {
    start.get(257..262) == Some(b"ustar")
}

/// Returns whether a file begins as an ONNX model does: with `ir_version`, then one of the fields that name the producer, or the
/// graph.
pub(crate) fn is_onnx(start: &[u8]) -> bool {
    matches!(start, [0x08, 2..=32, 0x12 | 0x1a | 0x22 | 0x32 | 0x3a | 0x42, ..])
}

/// Returns a description of a file that begins with `start`, if it is known not to hold weights.
pub(crate) fn file(start: &[u8]) -> Option<&'static str> {
    if start.is_empty() {
        return Some("is empty");
    }
    if let Some((_, what)) = SIGNATURES.iter().find(|(signature, _)| start.starts_with(signature)) {
        return Some(what);
    }
    if is_tar(start) {
        let first = start.strip_prefix(b"./").unwrap_or(start);
        let parts: [&[u8]; 4] = [b"sys_info\0", b"pickle\0", b"storages\0", b"tensors\0"];
        return Some(match parts.into_iter().any(|part| first.starts_with(part)) {
            true => {
                "is a tar file of PyTorch before 0.1.10, which is not read; save it again with a later PyTorch"
            }
            false => TAR,
        });
    }
    if start.get(4..8) == Some(b"TFL3") {
        return Some("is a TensorFlow Lite model; TensorFlow's files are not read");
    }
    text(start)
}

/// Returns a description of a text.
fn text(start: &[u8]) -> Option<&'static str> {
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    // The last character may be cut.
    let whole = start.utf8_chunks().next()?;
    let control = |c: char| c.is_control() && !c.is_whitespace();
    if whole.invalid().len() > 3
        || whole.valid().len() + 3 < start.len()
        || whole.valid().chars().any(control)
    {
        return None;
    }
    let text = whole.valid().trim_start();
    let begins = |with: &str| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    Some(match text.chars().next() {
        None => return None,
        Some('<') if ["<!doctype html", "<html", "<head", "<body"].into_iter().any(begins) => {
            "is an HTML page: its download returned a web page in place of the file"
        }
        Some('<') => "is an XML document: its download may have returned an error in place of the file",
        Some('{' | '[') => "is a JSON document: its download may have returned an error in place of the file",
        Some(_) => "is a text file",
    })
}

/// Describes a zip archive without a `data.pkl` by the names of its entries.
#[cfg(feature = "pytorch")]
pub(crate) fn archive(names: &[String]) -> String {
    let all = |ending: &str| !names.is_empty() && names.iter().all(|name| name.ends_with(ending));
    let one = |ending: &str| names.iter().any(|name| name.ends_with(ending));
    if all(".npy") {
        return "is an archive of NumPy arrays (.npz); NumPy's files are not read".to_owned();
    }
    if one("model.weights.h5") {
        return "is a Keras model (.keras); Keras's files are not read".to_owned();
    }
    let shown: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
    let more = if names.len() > shown.len() { " …" } else { "" };
    let weights = [".pth", ".pt", ".safetensors", ".caffemodel", ".bpk"];
    let remedy = if weights.into_iter().any(one) { "; unpack it first" } else { "" };
    format!(
        "is a zip archive without `data.pkl`, so no file of PyTorch's; it has {}{more}{remedy}",
        shown.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_weights_says_what_it_is() {
        for (start, expected) in [
            (&b""[..], "is empty"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git lfs pull"),
            (b"<!DOCTYPE html><html><head><title>Google Drive</title>", "HTML page"),
            (b"\xef\xbb\xbf\n <HTML>", "HTML page"),
            (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", "XML document"),
            (b"{\"error\": \"Repository not found\"}", "JSON document"),
            ("Zugriff verweigert: schöne Grüße\n".as_bytes(), "is a text file"),
            (b"\nname: \"AlexNet\"\nlayer {", "is a text file"),
            (b"\xfd7zXZ\0\0\x04", "xz"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"7z\xbc\xaf\x27\x1c\0\x04", "7z"),
            (b"\x89HDF\r\n\x1a\n\0", "HDF5"),
            (b"\x93NUMPY\x01\0v\0{'descr'", "NumPy"),
            (b"GGUF\x03\0\0\0", "GGUF"),
            (b"\x08\x01\x12\xa0\x01", "TensorFlow"),
            (b"\x08\x01\x10\x03\x18\x80\x02", "mean image"),
        ] {
            let found = file(start).unwrap_or("nothing known");
            assert!(found.contains(expected), "{expected}: {found}");
        }
        let tar = |name: &[u8]| [name, &vec![0; 257 - name.len()], b"ustar\x0000"].concat();
        assert!(file(&tar(b"./sys_info")).unwrap().contains("PyTorch before 0.1.10"));
        assert_eq!(file(&tar(b"weights.pth")), Some("is a tar archive; unpack it first"));
        // A Caffe network that begins with its name or its first layer.
        for start in
            [&b"\x0a\x07AlexNet\x12\xf1\x02\x12\x04"[..], b"\xa2\x06\x0a\x0a\x05data1", b"\x12\x02\x22\0"]
        {
            assert_eq!(file(start), None);
        }
    }

    #[test]
    fn an_archive_that_is_not_pytorchs_says_what_it_has() {
        let names = |names: &[&str]| archive(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        assert!(names(&["a.npy", "b.npy"]).contains("NumPy"));
        assert!(names(&["metadata.json", "config.json", "model.weights.h5"]).contains("Keras"));
        let found = names(&["a.txt", "b.txt", "c.pth", "d"]);
        assert!(found.ends_with("it has a.txt, b.txt, c.pth …; unpack it first"), "{found}");
    }
}
