//! One kind of JPEG (ITU-R T.81), baseline and eight bits, written and read fast: preparing and feeding photographs is
//! little else, and it was most of the time with libraries. Every other kind is left to one.

mod decode;
mod encode;

pub(crate) use decode::{Window, decode, decode_planes};
pub(crate) use encode::Encoder;

/// Place in a block, by rows, of each coefficient as they are coded (figure A.6).
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Rows to columns, by three rounds of interleaving, for each of which processors have an instruction.
#[inline(always)]
fn transposed<T: Copy>(x: &[[T; 8]; 8]) -> [[T; 8]; 8] {
    let mut x = *x;
    for _ in 0..3 {
        let half = |from: usize, row: usize| -> [T; 8] {
            std::array::from_fn(|at| x[row + 4 * (at % 2)][from + at / 2])
        };
        x = std::array::from_fn(|row| half(4 * (row % 2), row / 2));
    }
    x
}
