use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The source of a random draw: up to four words that name it, such as (seed, epoch, sample, purpose).
///
/// The words are the key of a ChaCha8 stream. Draws with different keys are independent, and no draw depends
/// on earlier ones. All draws are the same on every machine and backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u64; 4]);

impl Key {
    /// Makes a key from these words.
    pub fn new(words: [u64; 4]) -> Self {
        Self(words)
    }

    /// Hashes a name to a word with 64-bit FNV-1a, which is stable across platforms and versions.
    pub fn word(name: &str) -> u64 {
        name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }

    /// Returns this key with its last word replaced by the hash of `purpose`.
    pub fn with_purpose(self, purpose: &str) -> Self {
        let [a, b, c, _] = self.0;
        Self([a, b, c, Self::word(purpose)])
    }

    /// Returns this key's stream of random numbers, from its start.
    pub fn rng(self) -> ChaCha8Rng {
        let mut seed = [0; 32];
        for (bytes, word) in seed.chunks_exact_mut(4).zip(self.halves()) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        ChaCha8Rng::from_seed(seed)
    }

    /// Returns the eight words of 32 bits that are the key of the ChaCha8 stream.
    pub(crate) fn halves(self) -> [u32; 8] {
        std::array::from_fn(|at| (self.0[at / 2] >> (at % 2 * 32)) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::Rng;

    #[test]
    fn a_stream_is_a_function_of_its_key_alone() {
        let key = Key::new([1, 2, 3, 4]);
        let first = key.rng().next_u64();
        assert_eq!(first, Key::new([1, 2, 3, 4]).rng().next_u64());
        for other in [[0, 2, 3, 4], [1, 0, 3, 4], [1, 2, 0, 4], [1, 2, 3, 0]] {
            assert_ne!(first, Key::new(other).rng().next_u64());
        }
        assert_ne!(key.with_purpose("crop"), key.with_purpose("flip"));
    }

    #[test]
    fn words_are_fnv_1a() {
        // Test vector from the authors of FNV.
        assert_eq!(Key::word("foobar"), 0x85944171f73967e8);
    }
}
