//! One kind of JPEG (ITU-R T.81), baseline and eight bits, written and read fast: preparing and feeding photographs is
//! little else, and it was most of the time with libraries. Every other kind is left to one.

mod decode;
mod encode;

pub(crate) use decode::{Window, decode, decode_planes};
pub(crate) use encode::Encoder;

/// Eight rows of eight values.
type Block = [[f32; 8]; 8];

/// Place in a block, by rows, of each coefficient as they are coded (figure A.6).
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// The scale of each row and column that the fast cosine transforms leave in their results or want in their inputs
/// (Arai, Agui and Nakajima 1988): √2 cos(kπ/16), and 1 for k = 0.
const TRANSFORM_SCALE: [f32; 8] =
    [1.0, 1.387_039_8, 1.306_563, 1.175_875_6, 1.0, 0.785_694_96, 0.541_196_1, 0.275_899_38];

/// Added to a float, this makes its lowest bits the nearest integer.
const TO_INTEGER: f32 = 12_582_912.0;

#[inline(always)]
fn transposed(x: &Block) -> Block {
    std::array::from_fn(|row| std::array::from_fn(|column| x[column][row]))
}
