use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;
use serde::Serialize;

/// The largest number of rows compared at once, and of values in them. With the number of queries, they bound
/// the memory. A block of 24 MB (1,536 × 4,096) reuses the same memory. The system would map and clear a
/// block above 32 MB anew each time.
const BLOCK: usize = 4096;
const BLOCK_NUMBERS: usize = 6 << 20;

/// Queries per thread: a few cache lines in each row of products.
const TOGETHER: usize = 64;

/// The error that TF32 adds to a product of two vectors, as a share of the sum of their squared lengths. Each
/// factor has a relative error of up to 2^-11.
const TF32: f32 = 1.0 / 1024.0;

/// A near row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Neighbour {
    /// The row's number.
    pub row: usize,
    /// The squared Euclidean distance, rounded once from an f64 sum of squared differences.
    pub distance: f32,
}

/// A source of rows.
pub trait Rows {
    /// The error of a failed read.
    type Error;

    /// Reads some rows, in row-major order.
    ///
    /// # Errors
    /// If they cannot be read.
    fn read(&mut self, rows: Range<usize>) -> Result<Vec<f32>, Self::Error>;
}

impl Rows for crate::FeatureFile {
    type Error = crate::FeaturesError;

    fn read(&mut self, rows: Range<usize>) -> Result<Vec<f32>, Self::Error> {
        crate::FeatureFile::read(self, rows)
    }
}

/// Rows in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The values in row-major order.
    pub values: Vec<f32>,
    /// Numbers per row.
    pub width: usize,
}

impl Rows for Table {
    type Error = std::convert::Infallible;

    fn read(&mut self, rows: Range<usize>) -> Result<Vec<f32>, Self::Error> {
        let values = &self.values[rows.start * self.width..rows.end * self.width];
        Ok(values.par_iter().copied().collect()) // by all threads: memory is slow
    }
}

/// Returns the `k` nearest of `count` rows to each query, nearest first. Ties go to the earlier row. The
/// search is exact.
///
/// `queries` are `[n, width]`. One matrix product on `device` compares a block of rows with all queries. A
/// bound on its rounding error excludes rows that cannot be among the nearest. The other rows are measured by
/// their differences in f64. Order and distances are therefore correct for any norms, even on a device that
/// multiplies in TF32.
///
/// # Errors
/// If rows cannot be read.
///
/// # Panics
/// If `queries` is not whole rows.
pub fn nearest<R: Rows>(
    queries: &[f32],
    width: usize,
    rows: &mut R,
    count: usize,
    k: usize,
    device: &Device,
) -> Result<Vec<Vec<Neighbour>>, R::Error> {
    assert_eq!(queries.len() % width, 0, "whole rows");
    let mut search = Search::new(queries, width, k, device);
    let together = (BLOCK_NUMBERS / width).clamp(1, BLOCK);
    for start in (0..count).step_by(together) {
        search.compare(start, rows.read(start..(start + together).min(count))?);
    }
    Ok(search.finish())
}

/// The part that does not depend on the source of rows. It is compiled in this crate, and so optimized
/// whatever the caller's settings.
struct Search<'a> {
    k: usize,
    width: usize,
    asked: &'a [f32],
    /// |q|² of each query.
    lengths: Vec<f32>,
    /// `[width, queries]`.
    queries: Tensor<2>,
    found: Vec<Vec<Measured>>,
}

/// A row and its squared distance.
#[derive(Debug, Clone, Copy)]
struct Measured {
    row: usize,
    distance: f64,
}

impl<'a> Search<'a> {
    fn new(queries: &'a [f32], width: usize, k: usize, device: &Device) -> Self {
        let asked = queries.len() / width;
        // Transposed once; transposing every block would be as much work as reading it.
        let turned: Vec<f32> =
            (0..queries.len()).map(|at| queries[at % asked * width + at / asked]).collect();
        Self {
            k,
            width,
            asked: queries,
            lengths: queries.chunks_exact(width).map(squared_length).collect(),
            queries: Tensor::from_data(TensorData::new(turned, [width, asked]), device),
            found: vec![Vec::with_capacity(k + 1); asked],
        }
    }

    /// Compares a block of rows, starting at row number `start`, with all queries.
    fn compare(&mut self, start: usize, values: Vec<f32>) {
        let Self { k, width, asked, lengths, queries, found } = self;
        let (k, width, count) = (*k, *width, found.len());
        let of_rows: Vec<f32> = values.par_chunks_exact(width).map(squared_length).collect();
        let values = TensorData::new(values, [of_rows.len(), width]);
        let values = Tensor::<2>::from_data(values, &queries.device());
        // |q − x|² = |q|² + |x|² − 2 q·x. Only the last term depends on both vectors.
        let products = values.clone().matmul(queries.clone()).into_data();
        let products = products.try_to_vec::<f32>().expect("an f32 tensor");
        let values = values.into_data();
        let rows = values.as_slice::<f32>().expect("an f32 tensor");
        // The largest error of a comparison, as a share of |q|² + |x|²: the sum of `width` products in any
        // order, with factors that TF32 rounds to eleven bits.
        let slack = TF32 + width as f32 * f32::EPSILON;
        found.par_chunks_mut(TOGETHER).zip(lengths.par_chunks(TOGETHER)).enumerate().for_each(
            |(chunk, (found, lengths))| {
                // A distance must be below its query's limit to count. Few are, and rows with none are
                // skipped quickly.
                let limit = |found: &[Measured]| found.last().map_or(f64::INFINITY, |last| last.distance);
                let mut limits: Vec<f32> = found.iter().map(|found| above(limit(found))).collect();
                for (at, (row, of_row)) in products.chunks_exact(count).zip(&of_rows).enumerate() {
                    let products = &row[chunk * TOGETHER..][..found.len()];
                    let least = |length: f32, product: f32| (length + of_row) * (1.0 - slack) - 2.0 * product;
                    let all = limits.iter().zip(lengths).zip(products);
                    // A NaN comes from overflow. The row may still be near, so it must be measured.
                    #[allow(clippy::neg_cmp_op_on_partial_ord)]
                    let counts = |any, ((limit, length), product): ((&f32, &f32), &f32)| {
                        any | !(least(*length, *product) >= *limit)
                    };
                    // All queries have found the same number of rows so far.
                    let full = found.first().is_none_or(|found| found.len() == k);
                    if full && !all.fold(false, counts) {
                        continue;
                    }
                    for (query, found) in found.iter_mut().enumerate() {
                        if found.len() == k && least(lengths[query], products[query]) >= limits[query] {
                            continue;
                        }
                        let query_row = &asked[(chunk * TOGETHER + query) * width..][..width];
                        let distance = squared_distance(query_row, &rows[at * width..][..width]);
                        // A NaN distance counts as infinite.
                        let distance = if distance.is_nan() { f64::INFINITY } else { distance };
                        if found.len() == k && distance >= limit(found) {
                            continue;
                        }
                        let place = found.partition_point(|other| other.distance <= distance);
                        found.insert(place, Measured { row: start + at, distance });
                        found.truncate(k);
                        limits[query] = above(limit(found));
                    }
                }
            },
        );
    }

    fn finish(self) -> Vec<Vec<Neighbour>> {
        let rounded = |one: Measured| Neighbour { row: one.row, distance: one.distance as f32 };
        self.found.into_iter().map(|found| found.into_iter().map(rounded).collect()).collect()
    }
}

/// The smallest f32 above a limit, or NaN if there is none. No distance reaches NaN.
fn above(limit: f64) -> f32 {
    let above = (limit as f32).next_up();
    if above.is_finite() { above } else { f32::NAN }
}

/// The sum of squared differences in f64. It is exact except for its own rounding, about 1e-16 of it per
/// term.
fn squared_distance(one: &[f32], other: &[f32]) -> f64 {
    let (eights, rest) = one.as_chunks::<8>();
    let (other_eights, other_rest) = other.as_chunks::<8>();
    let square = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).powi(2);
    // Eight interleaved sums.
    let mut sums = [0.0f64; 8];
    for (eight, other) in eights.iter().zip(other_eights) {
        sums.iter_mut().zip(eight.iter().zip(other)).for_each(|(sum, pair)| *sum += square(pair));
    }
    sums.iter().sum::<f64>() + rest.iter().zip(other_rest).map(square).sum::<f64>()
}

fn squared_length(row: &[f32]) -> f32 {
    // Eight interleaved sums.
    let (eights, rest) = row.as_chunks::<8>();
    let mut sums = [0.0f32; 8];
    for eight in eights {
        sums.iter_mut().zip(eight).for_each(|(sum, value)| *sum += value * value);
    }
    sums.iter().sum::<f32>() + rest.iter().map(|value| value * value).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_those_of_comparing_all_one_by_one() {
        let device = alexnet_ops::Backend::in_this_build()[0].device().unwrap();
        let (count, width, k) = (BLOCK + 300, 7, 5);
        let value = |at: usize| ((at * 7919 % 1009) as f32 - 500.0) / 100.0;
        let rows: Vec<f32> = (0..count * width).map(value).collect();
        let queries: Vec<f32> = (0..3 * width).map(|at| value(at * 31 + 5)).collect();
        let table = |values: &[f32]| Table { values: values.to_vec(), width };
        let found = nearest(&queries, width, &mut table(&rows), count, k, &device).unwrap();
        for (query, found) in queries.chunks_exact(width).zip(&found) {
            let distance = |row: &[f32]| row.iter().zip(query).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
            let mut expected: Vec<f32> = rows.chunks_exact(width).map(distance).collect();
            let exact = |neighbour: &Neighbour| expected[neighbour.row];
            assert!(found.iter().all(|one| (exact(one) - one.distance).abs() < 1e-3), "{found:?}");
            expected.sort_by(f32::total_cmp);
            assert!(found.iter().zip(&expected).all(|(one, best)| (one.distance - best).abs() < 1e-2));
        }
        let mut with_none = rows.clone();
        with_none[..width].fill(f32::NAN);
        let near = nearest(&queries, width, &mut table(&with_none), count, count, &device).unwrap();
        assert!(near.iter().all(|near| near[count - 1].row == 0), "no number is far from everything");
        let few = nearest(&queries, width, &mut table(&rows), 2, k, &device).unwrap();
        assert!(few.iter().all(|found| found.len() == 2), "fewer rows than asked for");
    }
    /// The f32 error of |q|² + |x|² − 2 q·x exceeds the distances here. In the last case its values exceed
    /// the f32 range.
    #[test]
    fn order_and_ties_are_right_where_norms_are_large() {
        let device = alexnet_ops::Backend::in_this_build()[0].device().unwrap();
        let (width, count, k) = (16, 500, 60);
        for far in [3000.0f32, 1e20] {
            // A small step that f32 still resolves near `far`. Many rows are equally near.
            let step = far * f32::EPSILON * 4.0;
            let rows: Vec<f32> = (0..count * width)
                .map(|at| far + step * ((at / width * 7919 + at % width * 31) % 40) as f32)
                .collect();
            let query: Vec<f32> = (0..width).map(|at| far + step * (at % 5) as f32).collect();
            let found = nearest(&query, width, &mut Table { values: rows.clone(), width }, count, k, &device)
                .unwrap();
            let distance = |row: usize| -> f64 {
                let row = &rows[row * width..][..width];
                row.iter().zip(&query).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
            };
            let mut expected: Vec<usize> = (0..count).collect();
            expected.sort_by(|a, b| distance(*a).total_cmp(&distance(*b)).then(a.cmp(b)));
            let rows: Vec<usize> = found[0].iter().map(|one| one.row).collect();
            assert_eq!(rows, expected[..k], "{far}");
            assert!(found[0].iter().all(|one| one.distance == distance(one.row) as f32));
        }
    }
}
