//! The two directions in which features differ most: their first principal components.

use alexnet_ops::Key;
use alexnet_ops::math::Gaussian;

/// The most passes of the iteration. It ends earlier where the directions no longer move.
const PASSES: usize = 1000;

/// Features in two dimensions.
#[derive(Debug, Clone, PartialEq)]
pub struct Components {
    /// The position of each row along the first two principal components.
    pub points: Vec<[f64; 2]>,
    /// The share of the variance along each.
    pub explained: [f64; 2],
}

/// Computes the positions of rows of `width` numbers along their first two principal components, by orthogonal iteration. A
/// component's largest weight is positive.
///
/// # Panics
/// If the numbers are not whole rows.
pub fn principal_components(rows: &[f32], width: usize) -> Components {
    assert_eq!(rows.len() % width.max(1), 0, "whole rows");
    let count = rows.len() / width.max(1);
    let mut means = vec![0.0; width];
    for row in rows.chunks_exact(width) {
        means.iter_mut().zip(row).for_each(|(mean, value)| *mean += f64::from(*value));
    }
    means.iter_mut().for_each(|mean| *mean /= count.max(1) as f64);
    let centred: Vec<f64> =
        rows.iter().enumerate().map(|(at, value)| f64::from(*value) - means[at % width]).collect();
    let total: f64 = centred.iter().map(|value| value * value).sum();
    let mut draws = Gaussian::new(Key::new([0, 0, 0, Key::word("components")]).rng());
    let mut axes: [Vec<f64>; 2] = std::array::from_fn(|_| (0..width).map(|_| draws.draw()).collect());
    orthonormal(&mut axes);
    for _ in 0..PASSES {
        let mut next = axes.clone().map(|axis| product(&centred, width, &axis));
        orthonormal(&mut next);
        let moved: f64 = axes.iter().zip(&next).map(|(old, new)| 1.0 - dot(old, new).abs()).sum();
        axes = next;
        if moved < 1e-14 {
            break;
        }
    }
    for axis in &mut axes {
        let largest =
            axis.iter().copied().fold(0.0, |most: f64, it| if it.abs() > most.abs() { it } else { most });
        if largest < 0.0 {
            axis.iter_mut().for_each(|weight| *weight = -*weight);
        }
    }
    let points: Vec<[f64; 2]> =
        centred.chunks_exact(width).map(|row| [dot(row, &axes[0]), dot(row, &axes[1])]).collect();
    let explained = [0, 1].map(|axis| {
        let along: f64 = points.iter().map(|point| point[axis] * point[axis]).sum();
        if total > 0.0 { along / total } else { 0.0 }
    });
    Components { points, explained }
}

/// Multiplies the covariance of rows, up to a factor, by a vector.
fn product(centred: &[f64], width: usize, axis: &[f64]) -> Vec<f64> {
    let mut sum = vec![0.0; width];
    for row in centred.chunks_exact(width) {
        let along = dot(row, axis);
        sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += along * value);
    }
    sum
}

/// Makes two vectors orthogonal and of length 1 (Gram & Schmidt).
fn orthonormal([first, second]: &mut [Vec<f64>; 2]) {
    normalize(first);
    let before = dot(second, second);
    // Twice, since rounding of the first time would count where little is left.
    for _ in 0..2 {
        let along = dot(first, second);
        second.iter_mut().zip(first.iter()).for_each(|(value, other)| *value -= along * other);
    }
    if dot(second, second) <= 1e-20 * before {
        second.fill(0.0); // rounding alone: the rows lie on a line
    }
    normalize(second);
}

fn normalize(vector: &mut [f64]) {
    let length = dot(vector, vector).sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value /= length);
    }
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directions_of_an_ellipse_are_found() {
        // Points on an ellipse with axes of 5 and 2 along (3, 4, 0)/5 and (0, 0, 1).
        let rows: Vec<f32> = (0..100)
            .flat_map(|at| {
                let turn = f64::from(at) / 100.0 * std::f64::consts::TAU;
                let (along, across) = (5.0 * turn.cos(), 2.0 * turn.sin());
                [0.6 * along + 7.0, 0.8 * along - 3.0, across].map(|value| value as f32)
            })
            .collect();
        let found = principal_components(&rows, 3);
        for (at, [along, across]) in found.points.iter().enumerate() {
            let turn = at as f64 / 100.0 * std::f64::consts::TAU;
            assert!(
                (along - 5.0 * turn.cos()).abs() < 1e-5 && (across - 2.0 * turn.sin()).abs() < 1e-5,
                "{at}"
            );
        }
        // 25 and 4 parts of 29.
        assert!(
            (found.explained[0] - 25.0 / 29.0).abs() < 1e-6 && (found.explained[1] - 4.0 / 29.0).abs() < 1e-6
        );
    }

    #[test]
    fn rows_on_a_line_have_one_direction() {
        let found = principal_components(&[1.0, 2.0, 3.0, 3.0, 6.0, 9.0, 2.1, 4.2, 6.3], 3);
        assert!(
            (found.explained[0] - 1.0).abs() < 1e-9 && found.explained[1] < 1e-9,
            "{:?}",
            found.explained
        );
        assert!(found.points.iter().all(|point| point[1].abs() < 1e-6), "{:?}", found.points);
    }

    #[test]
    fn equal_rows_lie_at_one_point() {
        let found = principal_components(&[1.0; 30], 3);
        assert!(found.points.iter().all(|point| *point == [0.0, 0.0]) && found.explained == [0.0, 0.0]);
    }
}
