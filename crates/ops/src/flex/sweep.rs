//! Loops over short runs of values, and the length of the pieces of long ones.

/// Elements per task.
pub(crate) const SPAN: usize = 1 << 14;

/// Elements per step in short runs. The compiler optimizes loops over slices for long runs.
pub(crate) const LANES: usize = 8;

/// Copies a run. Short runs are copied without a loop, since the compiler turns a loop into a call to `memcpy`, which costs
/// more than the copy.
#[inline(always)]
pub(crate) fn copy(from: &[f32], to: &mut [f32]) {
    match to.len() {
        0..4 => match (to, from) {
            ([a], [x, ..]) => *a = *x,
            ([a, b], [x, y, ..]) => (*a, *b) = (*x, *y),
            ([a, b, c], [x, y, z, ..]) => (*a, *b, *c) = (*x, *y, *z),
            _ => {}
        },
        4..8 => copy_ends::<4>(from, to),
        8..16 => copy_ends::<8>(from, to),
        16..32 => copy_ends::<16>(from, to),
        32..64 => copy_ends::<32>(from, to),
        length => to.copy_from_slice(&from[..length]),
    }
}

/// Copies the first and the last values of a run, which together are all.
#[inline(always)]
fn copy_ends<const COUNT: usize>(from: &[f32], to: &mut [f32]) {
    let last = to.len() - COUNT;
    to[..COUNT].copy_from_slice(&from[..COUNT]);
    to[last..][..COUNT].copy_from_slice(&from[last..][..COUNT]);
}

/// Sets a short run to zero, where the call to `memset` would cost more.
#[inline(always)]
pub(crate) fn clear(run: &mut [f32]) {
    match run {
        [] => {}
        [a] => *a = 0.0,
        [a, b] => (*a, *b) = (0.0, 0.0),
        [a, b, c] => (*a, *b, *c) = (0.0, 0.0, 0.0),
        longer => longer.fill(0.0),
    }
}

/// Adds one short run to another.
#[inline(always)]
pub(crate) fn add(values: &[f32], sums: &mut [f32]) {
    let values = &values[..sums.len()];
    let (lines, rest) = sums.as_chunks_mut::<LANES>();
    let (from, last) = values.as_chunks::<LANES>();
    for (sums, values) in lines.iter_mut().zip(from) {
        for lane in 0..LANES {
            sums[lane] += values[lane];
        }
    }
    for (sum, value) in rest.iter_mut().zip(last) {
        *sum += value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_any_length_is_copied() {
        let from: Vec<f32> = (0..80).map(|at| at as f32).collect();
        for length in 0..70 {
            let mut to = vec![-1.0; length];
            copy(&from, &mut to);
            assert_eq!(to, from[..length]);
        }
    }
}
