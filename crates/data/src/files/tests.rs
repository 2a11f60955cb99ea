use super::*;

fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, body) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(body.len() as u64);
        builder.append_data(&mut header, name, *body).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn archives_inside_are_folders() {
    let inner = tar(&[("n01_1.JPEG", b"fish"), ("n01_2.JPEG", b"tench")]);
    let train = tar(&[("n01.tar", &inner), ("n02.tar", &tar(&[("n02_1.JPEG", b"bird")]))]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("train.tar"), &train).unwrap();
    std::fs::write(folder.path().join("words.txt"), "n01 fish").unwrap();
    std::fs::create_dir_all(folder.path().join("val/n03")).unwrap();
    let files = Files::open(folder.path()).unwrap();
    let names: Vec<&str> = files.names().collect();
    assert_eq!(names, ["train/n01/n01_1.JPEG", "train/n01/n01_2.JPEG", "train/n02/n02_1.JPEG", "words.txt"]);
    assert_eq!(files.read("train/n01/n01_2.JPEG").unwrap(), b"tench");
    assert_eq!(files.length("train/n02/n02_1.JPEG").unwrap(), 4);
    assert_eq!(files.empty_folders(), ["val/n03"]);
    let alone = Files::open(&folder.path().join("train.tar")).unwrap();
    assert_eq!(alone.names().next(), Some("n01/n01_1.JPEG"));

    // Cuts a kilobyte off the inner tar and leaves the outer one intact.
    let cut = tar(&[("n01.tar", &inner[..1200]), ("n02.tar", b"")]);
    std::fs::write(folder.path().join("train.tar"), &cut).unwrap();
    let error = Files::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("train.tar/n01.tar"), "{error}");
}

#[cfg(unix)]
#[test]
fn links_are_followed_but_not_round_in_circles() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("1.jpg"), "x").unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("cats")).unwrap();
    let files = Files::open(folder.path()).unwrap();
    assert_eq!(files.names().collect::<Vec<_>>(), ["cats/1.jpg"]);
    std::os::unix::fs::symlink(folder.path(), folder.path().join("dogs")).unwrap();
    let error = Files::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("dogs: a link to a folder that it lies in"), "{error}");
}

#[cfg(unix)]
#[test]
fn names_that_are_not_utf8_are_refused() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.jpg");
    std::fs::write(folder.path().join(name), "x").unwrap();
    let error = Files::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("is not UTF-8"), "{error}");
}
