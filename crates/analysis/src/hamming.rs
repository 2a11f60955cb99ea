//! Binary codes of images, and the nearest ones by Hamming distance.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Binary codes of images.
#[derive(Debug, Clone, PartialEq)]
pub struct Codes {
    bits: usize,
    words: Words,
}

/// The words of consecutive codes.
#[derive(Debug, Clone, PartialEq)]
enum Words {
    /// One word per code, for up to 32 bits.
    Short(Vec<u32>),
    /// As many words per code as needed.
    Long(Vec<u64>),
}

/// A row with a near code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alike {
    /// The row's number.
    pub row: usize,
    /// The number of bits that differ.
    pub distance: usize,
}

/// Queries compared with a block of codes while it is in the cache.
const TOGETHER: usize = 8;
/// Codes per block.
const CODES: usize = 1024;
/// Codes per group. The smallest distance of a group is known, so most groups are skipped quickly.
const GROUP: usize = 64;

impl Codes {
    /// Creates an empty set of codes with `bits` bits each.
    pub fn new(bits: usize) -> Self {
        let words = if bits <= 32 { Words::Short(Vec::new()) } else { Words::Long(Vec::new()) };
        Self { bits, words }
    }

    /// Appends the codes of rows of `bits` numbers. A bit is set where a number is above 0.
    pub fn extend(&mut self, rows: &[f32]) {
        for row in rows.chunks_exact(self.bits) {
            let set = |part: &[f32]| {
                let bits = part.iter().enumerate().filter(|(_, value)| **value > 0.0);
                bits.fold(0u64, |word, (at, _)| word | 1 << at)
            };
            match &mut self.words {
                Words::Short(words) => words.push(set(row) as u32),
                Words::Long(words) => words.extend(row.chunks(64).map(set)),
            }
        }
    }

    pub(crate) fn append(&mut self, other: Self) {
        match (&mut self.words, other.words) {
            (Words::Short(words), Words::Short(more)) => words.extend(more),
            (Words::Long(words), Words::Long(more)) => words.extend(more),
            _ => unreachable!("codes of one length"),
        }
    }

    /// The number of codes.
    pub fn len(&self) -> usize {
        match &self.words {
            Words::Short(words) => words.len(),
            Words::Long(words) => words.len() / self.bits.div_ceil(64),
        }
    }

    /// Returns the bits of a code, in the order of its numbers.
    ///
    /// # Panics
    /// If there is no such code.
    pub fn code(&self, row: usize) -> Vec<bool> {
        let set = |bit: usize| match &self.words {
            Words::Short(words) => words[row] >> bit & 1 == 1,
            Words::Long(words) => words[row * self.bits.div_ceil(64) + bit / 64] >> (bit % 64) & 1 == 1,
        };
        (0..self.bits).map(set).collect()
    }

    /// Returns whether there are no codes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of a code in memory.
    pub fn bytes(&self) -> usize {
        match &self.words {
            Words::Short(_) => 4,
            Words::Long(_) => 8 * self.bits.div_ceil(64),
        }
    }

    /// Computes the Hamming distances from a code to those of some rows, and the smallest distance in each
    /// group.
    fn distances(&self, arch: Arch, rows: Range<usize>, from: &Self, query: usize, out: &mut Distances) {
        let out = Distances { all: &mut out.all[..rows.len()], least: out.least };
        match (&self.words, &from.words) {
            (Words::Short(words), Words::Short(query_words)) => {
                let query = query_words[query];
                arch.dispatch(Short { words: &words[rows], query, out });
            }
            (Words::Long(words), Words::Long(query_words)) => {
                let of = self.bits.div_ceil(64);
                let query = &query_words[query * of..(query + 1) * of];
                arch.dispatch(Long { words: &words[rows.start * of..rows.end * of], query, out });
            }
            _ => unreachable!("codes of one length"),
        }
    }

    /// Returns the `k` codes that differ from each query in the fewest bits. Ties go to the earlier code. The
    /// search is exact.
    ///
    /// # Panics
    /// If the codes differ in length.
    pub fn nearest(&self, queries: &Self, k: usize) -> Vec<Vec<Alike>> {
        assert_eq!(self.bits, queries.bits, "codes of one length");
        let (arch, numbers) = (Arch::new(), (0..queries.len()).collect::<Vec<usize>>());
        let together = numbers.par_chunks(TOGETHER).flat_map_iter(|chunk| {
            let mut found: Vec<Vec<Alike>> = vec![Vec::with_capacity(k + 1); chunk.len()];
            let (mut all, mut least) = ([0u16; CODES], [0u16; CODES / GROUP]);
            let mut out = Distances { all: &mut all, least: &mut least };
            for start in (0..self.len()).step_by(CODES) {
                let rows = start..(start + CODES).min(self.len());
                for (found, &query) in found.iter_mut().zip(chunk) {
                    self.distances(arch, rows.clone(), queries, query, &mut out);
                    let worst = |found: &[Alike]| {
                        if found.len() < k { u16::MAX } else { found[k - 1].distance as u16 }
                    };
                    let mut limit = worst(found);
                    let groups = out.all[..rows.len()].chunks(GROUP).zip(&*out.least).enumerate();
                    for (group, (distances, &least)) in groups {
                        if least >= limit {
                            continue;
                        }
                        for (at, &distance) in distances.iter().enumerate() {
                            if distance < limit {
                                let (row, distance) = (start + group * GROUP + at, usize::from(distance));
                                let place = found.partition_point(|other| other.distance <= distance);
                                found.insert(place, Alike { row, distance });
                                found.truncate(k);
                                limit = worst(found);
                            }
                        }
                    }
                }
            }
            found
        });
        together.collect()
    }

    /// Returns for each query the share of its `k` nearest codes for which `same` is true. If only some of
    /// the equally near codes fit into the `k`, they count in proportion, since the order of rows has no
    /// meaning.
    pub fn precision(
        &self,
        queries: &Self,
        k: usize,
        same: &(dyn Fn(usize, usize) -> bool + Sync),
    ) -> Vec<f64> {
        let arch = Arch::new();
        let each = (0..queries.len()).into_par_iter().map(|query| {
            let mut levels = vec![(0usize, 0usize); self.bits + 1];
            let (mut all, mut least) = ([0u16; CODES], [0u16; CODES / GROUP]);
            let mut out = Distances { all: &mut all, least: &mut least };
            for start in (0..self.len()).step_by(CODES) {
                let rows = start..(start + CODES).min(self.len());
                self.distances(arch, rows.clone(), queries, query, &mut out);
                for (at, distance) in out.all[..rows.len()].iter().enumerate() {
                    let level = &mut levels[usize::from(*distance)];
                    level.0 += 1;
                    level.1 += usize::from(same(query, start + at));
                }
            }
            let (mut left, mut right) = (k.min(self.len()), 0.0);
            let asked = left.max(1) as f64;
            for (all, same) in levels.into_iter().filter(|(all, _)| *all > 0) {
                let taken = left.min(all);
                right += taken as f64 * same as f64 / all as f64;
                left -= taken;
            }
            right / asked
        });
        each.collect()
    }
}

/// Buffers for the distances.
struct Distances<'a> {
    all: &'a mut [u16],
    least: &'a mut [u16],
}

impl Distances<'_> {
    /// Computes the distances for groups of codes with `of` words each.
    #[inline(always)]
    fn fill<W>(self, words: &[W], of: usize, distance: impl Fn(&[W]) -> u16) {
        let groups = self.all.chunks_mut(GROUP).zip(words.chunks(GROUP * of)).zip(self.least);
        for ((all, words), least) in groups {
            all.iter_mut().zip(words.chunks_exact(of)).for_each(|(out, words)| *out = distance(words));
            *least = all.iter().fold(u16::MAX, |least, distance| least.min(*distance));
        }
    }
}

struct Short<'a> {
    words: &'a [u32],
    query: u32,
    out: Distances<'a>,
}

impl WithSimd for Short<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { words, query, out } = self;
        out.fill(words, 1, |word| (word[0] ^ query).count_ones() as u16);
    }
}

struct Long<'a> {
    words: &'a [u64],
    query: &'a [u64],
    out: Distances<'a>,
}

impl WithSimd for Long<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { words, query, out } = self;
        let Ok(query) = <&[u64; 4]>::try_from(query) else {
            return out.fill(words, query.len(), |words| {
                let bits = words.iter().zip(query).map(|(word, query)| (word ^ query).count_ones());
                bits.sum::<u32>() as u16
            });
        };
        // 256 bits, the longer code of Krizhevsky & Hinton.
        out.fill(words, 4, |words| {
            let bits = |at: usize| (words[at] ^ query[at]).count_ones();
            (bits(0) + bits(1) + bits(2) + bits(3)) as u16
        });
    }
}

#[cfg(test)]
mod tests {
    use alexnet_ops::Key;

    use super::*;

    /// Numbers with random signs.
    fn signs(count: usize, salt: usize) -> Vec<f32> {
        use rand_chacha::rand_core::Rng;
        let mut rng = Key::new([salt as u64, 0, 0, 0]).rng();
        (0..count).map(|_| if rng.next_u32().is_multiple_of(2) { 1.0 } else { -1.0 }).collect()
    }

    #[test]
    fn nearest_codes_are_those_of_comparing_all_bit_by_bit() {
        for bits in [28, 32, 64, 100, 256] {
            let (count, asked, k) = (CODES + 77, TOGETHER + 3, 9);
            let (rows, asking) = (signs(count * bits, bits), signs(asked * bits, bits + 1));
            let (mut codes, mut queries) = (Codes::new(bits), Codes::new(bits));
            codes.extend(&rows);
            queries.extend(&asking);
            assert_eq!(
                (codes.len(), codes.bytes()),
                (count, if bits <= 32 { 4 } else { bits.div_ceil(64) * 8 })
            );
            let found = codes.nearest(&queries, k);
            let same = |query: usize, row: usize| (query + row).is_multiple_of(3);
            let precision = codes.precision(&queries, k, &same);
            for (query, asking) in asking.chunks_exact(bits).enumerate() {
                let differ = |row: &[f32]| row.iter().zip(asking).filter(|(a, b)| a != b).count();
                let mut all: Vec<(usize, usize)> =
                    rows.chunks_exact(bits).map(differ).enumerate().map(|(row, far)| (far, row)).collect();
                all.sort_unstable();
                let expected = all[..k].iter().map(|&(distance, row)| Alike { row, distance });
                assert_eq!(found[query], expected.collect::<Vec<_>>(), "{bits} bits");
                // Rows tied with the last of the k count by their share.
                let last = all[k - 1].0;
                let (inside, tied): (Vec<_>, Vec<_>) =
                    all.iter().filter(|(far, _)| *far <= last).partition(|(far, _)| *far < last);
                let count = |rows: &[&(usize, usize)]| {
                    rows.iter().filter(|(_, row)| same(query, *row)).count() as f64
                };
                let expected = count(&inside) + count(&tied) / tied.len() as f64 * (k - inside.len()) as f64;
                assert!((precision[query] - expected / k as f64).abs() < 1e-12, "{bits} bits");
            }
        }
    }
}
