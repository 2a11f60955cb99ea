//! The matrix product of the `gemm` crate, with checked slices.

use gemm::Parallelism;

/// The layout of a matrix in a slice: element `(row, column)` is at
/// `row · row_stride + column · column_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Strides {
    pub(crate) row: usize,
    pub(crate) column: usize,
}

/// Column-major strides; each column has `rows` elements.
pub(crate) fn columns_of(rows: usize) -> Strides {
    Strides { row: 1, column: rows }
}

/// Row-major strides; each row has `columns` elements.
pub(crate) fn rows_of(columns: usize) -> Strides {
    Strides { row: columns, column: 1 }
}

/// `out ← left · right` on all threads. The bits are the same for any number of threads: one thread sums each
/// element, in an order that depends only on the shape.
///
/// # Shapes
/// `out`: `[m, n]`, column-major; `left`: `[m, k]`; `right`: `[k, n]`.
///
/// # Panics
/// If a slice is too short for its matrix.
pub(crate) fn matmul(
    [m, n, k]: [usize; 3],
    out: &mut [f32],
    (left, left_at): (&[f32], Strides),
    (right, right_at): (&[f32], Strides),
) {
    assert_eq!(out.len(), m * n);
    if m == 0 || n == 0 {
        return;
    }
    if k == 0 {
        out.fill(0.0);
        return;
    }
    let last = |rows: usize, columns: usize, at: Strides| (rows - 1) * at.row + (columns - 1) * at.column;
    assert!(last(m, k, left_at) < left.len() && last(k, n, right_at) < right.len());
    // SAFETY: every index that `gemm` forms is at most the index of the last element, and the assertions
    // above put that inside each slice. `out` is borrowed mutably and so overlaps neither input. Strides are
    // below `isize::MAX` because they index into slices.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            m as isize,
            1,
            false,
            left.as_ptr(),
            left_at.column as isize,
            left_at.row as isize,
            right.as_ptr(),
            right_at.column as isize,
            right_at.row as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::Rayon(0),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiplies_in_every_layout() {
        let value = |i: usize| ((i * 37 % 19) as f32) - 9.0;
        for [m, n, k] in [[1, 1, 1], [5, 3, 7], [40, 33, 50], [2, 0, 3], [3, 2, 0]] {
            let (left, right): (Vec<f32>, Vec<f32>) =
                ((0..m * k).map(value).collect(), (0..k * n).map(|i| value(i + 5)).collect());
            for left_at in [columns_of(m), rows_of(k)] {
                for right_at in [columns_of(k), rows_of(n)] {
                    let mut out = vec![3.0; m * n];
                    matmul([m, n, k], &mut out, (&left, left_at), (&right, right_at));
                    for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
                        let product = |i| {
                            left[row * left_at.row + i * left_at.column]
                                * right[i * right_at.row + column * right_at.column]
                        };
                        // Small integers make the sums exact.
                        assert_eq!(out[column * m + row], (0..k).map(product).sum::<f32>());
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "left.len()")]
    fn a_slice_that_is_too_short_is_refused() {
        matmul([2, 2, 2], &mut [0.0; 4], (&[0.0; 3], rows_of(2)), (&[0.0; 4], rows_of(2)));
    }
}
