//! Squares of pixels to files: colour at half the resolution, the standard's own Huffman codes.

use pulp::{Arch, Simd, WithSimd};

use super::{ZIGZAG, transposed};

/// Eight rows of eight values.
type Block = [[f32; 8]; 8];

/// The scale of each row and column that the fast cosine transform leaves in its results (Arai, Agui and Nakajima 1988):
/// √2 cos(kπ/16), and 1 for k = 0.
const TRANSFORM_SCALE: [f32; 8] =
    [1.0, 1.387_039_8, 1.306_563, 1.175_875_6, 1.0, 0.785_694_96, 0.541_196_1, 0.275_899_38];

/// Added to a float, this makes its lowest bits the nearest integer.
const TO_INTEGER: f32 = 12_582_912.0;

/// Steps of quantization at quality 50 (tables K.1 and K.2), by rows.
const LUMINANCE: [u8; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17,
    22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78,
    87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
];
const CHROMINANCE: [u8; 64] = [
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
];

/// Huffman codes (tables K.3 to K.6): how many of each length from 1 to 16, then what they stand for.
struct Code {
    lengths: [u8; 16],
    symbols: &'static [u8],
}

const DC_SYMBOLS: &[u8] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
const DC_LUMINANCE: Code =
    Code { lengths: [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], symbols: DC_SYMBOLS };
const DC_CHROMINANCE: Code =
    Code { lengths: [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], symbols: DC_SYMBOLS };
const AC_LUMINANCE: Code = Code {
    lengths: [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125],
    symbols: &[
        0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22,
        0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33,
        0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34,
        0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55,
        0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76,
        0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96,
        0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5,
        0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4,
        0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1,
        0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
    ],
};
const AC_CHROMINANCE: Code = Code {
    lengths: [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119],
    symbols: &[
        0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13,
        0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62,
        0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29,
        0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54,
        0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75,
        0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94,
        0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3,
        0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2,
        0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea,
        0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
    ],
};

/// Everything but the pixels: the same for every image of a quality.
pub(crate) struct Encoder {
    /// Luminance and chrominance: quantization steps by rows, and what a transformed block is multiplied by.
    steps: [[u8; 64]; 2],
    factors: [[[f32; 8]; 8]; 2],
    /// Bits and length of each symbol, direct current and the others.
    dc: [[(u32, u32); 256]; 2],
    ac: [[(u32, u32); 256]; 2],
}

impl Encoder {
    /// Of a quality of 1 to 100, in the Independent JPEG Group's scale.
    pub(crate) fn new(quality: u8) -> Self {
        let quality = u32::from(quality.clamp(1, 100));
        let percent = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
        let steps = [LUMINANCE, CHROMINANCE]
            .map(|table| table.map(|step| ((u32::from(step) * percent + 50) / 100).clamp(1, 255) as u8));
        // A transformed block is transposed, so its factors are; eight is the scale of the plain transform.
        let factor = |steps: &[u8; 64], column: usize, row: usize| {
            1.0 / (8.0 * f32::from(steps[row * 8 + column]) * TRANSFORM_SCALE[row] * TRANSFORM_SCALE[column])
        };
        let factors = [0, 1].map(|table| {
            std::array::from_fn(|column| std::array::from_fn(|row| factor(&steps[table], column, row)))
        });
        Self {
            steps,
            factors,
            dc: [bits(&DC_LUMINANCE), bits(&DC_CHROMINANCE)],
            ac: [bits(&AC_LUMINANCE), bits(&AC_CHROMINANCE)],
        }
    }

    /// The file of an image of `[side, side, 3]`.
    pub(crate) fn encode(&self, pixels: &[u8], side: usize) -> Vec<u8> {
        assert!(side > 0 && side <= 0xffff && pixels.len() == side * side * 3);
        let mut out = Vec::with_capacity(pixels.len() / 3 + 1024);
        self.header(side as u16, &mut out);
        Arch::new().dispatch(Scan { encoder: self, pixels, side, out: &mut out });
        out.extend([0xff, 0xd9]);
        out
    }

    fn header(&self, side: u16, out: &mut Vec<u8>) {
        out.extend([0xff, 0xd8]);
        let mut segment = |marker: u8, parts: &[&[u8]]| {
            let length: usize = parts.iter().map(|part| part.len()).sum();
            out.extend([0xff, marker]);
            out.extend(((length + 2) as u16).to_be_bytes());
            parts.iter().for_each(|part| out.extend_from_slice(part));
        };
        let [high, low] = side.to_be_bytes();
        segment(0xe0, &[b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"]);
        for (number, steps) in (0..).zip(&self.steps) {
            segment(0xdb, &[&[number], &ZIGZAG.map(|place| steps[usize::from(place)])]);
        }
        // Three components, the first with twice the samples of the others both ways.
        segment(0xc0, &[&[8, high, low, high, low, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1]]);
        for (number, code) in
            [(0x00, DC_LUMINANCE), (0x10, AC_LUMINANCE), (0x01, DC_CHROMINANCE), (0x11, AC_CHROMINANCE)]
        {
            segment(0xc4, &[&[number], &code.lengths, code.symbols]);
        }
        segment(0xda, &[&[3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0]]);
    }
}

/// Bits and length of each symbol's code (annex C).
fn bits(code: &Code) -> [(u32, u32); 256] {
    let mut table = [(0, 0); 256];
    let (mut next, mut symbols) = (0, code.symbols.iter());
    for (length, &count) in (1..).zip(&code.lengths) {
        for &symbol in symbols.by_ref().take(count.into()) {
            table[usize::from(symbol)] = (next, length);
            next += 1;
        }
        next <<= 1;
    }
    table
}

/// The coded pixels.
struct Scan<'a> {
    encoder: &'a Encoder,
    pixels: &'a [u8],
    side: usize,
    out: &'a mut Vec<u8>,
}

impl WithSimd for Scan<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { encoder, pixels, side, out } = self;
        let wide = side.next_multiple_of(16);
        // Sixteen rows: luminance, and chrominance before and after it is halved.
        let mut rows = vec![0.0f32; 3 * 16 * wide];
        let mut halved = vec![0.0f32; 2 * 8 * wide / 2];
        let mut writer = Writer { out, waiting: Waiting { bits: 0, count: 0 } };
        let mut before = [0; 3];
        for top in (0..side).step_by(16) {
            let (luminance, chrominance) = rows.split_at_mut(16 * wide);
            let (blue, red) = chrominance.split_at_mut(16 * wide);
            for y in 0..16 {
                // What is beyond the edge repeats it.
                let from = &pixels[(top + y).min(side - 1) * side * 3..][..side * 3];
                let [y_row, b_row, r_row] =
                    [&mut *luminance, &mut *blue, &mut *red].map(|rows| &mut rows[y * wide..(y + 1) * wide]);
                let (from, _) = from.as_chunks::<3>();
                for (((rgb, y), b), r) in from.iter().zip(&mut *y_row).zip(&mut *b_row).zip(&mut *r_row) {
                    let [red, green, blue] = [f32::from(rgb[0]), f32::from(rgb[1]), f32::from(rgb[2])];
                    // ITU-R BT.601, about zero.
                    *y = 0.299 * red + 0.587 * green + 0.114 * blue - 128.0;
                    *b = -0.168_735_9 * red - 0.331_264_1 * green + 0.5 * blue;
                    *r = 0.5 * red - 0.418_687_6 * green - 0.081_312_4 * blue;
                }
                for row in [y_row, b_row, r_row] {
                    let last = row[side - 1];
                    row[side..].fill(last);
                }
            }
            for (half, full) in halved.chunks_exact_mut(4 * wide).zip([&*blue, &*red]) {
                for (half, full) in half.chunks_exact_mut(wide / 2).zip(full.chunks_exact(2 * wide)) {
                    let (upper, lower) = full.split_at(wide);
                    let pairs = upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0);
                    for (half, (upper, lower)) in half.iter_mut().zip(pairs) {
                        *half = (upper[0] + upper[1] + lower[0] + lower[1]) * 0.25;
                    }
                }
            }
            let (half_blue, half_red) = halved.split_at(4 * wide);
            for left in (0..wide).step_by(16) {
                for (down, right) in [(0, 0), (0, 8), (8, 0), (8, 8)] {
                    let block = block(&luminance[down * wide + left + right..], wide);
                    before[0] = writer.block(block, encoder, 0, before[0]);
                }
                before[1] = writer.block(block(&half_blue[left / 2..], wide / 2), encoder, 1, before[1]);
                before[2] = writer.block(block(&half_red[left / 2..], wide / 2), encoder, 1, before[2]);
            }
        }
        writer.end();
    }
}

/// Eight rows of eight values.
#[inline(always)]
fn block(values: &[f32], stride: usize) -> Block {
    std::array::from_fn(|row| {
        let eight: &[f32; 8] = values[row * stride..].first_chunk().expect("whole blocks");
        *eight
    })
}

/// The cosine transform of eight rows at once, each column by itself, scaled as [`TRANSFORM_SCALE`] says (Arai, Agui and
/// Nakajima 1988; five multiplications).
#[inline(always)]
fn transform(x: &Block) -> Block {
    #[inline(always)]
    fn each(a: [f32; 8], b: [f32; 8], f: impl Fn(f32, f32) -> f32) -> [f32; 8] {
        std::array::from_fn(|at| f(a[at], b[at]))
    }
    let add = |a, b| each(a, b, |a, b| a + b);
    let sub = |a, b| each(a, b, |a, b| a - b);
    let times = |a, factor: f32| each(a, a, move |a, _| a * factor);
    let (s0, d0) = (add(x[0], x[7]), sub(x[0], x[7]));
    let (s1, d1) = (add(x[1], x[6]), sub(x[1], x[6]));
    let (s2, d2) = (add(x[2], x[5]), sub(x[2], x[5]));
    let (s3, d3) = (add(x[3], x[4]), sub(x[3], x[4]));
    // Even.
    let (a0, a3) = (add(s0, s3), sub(s0, s3));
    let (a1, a2) = (add(s1, s2), sub(s1, s2));
    let even = times(add(a2, a3), std::f32::consts::FRAC_1_SQRT_2);
    // Odd.
    let (b0, b1, b2) = (add(d3, d2), add(d2, d1), add(d1, d0));
    let rotated = times(sub(b0, b2), 0.382_683_43);
    let (c0, c2) = (add(times(b0, 0.541_196_1), rotated), add(times(b2, 1.306_563), rotated));
    let c1 = times(b1, std::f32::consts::FRAC_1_SQRT_2);
    let (e0, e1) = (add(d0, c1), sub(d0, c1));
    [
        add(a0, a1),
        add(e0, c2),
        add(a3, even),
        sub(e1, c0),
        sub(a0, a1),
        add(e1, c0),
        sub(a3, even),
        sub(e0, c2),
    ]
}

/// The coefficients of a transposed block as they are coded. Written out, since each place must be a constant.
#[inline(always)]
fn in_coding_order(q: &[i16; 64]) -> [i16; 64] {
    [
        q[0], q[8], q[1], q[2], q[9], q[16], q[24], q[17], q[10], q[3], q[4], q[11], q[18], q[25], q[32],
        q[40], q[33], q[26], q[19], q[12], q[5], q[6], q[13], q[20], q[27], q[34], q[41], q[48], q[56],
        q[49], q[42], q[35], q[28], q[21], q[14], q[7], q[15], q[22], q[29], q[36], q[43], q[50], q[57],
        q[58], q[51], q[44], q[37], q[30], q[23], q[31], q[38], q[45], q[52], q[59], q[60], q[53], q[46],
        q[39], q[47], q[54], q[61], q[62], q[55], q[63],
    ]
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    waiting: Waiting,
}

/// Bits that are still to be written. Copied, so that it may live in registers.
#[derive(Clone, Copy)]
struct Waiting {
    /// The lowest `count`; fewer than 32 between calls.
    bits: u64,
    count: u32,
}

impl Waiting {
    /// Adds up to 32 bits.
    #[inline(always)]
    fn put(&mut self, out: &mut Vec<u8>, bits: u32, length: u32) {
        self.bits = (self.bits << length) | u64::from(bits);
        self.count += length;
        if self.count >= 32 {
            self.count -= 32;
            let word = (self.bits >> self.count) as u32;
            // A byte of ones: the borrow of 1 from its complement.
            if word & 0x8080_8080 & (!word).wrapping_sub(0x0101_0101) == 0 {
                out.extend_from_slice(&word.to_be_bytes());
            } else {
                stuffed(out, word);
            }
        }
    }

    /// Codes a value behind so many zeros: the code of its length, then its bits.
    #[inline(always)]
    fn value(&mut self, out: &mut Vec<u8>, code: &[(u32, u32); 256], zeros: u32, value: i32) {
        let length = 32 - value.unsigned_abs().leading_zeros();
        let (bits, code_length) = code[((zeros | length) & 0xff) as usize];
        // Of a negative number, the bits of one less.
        let low = (value + (value >> 31)) as u32 & ((1 << length) - 1);
        self.put(out, (bits << length) | low, code_length + length);
    }
}

/// A byte of ones is followed by one of zeros, lest it look like a marker.
#[cold]
#[inline(never)]
fn stuffed(out: &mut Vec<u8>, word: u32) {
    for byte in word.to_be_bytes() {
        out.push(byte);
        if byte == 0xff {
            out.push(0);
        }
    }
}

impl Writer<'_> {
    /// Codes a block; returns its first coefficient, which the next block's is told by.
    #[inline(always)]
    fn block(&mut self, block: Block, encoder: &Encoder, table: usize, before: i32) -> i32 {
        let block = transform(&transposed(&transform(&block)));
        let factors = &encoder.factors[table];
        let mut quantized = [0i16; 64];
        for ((row, factors), out) in block.iter().zip(factors).zip(quantized.as_chunks_mut::<8>().0) {
            for ((value, factor), out) in row.iter().zip(factors).zip(out) {
                *out = (value * factor + TO_INTEGER).to_bits().wrapping_sub(TO_INTEGER.to_bits()) as i16;
            }
        }
        let values = in_coding_order(&quantized);
        let mut nonzero = 0u64;
        for (at, eight) in values.as_chunks::<8>().0.iter().enumerate() {
            // Eight bytes of 0 or 1, gathered into the highest byte by a multiplication.
            let flags = u64::from_le_bytes(eight.map(|value| u8::from(value != 0)));
            nonzero |= (flags.wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * at);
        }
        let first = i32::from(values[0]);
        let mut waiting = self.waiting;
        waiting.value(self.out, &encoder.dc[table], 0, first - before);
        let ac = &encoder.ac[table];
        let mut last = 0;
        nonzero &= !1;
        while nonzero != 0 {
            let at = nonzero.trailing_zeros();
            let mut zeros = at - last - 1;
            while zeros > 15 {
                let (code, length) = ac[0xf0];
                waiting.put(self.out, code, length);
                zeros -= 16;
            }
            waiting.value(self.out, ac, zeros << 4, values[at as usize & 63].into());
            last = at;
            nonzero &= nonzero - 1;
        }
        if last < 63 {
            let (code, length) = ac[0];
            waiting.put(self.out, code, length);
        }
        self.waiting = waiting;
        first
    }

    /// Fills the last byte with ones.
    fn end(self) {
        let Self { out, mut waiting } = self;
        let missing = waiting.count.wrapping_neg() % 8;
        waiting.put(out, (1 << missing) - 1, missing);
        while waiting.count > 0 {
            waiting.count -= 8;
            let byte = (waiting.bits >> waiting.count) as u8;
            out.push(byte);
            if byte == 0xff {
                out.push(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;

    /// A picture of smooth colours, edges and noise.
    fn picture(side: usize) -> Vec<u8> {
        let mut noise = 1u32;
        let pixel = |at: usize| {
            let (x, y) = ((at % side) as f32 / side as f32, (at / side) as f32 / side as f32);
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let grain = if x > 0.7 { (noise >> 24) as f32 / 4.0 } else { 0.0 };
            let edge = if (x - 0.5).hypot(y - 0.5) < 0.2 { 60.0 } else { 0.0 };
            [x * 200.0 + grain, y * 180.0 + edge, (1.0 - x) * 90.0 + grain + edge].map(|value| value as u8)
        };
        (0..side * side).flat_map(pixel).collect()
    }

    /// Root mean square of the difference to what a decoder gives.
    fn error(file: &[u8], pixels: &[u8]) -> f64 {
        let decoded = decode::pixels(file, 3).unwrap();
        assert_eq!(decoded.bytes.len(), pixels.len());
        let squares = decoded.bytes.iter().zip(pixels).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
        (squares.sum::<f64>() / pixels.len() as f64).sqrt()
    }

    #[test]
    fn files_are_as_good_and_as_small_as_a_librarys() {
        for (side, quality) in [(256, 95), (256, 75), (64, 100), (33, 30), (8, 50), (1, 90)] {
            let pixels = picture(side);
            let ours = Encoder::new(quality).encode(&pixels, side);
            let mut theirs = Vec::new();
            let mut encoder = jpeg_encoder::Encoder::new(&mut theirs, quality);
            encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::F_2_2);
            encoder.encode(&pixels, side as u16, side as u16, jpeg_encoder::ColorType::Rgb).unwrap();
            let (our_error, their_error) = (error(&ours, &pixels), error(&theirs, &pixels));
            // Both quantize by the same tables; what differs is rounding, for which theirs needs more bytes.
            assert!(
                our_error <= their_error * 1.02 + 0.05,
                "{side}, {quality}: {our_error} against {their_error}"
            );
            let sizes = ours.len() as f64 / theirs.len() as f64;
            assert!((0.85..1.01).contains(&sizes), "{side}, {quality}: {sizes}");
        }
    }

    #[test]
    fn coding_order_is_the_zigzag_of_the_transposed_block() {
        let order = in_coding_order(&std::array::from_fn(|at| at as i16));
        let expected = ZIGZAG.map(|place| i16::from((place & 7) * 8 + (place >> 3)));
        assert_eq!(order, expected);
    }

    #[test]
    fn extremes_are_coded_too() {
        // Checkerboards have the largest coefficients; at quality 100 nothing is divided.
        for side in [16, 40] {
            let board: Vec<u8> = (0..side * side)
                .flat_map(|at: usize| [if (at % side + at / side).is_multiple_of(2) { 0 } else { 255 }; 3])
                .collect();
            let file = Encoder::new(100).encode(&board, side);
            assert!(error(&file, &board) < 1.0);
        }
    }
}
