//! Writes a shard: a tar and its index at once.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::DataError;
use crate::checksum::hex;
use crate::label::BoundingBox;
use crate::shard_index::{INDEX_HEADER, row};

/// Bytes of a shard that may await writing to disk. The limit shortens the wait at the shard's end, when all
/// threads wait.
const UNWRITTEN: u64 = 1 << 23;

/// Returns the header of a NumPy file of bytes, version 1.0. It has 128 bytes, all ASCII except the first and the
/// version.
pub(crate) fn numpy_header(size: usize) -> [u8; 128] {
    let mut bytes = [b' '; 128];
    bytes[..10].copy_from_slice(b"\x93NUMPY\x01\x00\x76\x00");
    let text = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({size}, {size}, 3), }}");
    bytes[10..10 + text.len()].copy_from_slice(text.as_bytes());
    bytes[127] = b'\n';
    bytes
}

/// Writes a tar and its index together.
pub(crate) struct Writer {
    tar: tar::Builder<Hashing<BufWriter<File>>>,
    index: String,
    /// The number of bytes at the last sync.
    on_disk: u64,
}

/// Counts and hashes the bytes that pass through.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.hash.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl Writer {
    pub(crate) fn create(path: &Path) -> Result<Self, DataError> {
        let file = File::create(path).map_err(DataError::write(path))?;
        let inner = BufWriter::with_capacity(1 << 20, file);
        let tar = tar::Builder::new(Hashing { inner, hash: Sha256::new(), bytes: 0 });
        Ok(Self { tar, index: format!("{INDEX_HEADER}\n"), on_disk: 0 })
    }

    fn member(&mut self, name: &str, bytes: &[u8]) -> io::Result<u64> {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        self.tar.append_data(&mut header, name, bytes)?;
        // Data is padded to whole blocks.
        Ok(self.tar.get_ref().bytes - (bytes.len() as u64).next_multiple_of(512))
    }

    pub(crate) fn add(&mut self, image: &Image) -> io::Result<()> {
        let offset = self.member(&format!("{}.{}", image.key, image.extension), &image.bytes)?;
        self.member(&format!("{}.cls", image.key), image.label.to_string().as_bytes())?;
        self.index.push_str(&row(&image.key, offset, image.bytes.len(), image.label, &image.boxes));
        let Hashing { inner, bytes, .. } = self.tar.get_ref();
        if bytes - self.on_disk > UNWRITTEN {
            inner.get_ref().sync_data()?;
            self.on_disk = *bytes;
        }
        Ok(())
    }

    /// Returns the tar's checksum and length, and the index.
    pub(crate) fn finish(self) -> io::Result<(String, u64, String)> {
        let Hashing { inner, hash, bytes } = self.tar.into_inner()?;
        inner.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok((hex(&hash.finalize()), bytes, self.index))
    }
}

pub(crate) struct Image {
    pub(crate) key: String,
    pub(crate) extension: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) label: u32,
    pub(crate) boxes: Vec<BoundingBox>,
}
