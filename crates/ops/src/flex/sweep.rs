//! Loops over short runs of values, and the length of the pieces of long ones.

/// Elements per task.
pub(crate) const SPAN: usize = 1 << 14;

/// Elements per step in short runs. The compiler optimizes loops over slices for long runs.
const LANES: usize = 8;

/// Copies a short run, where the call to `memcpy` would cost more than the copy.
#[inline(always)]
pub(crate) fn copy(from: &[f32], to: &mut [f32]) {
    if let Some(tail) = to.len().checked_sub(LANES) {
        for (to, from) in to.chunks_exact_mut(LANES).zip(from.chunks_exact(LANES)) {
            to.copy_from_slice(from);
        }
        to[tail..][..LANES].copy_from_slice(&from[tail..][..LANES]);
    } else if let Some(tail) = to.len().checked_sub(4) {
        to[..4].copy_from_slice(&from[..4]);
        to[tail..][..4].copy_from_slice(&from[tail..][..4]);
    } else {
        // No loop, of which a compiler would make the call.
        match (to, from) {
            ([a], [x, ..]) => *a = *x,
            ([a, b], [x, y, ..]) => (*a, *b) = (*x, *y),
            ([a, b, c], [x, y, z, ..]) => (*a, *b, *c) = (*x, *y, *z),
            _ => {}
        }
    }
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
