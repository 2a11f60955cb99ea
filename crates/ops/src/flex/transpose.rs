//! Copies between pixels whose planes are side by side, `[pixel][plane]`, and planes, `[plane][pixel]`. Products read and
//! write the first form; feature maps have the second.

/// Planes and pixels of a block: a register of the narrowest processor, so that an exchange is a few shuffles.
const SIDE: usize = 4;

type Block = [[f32; SIDE]; SIDE];

/// The positions of blocks that cover `count` elements. The last one may overlap the one before. Fewer elements than
/// [`SIDE`] have none.
fn blocks(count: usize) -> impl Iterator<Item = usize> {
    let last = count.checked_sub(SIDE);
    (0..last.unwrap_or(0)).step_by(SIDE).chain(last)
}

/// Reads a block whose rows are `stride` apart, with rows and columns exchanged.
#[inline(always)]
fn exchanged(values: &[f32], stride: usize) -> Block {
    let row = |row: usize| values[row * stride..].first_chunk().expect("a block inside the values");
    exchange([row(0), row(1), row(2), row(3)])
}

/// Writes a block whose rows are `stride` apart, without a loop, which would keep the block in memory.
#[inline(always)]
fn write([a, b, c, d]: Block, values: &mut [f32], stride: usize) {
    values[..SIDE].copy_from_slice(&a);
    values[stride..][..SIDE].copy_from_slice(&b);
    values[2 * stride..][..SIDE].copy_from_slice(&c);
    values[3 * stride..][..SIDE].copy_from_slice(&d);
}

/// Exchanges rows and columns. The compiler finds no shuffles for the loop below.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn exchange(rows: [&[f32; SIDE]; SIDE]) -> Block {
    use std::arch::x86_64::{_MM_TRANSPOSE4_PS, _mm_loadu_ps, _mm_storeu_ps};
    let [mut e, mut f, mut g, mut h] = Block::default();
    // SAFETY: every x86-64 has SSE. Each row has the four floats that are read, and each column those that are written.
    #[allow(unsafe_code)]
    unsafe {
        let (mut a, mut b) = (_mm_loadu_ps(rows[0].as_ptr()), _mm_loadu_ps(rows[1].as_ptr()));
        let (mut c, mut d) = (_mm_loadu_ps(rows[2].as_ptr()), _mm_loadu_ps(rows[3].as_ptr()));
        _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
        _mm_storeu_ps(e.as_mut_ptr(), a);
        _mm_storeu_ps(f.as_mut_ptr(), b);
        _mm_storeu_ps(g.as_mut_ptr(), c);
        _mm_storeu_ps(h.as_mut_ptr(), d);
    }
    [e, f, g, h]
}

/// Exchanges rows and columns.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn exchange([a, b, c, d]: [&[f32; SIDE]; SIDE]) -> Block {
    std::array::from_fn(|column| [a[column], b[column], c[column], d[column]])
}

/// `lines[pixel][plane] ← planes[plane][pixel]`.
///
/// # Shapes
/// `planes`: `count` planes, whose first values are `size` apart; `lines`: `pixels` lines, whose first values are `width`
/// apart. The first `count` values of each are written.
#[inline(always)]
pub(crate) fn to_lines(
    planes: &[f32],
    [count, size]: [usize; 2],
    lines: &mut [f32],
    [pixels, width]: [usize; 2],
) {
    if count < SIDE || pixels < SIDE {
        for (plane, values) in planes.chunks(size).take(count).enumerate() {
            for (line, value) in lines.chunks_mut(width).zip(&values[..pixels]) {
                line[plane] = *value;
            }
        }
        return;
    }
    for plane in blocks(count) {
        for pixel in blocks(pixels) {
            let block = exchanged(&planes[plane * size + pixel..], size);
            write(block, &mut lines[pixel * width + plane..], width);
        }
    }
}

/// `planes[plane][pixel] ← finish(plane)(lines[pixel][plane])`.
///
/// # Shapes
/// `lines`: `pixels` lines, whose first values are `width` apart; `planes`: `count` planes, whose first values are `size`
/// apart.
#[inline(always)]
pub(crate) fn to_planes<Finish: Fn(f32) -> f32>(
    lines: &[f32],
    [pixels, width]: [usize; 2],
    planes: &mut [f32],
    [count, size]: [usize; 2],
    finish: impl Fn(usize) -> Finish,
) {
    if count < SIDE || pixels < SIDE {
        for (plane, values) in planes.chunks_mut(size).take(count).enumerate() {
            let finish = finish(plane);
            for (value, line) in values[..pixels].iter_mut().zip(lines.chunks(width)) {
                *value = finish(line[plane]);
            }
        }
        return;
    }
    for plane in blocks(count) {
        let [p, q, r, s] = [0, 1, 2, 3].map(|row| finish(plane + row));
        for pixel in blocks(pixels) {
            let [a, b, c, d] = exchanged(&lines[pixel * width + plane..], width);
            let block = [a.map(&p), b.map(&q), c.map(&r), d.map(&s)];
            write(block, &mut planes[plane * size + pixel..], size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_finds_its_place_and_no_other_is_touched() {
        for (count, pixels) in (1..11).flat_map(|count| (1..11).map(move |pixels| (count, pixels))) {
            let (size, width) = (pixels + 3, count + 2);
            let planes: Vec<f32> = (0..count * size).map(|at| at as f32).collect();
            // The last line has no room for more than its values.
            let mut lines = vec![-1.0; pixels * width - 2];
            to_lines(&planes, [count, size], &mut lines, [pixels, width]);
            let mut more = vec![-1.0; (pixels + 2) * width];
            to_lines(&planes, [count, size], &mut more, [pixels, width]);
            assert_eq!(more[..lines.len()], lines);
            assert!(more[lines.len()..].iter().all(|value| *value == -1.0));
            for (at, value) in lines.iter().enumerate() {
                let (pixel, plane) = (at / width, at % width);
                let expected = if plane < count { (plane * size + pixel) as f32 } else { -1.0 };
                assert_eq!(*value, expected, "{count} planes of {pixels} pixels");
            }
            let mut back = vec![-1.0; planes.len()];
            to_planes(&lines, [pixels, width], &mut back, [count, size], |plane| {
                move |value| 2.0 * value + plane as f32
            });
            for (at, value) in back.iter().enumerate() {
                let (plane, pixel) = (at / size, at % size);
                let expected = if pixel < pixels { 2.0 * at as f32 + plane as f32 } else { -1.0 };
                assert_eq!(*value, expected, "{count} planes of {pixels} pixels");
            }
        }
    }
}
