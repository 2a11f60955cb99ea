//! Reads gzip streams as gzip does: all members up to the end, then padding.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;

/// The first bytes of a gzip stream.
pub(crate) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The unpacked data of all members of a gzip stream. Zeros after the last member are padding; anything else there
/// is an error.
pub(crate) struct Gzip<R> {
    /// `None` after the last member.
    member: Option<GzDecoder<BufReader<R>>>,
}

impl<R: Read> Gzip<R> {
    pub(crate) fn new(stream: R) -> Self {
        Self { member: Some(GzDecoder::new(BufReader::new(stream))) }
    }
}

/// Returns whether another member begins. Skips padding.
fn another(stream: &mut impl BufRead) -> io::Result<bool> {
    let mut padded = false;
    loop {
        let bytes = stream.fill_buf()?;
        match bytes.first() {
            None => return Ok(false),
            Some(0) => {
                padded = true;
                let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
                stream.consume(zeros);
            }
            Some(&first) if first == MAGIC[0] && !padded => return Ok(true),
            Some(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "bytes behind its end are neither gzip nor zeros",
                ));
            }
        }
    }
}

impl<R: Read> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(member) = self.member.take() else { break };
            let mut rest = member.into_inner();
            self.member = another(&mut rest)?.then(|| GzDecoder::new(rest));
        }
        Ok(0)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use super::*;

    /// Packs bytes into one gzip member.
    pub(crate) fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        Gzip::new(bytes).read_to_end(&mut out).map_err(|error| error.to_string())?;
        Ok(out)
    }

    #[test]
    fn all_members_are_read_and_padding_is_not() {
        let two = [packed(b"one, "), packed(b""), packed(b"two")].concat();
        assert_eq!(read(&two).unwrap(), b"one, two");
        assert_eq!(read(&[&two[..], &[0; 600]].concat()).unwrap(), b"one, two");
        for garbage in [&b"x"[..], b"\0\0x", b"\x1f\x8bx"] {
            assert!(read(&[&two[..], garbage].concat()).is_err(), "{garbage:?}");
        }
        assert!(read(&two[..two.len() - 3]).is_err());
        assert!(read(b"no gzip").is_err());
    }
}
