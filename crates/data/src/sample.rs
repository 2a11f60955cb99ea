//! Hashes some of a file's bytes instead of all: enough to detect that another file has replaced it.

use std::io;

use sha2::{Digest, Sha256};

/// The size of a block in bytes.
const BLOCK: u64 = 4096;
/// One block is hashed in each interval of this many bytes.
const EVERY: u64 = 1 << 20;

/// Returns the SHA-256 of a file's length and of blocks of 4 KiB: the first, the middle and the last block, and one
/// in each MiB. `read` fills a buffer from an offset. Files of up to 12 KiB are hashed whole.
///
/// # Errors
/// If `read` fails.
pub(crate) fn digest(length: u64, read: impl Fn(u64, &mut [u8]) -> io::Result<()>) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    hash.update(length.to_le_bytes());
    let mut block = |start: u64, end: u64| {
        let mut bytes = [0; 3 * BLOCK as usize];
        let bytes = &mut bytes[..(end - start) as usize];
        read(start, bytes)?;
        hash.update(bytes);
        Ok::<_, io::Error>(())
    };
    if length <= 3 * BLOCK {
        block(0, length)?;
    } else {
        for start in (0..length - BLOCK).step_by(EVERY as usize) {
            block(start, start + BLOCK)?;
        }
        let middle = (length - BLOCK) / 2;
        block(middle, middle + BLOCK)?;
        block(length - BLOCK, length)?;
    }
    Ok(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> [u8; 32] {
        let read = |start: u64, buffer: &mut [u8]| {
            buffer.copy_from_slice(&bytes[start as usize..][..buffer.len()]);
            Ok(())
        };
        digest(bytes.len() as u64, read).unwrap()
    }

    #[test]
    fn length_and_blocks_count() {
        for length in [0, 1, 12_288, 12_289, 100_000, (2 << 20) + 5000] {
            let bytes = vec![7; length];
            let whole = of(&bytes);
            assert_ne!(whole, of(&vec![7; length + 1]), "{length}");
            for at in [0, length / 2, length.saturating_sub(1)] {
                let mut changed = bytes.clone();
                if let Some(byte) = changed.get_mut(at) {
                    *byte = 8;
                    assert_ne!(whole, of(&changed), "{length}, byte {at}");
                }
            }
        }
        let bytes = vec![7; 3 << 20];
        let mut changed = bytes.clone();
        changed[(1 << 20) + 9] = 8;
        assert_ne!(of(&bytes), of(&changed));
    }
}
