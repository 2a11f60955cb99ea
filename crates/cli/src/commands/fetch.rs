//! `data fetch`: downloads files, verifies them, and resumes interrupted downloads.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use alexnet_data::{Manifest, RemoteFile, file_sha256};
use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

use crate::data_sets::{fetched, find_data, with_files};
use crate::interrupted::Interrupted;
use crate::output::{can_redraw, note, print};

/// Downloads every missing file of a data set.
pub(crate) fn fetch(manifest: &Manifest, stop: &AtomicBool) -> Result<()> {
    if let Some(path) = find_data(manifest) {
        print(&format!("{} is already here: {}", manifest.name, path.display()));
        return Ok(());
    }
    let manifest = &with_files(manifest)?;
    if manifest.files.is_empty() {
        bail!("`{}` cannot be downloaded: {}", manifest.name, manifest.origin);
    }
    let folder = fetched().join(&manifest.name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot write {}", folder.display()))?;
    for file in &manifest.files {
        fetch_file(file, &folder, stop).with_context(|| {
            format!(
                "cannot fetch {}; put the file by hand at {} (from {})",
                file.name,
                folder.join(&file.name).display(),
                file.url,
            )
        })?;
    }
    print(&format!("{} is in {}", manifest.name, folder.display()));
    Ok(())
}

/// Downloads a file whose SHA-256 begins with `hash`.
pub(crate) fn fetch_weights(url: &str, hash: &str, target: &Path) -> Result<()> {
    let name = url.rsplit('/').next().unwrap_or(url).to_owned();
    let file = RemoteFile { name, url: url.to_owned(), sha256: hash.to_owned(), bytes: None };
    let folder = target.parent().unwrap_or(Path::new(""));
    fetch_file(&file, folder, &crate::interrupted::STOP)
}

fn fetch_file(file: &RemoteFile, folder: &Path, stop: &AtomicBool) -> Result<()> {
    let target = folder.join(&file.name);
    if target.is_file() {
        return check(file, &target);
    }
    let partial = folder.join(format!("{}.part", file.name));
    let have = fs::metadata(&partial).map_or(0, |metadata| metadata.len());
    // A file of unknown size is whole if its checksum is right.
    let is_whole = match file.bytes {
        Some(bytes) => bytes == have,
        None => have > 0 && check(file, &partial).is_ok(),
    };
    if !is_whole {
        download(file, &partial, have, stop)?;
    }
    if let Err(error) = check(file, &partial) {
        // Otherwise, the next download would continue the wrong file.
        let _ = fs::remove_file(&partial);
        return Err(error);
    }
    fs::rename(&partial, &target).with_context(|| format!("cannot write {}", target.display()))
}

fn download(file: &RemoteFile, partial: &Path, have: u64, stop: &AtomicBool) -> Result<()> {
    let mut request = ureq::get(&file.url);
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    let response = match request.call() {
        // The server has no further bytes, and the checksum is wrong: the file is fetched from its start.
        Err(ureq::Error::StatusCode(416)) if have > 0 => ureq::get(&file.url).call()?,
        response => response?,
    };
    // A server that ignores the range sends the whole file.
    let resumed = response.status() == 206;
    let have = if resumed { have } else { 0 };
    let mut out: File =
        OpenOptions::new().create(true).write(true).append(resumed).truncate(!resumed).open(partial)?;
    let total = file.bytes.or_else(|| Some(have + response.body().content_length()?));
    let bar = if can_redraw() {
        let bar = ProgressBar::new(total.unwrap_or(0));
        bar.set_style(ProgressStyle::with_template(
            "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left",
        )?);
        bar.with_message(file.name.clone())
    } else {
        note(&format!("downloading {} from {}", file.name, file.url));
        ProgressBar::hidden()
    };
    bar.set_position(have);
    let mut body = response.into_body().into_reader();
    let mut buffer = vec![0; 1 << 16];
    loop {
        if stop.load(Ordering::SeqCst) {
            let why = "interrupted; the same command goes on with the download";
            return Err(Interrupted(why.to_owned()).into());
        }
        match body.read(&mut buffer)? {
            0 => break,
            read => {
                out.write_all(&buffer[..read])?;
                bar.inc(read as u64);
            }
        }
    }
    out.sync_all()?;
    bar.finish_and_clear();
    Ok(())
}

fn check(file: &RemoteFile, path: &Path) -> Result<()> {
    let found = file_sha256(path)?;
    // PyTorch's file names have the first digits of the checksum.
    if file.sha256.is_empty() || !found.starts_with(&file.sha256) {
        bail!("{} has SHA-256 {found}, expected {}", path.display(), file.sha256);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    use super::*;

    /// Serves a file to as many requests, and returns its address. A request for later bytes gets status 416.
    fn serve(body: &'static [u8], requests: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/file", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming().take(requests) {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
                let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let is_later = head.iter().any(|line| line.to_ascii_lowercase().starts_with("range:"));
                let (status, body) =
                    if is_later { ("416 Range Not Satisfiable", &b""[..]) } else { ("200 OK", body) };
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                stream.write_all(head.as_bytes()).unwrap();
                stream.write_all(body).unwrap();
            }
        });
        address
    }

    fn of_unknown_size(url: String, body: &[u8]) -> RemoteFile {
        let copy = tempfile::NamedTempFile::new().unwrap();
        fs::write(copy.path(), body).unwrap();
        let sha256 = file_sha256(copy.path()).unwrap();
        RemoteFile { name: "file".to_owned(), url, sha256, bytes: None }
    }

    #[test]
    fn a_whole_file_of_unknown_size_is_not_fetched_again() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file.part"), "whole").unwrap();
        let file = of_unknown_size("http://127.0.0.1:1/nobody-listens".to_owned(), b"whole");
        fetch_file(&file, folder.path(), &AtomicBool::new(false)).unwrap();
        assert_eq!(fs::read(folder.path().join("file")).unwrap(), b"whole");
        assert!(!folder.path().join("file.part").exists());
    }

    #[test]
    fn a_wrong_part_that_cannot_be_continued_is_fetched_from_its_start() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file.part"), "wrong").unwrap();
        let file = of_unknown_size(serve(b"right", 2), b"right");
        fetch_file(&file, folder.path(), &AtomicBool::new(false)).unwrap();
        assert_eq!(fs::read(folder.path().join("file")).unwrap(), b"right");
    }
}
