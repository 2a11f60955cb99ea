//! The random stream of a [`Key`](crate::Key) on GPU backends, the same bits as on the processor.

use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// Rotates to the left.
#[cube]
fn rotated(word: u32, #[comptime] by: u32) -> u32 {
    (word << by) | (word >> comptime!(32 - by))
}

#[cube]
fn quarter(
    state: &mut Array<u32>,
    #[comptime] a: usize,
    #[comptime] b: usize,
    #[comptime] c: usize,
    #[comptime] d: usize,
) {
    state[a] += state[b];
    state[d] = rotated(state[d] ^ state[a], 16u32);
    state[c] += state[d];
    state[b] = rotated(state[b] ^ state[c], 12u32);
    state[a] += state[b];
    state[d] = rotated(state[d] ^ state[a], 8u32);
    state[c] += state[d];
    state[b] = rotated(state[b] ^ state[c], 7u32);
}

/// Returns block `number` of the ChaCha8 stream (Bernstein 2008) whose key is the eight words of `keys` from `first`.
#[cube]
pub(super) fn block(keys: &[u32], first: usize, number: u32) -> Array<u32> {
    let mut start = Array::<u32>::new(16usize);
    // "expand 32-byte k"
    start[0] = 0x6170_7865u32;
    start[1] = 0x3320_646eu32;
    start[2] = 0x7962_2d32u32;
    start[3] = 0x6b20_6574u32;
    #[unroll]
    for at in 0..8usize {
        start[at + 4] = keys[first + at];
    }
    start[12] = number;
    start[13] = 0u32;
    start[14] = 0u32;
    start[15] = 0u32;
    let mut state = Array::<u32>::new(16usize);
    #[unroll]
    for at in 0..16usize {
        state[at] = start[at];
    }
    for _ in 0..4u32 {
        quarter(&mut state, 0usize, 4usize, 8usize, 12usize);
        quarter(&mut state, 1usize, 5usize, 9usize, 13usize);
        quarter(&mut state, 2usize, 6usize, 10usize, 14usize);
        quarter(&mut state, 3usize, 7usize, 11usize, 15usize);
        quarter(&mut state, 0usize, 5usize, 10usize, 15usize);
        quarter(&mut state, 1usize, 6usize, 11usize, 12usize);
        quarter(&mut state, 2usize, 7usize, 8usize, 13usize);
        quarter(&mut state, 3usize, 4usize, 9usize, 14usize);
    }
    #[unroll]
    for at in 0..16usize {
        state[at] += start[at];
    }
    state
}
