use super::*;

fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

/// Pickles a tensor of this shape in a storage of 6 numbers, as `torch.save` does.
fn tensor(shape: &[u8], strides: &[u8]) -> Vec<u8> {
    let tuple = |numbers: &[u8]| {
        let each = numbers.iter().flat_map(|number| [b'K', *number]);
        [b'('].into_iter().chain(each).chain([b't']).collect::<Vec<u8>>()
    };
    let storage = b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n\
        X\x01\0\0\x000X\x03\0\0\0cpuK\x06tQK\0";
    [&storage[..], &tuple(shape), &tuple(strides), b"\x89ccollections\nOrderedDict\n)RtR"].concat()
}

/// Pickles a dictionary.
fn dictionary(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let entries = entries.iter().flat_map(|(key, value)| [text(key), value.clone()].concat());
    [b"}("[..].to_vec(), entries.collect(), b"u".to_vec()].concat()
}

fn good() -> Vec<u8> {
    tensor(&[2, 3], &[3, 1])
}

/// Reads a value as a file of before 2020 and as a current archive.
fn read_both(value: &[u8]) -> [Result<Weights, String>; 2] {
    let numbers: Vec<u8> = (0..6).flat_map(|number| (number as f32).to_le_bytes()).collect();
    // The keys of the storages to which tensors refer, and their numbers of elements.
    let keys: &[u8] = match value.windows(7).any(|bytes| bytes == b"storage") {
        true => b".\x80\x02]X\x01\0\0\x000a.\x06\0\0\0\0\0\0\0",
        false => b".\x80\x02].",
    };
    let legacy = [BEFORE, b"\x80\x02", value, keys, &numbers].concat();
    let pickle = [b"\x80\x02", value, b"."].concat();
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in [("a/data.pkl", &pickle), ("a/data/0", &numbers)] {
        let stored = zip::write::SimpleFileOptions::default();
        archive.start_file(name, stored.compression_method(zip::CompressionMethod::Stored)).unwrap();
        std::io::Write::write_all(&mut archive, bytes).unwrap();
    }
    [legacy, archive.finish().unwrap().into_inner()].map(|file| read_file(&file))
}

fn read_file(bytes: &[u8]) -> Result<Weights, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pth");
    std::fs::write(&path, bytes).unwrap();
    let read = Weights::read(&path);
    let from_memory = Weights::of_bytes(&path, bytes.to_vec());
    match (&read, from_memory) {
        (Ok(read), from_memory) => assert_eq!(read, &from_memory.unwrap()),
        (Err(_), Err(from_memory)) => assert_eq!(from_memory.to_string().lines().count(), 1),
        // From memory, objects that are no tensors are passed over.
        (Err(_), Ok(_)) => {}
    }
    read.map_err(|error| error.to_string().replace(&path.display().to_string(), "a.pth"))
}

#[test]
fn both_formats_are_read() {
    for read in read_both(&dictionary(&[("a", good())])) {
        let read = read.unwrap();
        assert_eq!(
            read.tensors["a"],
            Tensor { shape: vec![2, 3], values: vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0] }
        );
        assert_eq!(read.checkpoint, None);
    }
}

#[test]
fn the_tensor_at_which_reading_stops_is_named() {
    for (bad, what) in [
        (tensor(&[2, 4], &[4, 1]), "needs 8 elements"),
        (tensor(&[2, 3], &[1]), "rank"),
        (
            good().into_iter().map(|byte| if byte == b'F' { b'C' } else { byte }).collect(),
            "torch.CloatStorage",
        ),
    ] {
        let state = dictionary(&[("a", good()), ("b.weight", bad), ("c", good())]);
        let checkpoint = dictionary(&[("epoch", b"K\x01".to_vec()), ("model", state.clone())]);
        for error in [state, checkpoint].iter().flat_map(|value| read_both(value)).map(Result::unwrap_err) {
            assert!(error.starts_with("tensor `b.weight`: ") && error.contains(what), "{error}");
        }
    }
}

#[test]
fn a_checkpoint_gives_its_weights_and_says_whose_they_are() {
    let state = |prefix: &str| dictionary(&[(&format!("{prefix}a"), good())]);
    let optimizer = dictionary(&[("state", dictionary(&[("momentum", good())]))]);
    for (entry, prefix) in [
        ("state_dict", ""),
        ("model_state_dict", "module."),
        ("model", "module."),
        ("net", "_orig_mod."),
        ("network", "model."),
        ("ema", "module."),
    ] {
        let others = [("epoch", b"K\x03".to_vec()), ("optimizer", optimizer.clone()), (entry, state(prefix))];
        for read in read_both(&dictionary(&others)) {
            let read = read.unwrap();
            assert_eq!(read.tensors.keys().collect::<Vec<_>>(), ["a"], "{entry}");
            assert_eq!(read.checkpoint, Some(Checkpoint { taken: entry.to_owned(), others: vec![] }));
        }
    }
    // The order in the file does not matter.
    let several = dictionary(&[("ema", state("")), ("net", state("")), ("model", state("module."))]);
    for read in read_both(&several) {
        let others = ["net", "ema"].map(str::to_owned).to_vec();
        assert_eq!(read.unwrap().checkpoint, Some(Checkpoint { taken: "model".to_owned(), others }));
    }
    // Names that begin like this are not entries, and nothing is left out.
    for read in read_both(&dictionary(&[("model.a", good()), ("head", good())])) {
        let read = read.unwrap();
        assert_eq!((read.tensors.len(), read.checkpoint), (2, None));
    }
}

#[test]
fn objects_are_an_error_that_says_what_to_save() {
    let object = b"cmine\nNet\n)R".to_vec();
    let holds_a_tensor = [b"cmine\nNet\n(", &good()[..], b"tR"].concat();
    for value in [object.clone(), dictionary(&[("model", object)]), dictionary(&[("model", holds_a_tensor)])]
    {
        for error in read_both(&value).map(Result::unwrap_err) {
            assert!(
                error.ends_with("save the weights with `torch.save(model.state_dict(), PATH)`"),
                "{error}"
            );
        }
    }
}

#[test]
fn what_would_take_too_much_memory_is_one_line() {
    let doubling = [b"\x80\x02)q\0", &b"h\0h\0\x86q\0".repeat(40)[..], b"."].concat();
    assert_eq!(read_file(&doubling).unwrap_err(), "a.pth: its pickle would take more than 256 MiB of memory");
    let deep = [b"\x80\x02)", &b"\x85".repeat(2_000_000)[..], b"."].concat();
    assert!(read_file(&deep).unwrap_err().contains("nesting exceeds 1000 levels"));
    // Zeros, which an archive compresses to almost nothing.
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, megabytes) in [("a/data.pkl", 0), ("a/data/0", 40)] {
        archive.start_file(name, options.compression_method(zip::CompressionMethod::Deflated)).unwrap();
        std::io::Write::write_all(&mut archive, &vec![0; megabytes << 20]).unwrap();
    }
    let error = read_file(&archive.finish().unwrap().into_inner()).unwrap_err();
    assert!(error.starts_with("a.pth: would unpack to 41943040 bytes, out of a file of"), "{error}");
}

#[test]
fn what_is_cut_short_or_something_else_is_said() {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.start_file("notes.txt", zip::write::SimpleFileOptions::default()).unwrap();
    let error = read_file(&archive.finish().unwrap().into_inner()).unwrap_err();
    assert_eq!(
        error,
        "a.pth: is a zip archive without `data.pkl`, so no file of PyTorch's; it has notes.txt"
    );
    assert_eq!(read_file(b"\x80\x02}X").unwrap_err(), "a.pth: ends within its pickle; the file is cut short");
    assert!(read_file(b"PK\x03\x04 and no more").unwrap_err().contains("damaged zip archive"));
}
