//! Vectors that parallel tasks fill piece by piece.

use crate::threads::*;

/// Returns a vector of `length` elements. Tasks fill it in pieces of `piece` elements (the last may be
/// shorter), each together with its item of `beside`. The task that fills a piece also clears it. Clearing
/// the whole vector first would use one thread, and the memory would leave the caches before it is filled.
///
/// # Panics
/// If `piece` is 0 and `length` is not, or the number of items in `beside` differs from the number of pieces.
pub(crate) fn filled<S: Send>(
    length: usize,
    piece: usize,
    beside: impl IndexedParallelIterator<Item = S>,
    fill: impl Fn(S, &mut [f32]) + Sync,
) -> Vec<f32> {
    if length == 0 {
        return Vec::new();
    }
    let mut values = Vec::with_capacity(length);
    let memory = &mut values.spare_capacity_mut()[..length];
    let pieces = memory.par_chunks_mut(piece).zip(beside).map(|(memory, beside)| {
        for place in &mut *memory {
            place.write(0.0);
        }
        // SAFETY: the loop above has written every element.
        #[allow(unsafe_code)]
        let piece = unsafe { memory.assume_init_mut() };
        fill(beside, piece);
        1
    });
    assert_eq!(pieces.sum::<usize>(), length.div_ceil(piece), "one beside each piece");
    // SAFETY: the pieces are all of the first `length` elements, and each piece has been written: the count
    // above shows that as many pieces were written as there are, and a task that panics does not get here.
    #[allow(unsafe_code)]
    unsafe {
        values.set_len(length);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_cleared_and_filled() {
        for (length, piece) in [(1000, 7), (12, 12), (5, 100), (64, 1)] {
            let starts: Vec<usize> = (0..length).step_by(piece).collect();
            let values = filled(length, piece, starts.par_iter(), |start, values| {
                assert!(values.iter().all(|value| *value == 0.0));
                // Leaves every other element as it is.
                for (at, value) in values.iter_mut().enumerate().step_by(2) {
                    *value = (start + at) as f32;
                }
            });
            let expected = |at: usize| if (at % piece).is_multiple_of(2) { at as f32 } else { 0.0 };
            assert!(values.iter().enumerate().all(|(at, value)| *value == expected(at)), "{length} {piece}");
        }
        assert!(filled(0, 0, [0; 0].par_iter(), |_, _| {}).is_empty());
    }

    #[test]
    #[should_panic(expected = "one beside each piece")]
    fn pieces_that_nobody_fills_are_refused() {
        filled(10, 2, [0; 4].par_iter(), |_, _| {});
    }
}
