//! The kernels of the first layer (Krizhevsky et al. 2012, §6.1 and figure 3).

use alexnet_ops::Key;
use serde::Serialize;

/// Kernels per row of the picture, as in the authors' `shownet.py`.
const ROW: usize = 16;

/// The mapping from kernel values to grey levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// From the smallest to the largest value of all kernels, as in the authors' code.
    Global,
    /// From the smallest to the largest value of each kernel.
    EachKernel,
}

/// The kernels of one tower, `[kernels, channels, side, side]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Tower {
    /// The values in row-major order.
    pub values: Vec<f32>,
    /// Channels of the image.
    pub channels: usize,
    /// Side of a kernel.
    pub side: usize,
}

/// The colourfulness of kernels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Colourfulness {
    /// The value of each kernel, by tower.
    pub towers: Vec<Vec<f64>>,
    /// The mean of each tower.
    pub means: Vec<f64>,
    /// The absolute difference between the two towers' means. Which tower specializes in colour is random,
    /// and a trained network is a single observation. `None` unless there are exactly two towers.
    pub difference: Option<f64>,
}

/// The expected difference between random halves of the same kernels, and the p-value of the towers'
/// difference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ByChance {
    /// The mean difference between random halves.
    pub mean: f64,
    /// The share of random divisions whose difference is at least that of the towers.
    pub p: f64,
}

/// The number of random divisions.
const DIVISIONS: usize = 9_999;

/// A permutation test of the difference between towers, against random assignment of kernels to towers.
pub fn by_chance(found: &Colourfulness) -> ByChance {
    use rand_chacha::rand_core::Rng;
    let mut all: Vec<f64> = found.towers.iter().flatten().copied().collect();
    let first = found.towers.first().map_or(0, Vec::len);
    let difference = |all: &[f64]| {
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len().max(1) as f64;
        (mean(&all[..first]) - mean(&all[first..])).abs()
    };
    let seen = difference(&all);
    let mut rng = Key::new([0, 0, 0, Key::word("divisions")]).rng();
    let (mut sum, mut as_large) = (0.0, 0usize);
    for _ in 0..DIVISIONS {
        for at in (1..all.len()).rev() {
            all.swap(at, (rng.next_u64() % (at as u64 + 1)) as usize);
        }
        let drawn = difference(&all);
        sum += drawn;
        as_large += usize::from(drawn >= seen - 1e-12);
    }
    // The observed division counts as one of them.
    ByChance { mean: sum / DIVISIONS as f64, p: (as_large + 1) as f64 / (DIVISIONS + 1) as f64 }
}

impl Tower {
    /// Splits the kernels into the first half and the rest.
    pub fn halves(&self) -> Vec<Tower> {
        let (first, second) = self.values.split_at(self.kernels().len() / 2 * self.kernel_size());
        [first, second].map(|values| Tower { values: values.to_vec(), ..*self }).to_vec()
    }

    fn kernel_size(&self) -> usize {
        self.channels * self.side * self.side
    }

    fn kernels(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.kernel_size())
    }
}

/// The share of a kernel's energy that remains after subtracting the mean over channels at each position. It
/// is 0 for a grey kernel.
fn of_kernel(kernel: &[f32], channels: usize) -> f64 {
    let area = kernel.len() / channels;
    let (mut all, mut left) = (0.0, 0.0);
    for place in 0..area {
        let values = (0..channels).map(|channel| f64::from(kernel[channel * area + place]));
        let mean = values.clone().sum::<f64>() / channels as f64;
        all += values.clone().map(|value| value * value).sum::<f64>();
        left += values.map(|value| (value - mean).powi(2)).sum::<f64>();
    }
    if all > 0.0 { left / all } else { 0.0 }
}

/// Computes the colourfulness of each tower's kernels.
pub fn colourfulness(towers: &[Tower]) -> Colourfulness {
    let each: Vec<Vec<f64>> = towers
        .iter()
        .map(|tower| tower.kernels().map(|kernel| of_kernel(kernel, tower.channels)).collect())
        .collect();
    let means: Vec<f64> = each.iter().map(|all| all.iter().sum::<f64>() / all.len().max(1) as f64).collect();
    let difference = match means.as_slice() {
        [one, other] => Some((one - other).abs()),
        _ => None,
    };
    Colourfulness { towers: each, means, difference }
}

/// A picture with interleaved red, green and blue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// `[height, width, 3]`.
    pub pixels: Vec<u8>,
}

/// Draws all kernels: sixteen per row, one tower above the other, each value as `times` × `times` pixels.
pub fn picture(towers: &[Tower], range: Range, times: usize) -> Picture {
    let side = towers.first().map_or(1, |tower| tower.side) * times;
    // A narrow gap between kernels and a wider band between towers.
    let (gap, band) = (times.div_ceil(4).max(1), 4 * times.div_ceil(4).max(1));
    let rows = |tower: &Tower| tower.kernels().len().div_ceil(ROW);
    let widest = towers.iter().map(|tower| tower.kernels().len().min(ROW)).max().unwrap_or(0);
    let width = gap + widest * (side + gap);
    let height = gap
        + towers.iter().map(|tower| rows(tower) * (side + gap)).sum::<usize>()
        + band * towers.len().saturating_sub(1);
    let mut out = Picture { width, height, pixels: vec![255; width * height * 3] };
    let extremes = |values: &mut dyn Iterator<Item = f32>| {
        values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let all = extremes(&mut towers.iter().flat_map(|tower| tower.values.iter().copied()));
    let mut top = gap;
    for tower in towers {
        for (number, kernel) in tower.kernels().enumerate() {
            let (low, high) = match range {
                Range::Global => all,
                Range::EachKernel => extremes(&mut kernel.iter().copied()),
            };
            let level = |value: f32| (255.0 * (value - low) / (high - low).max(f32::MIN_POSITIVE)) as u8;
            let (y0, x0) = (top + number / ROW * (side + gap), gap + number % ROW * (side + gap));
            for y in 0..side {
                for x in 0..side {
                    let place = y / times * tower.side + x / times;
                    for colour in 0..3 {
                        let channel = colour.min(tower.channels - 1);
                        let value = kernel[channel * tower.side * tower.side + place];
                        out.pixels[((y0 + y) * width + x0 + x) * 3 + colour] = level(value);
                    }
                }
            }
        }
        top += rows(tower) * (side + gap) + band;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_kernels_are_not_colourful_and_opposite_colours_are() {
        let grey: Vec<f32> = [1.0, -2.0, 0.5, 3.0].repeat(3);
        // Red against the other channels, with zero mean at every position.
        let colour: Vec<f32> = [[2.0; 4], [-1.0; 4], [-1.0; 4]].concat();
        let tower = |values: &[f32]| Tower { values: values.to_vec(), channels: 3, side: 2 };
        let found = colourfulness(&[tower(&grey), tower(&[&colour[..], &grey].concat())]);
        assert!(found.towers[0][0].abs() < 1e-12 && (found.towers[1][0] - 1.0).abs() < 1e-12, "{found:?}");
        assert!((found.difference.unwrap() - 0.5).abs() < 1e-12);
        assert_eq!(colourfulness(&[tower(&grey)]).difference, None);
        assert_eq!(colourfulness(&[tower(&[0.0; 12])]).means, [0.0]);
    }

    #[test]
    fn towers_that_differ_do_so_more_than_random_halves() {
        let found = |first: &dyn Fn(usize) -> f64| Colourfulness {
            towers: vec![(0..8).map(first).collect(), (8..16).map(|at| 0.1 + 0.01 * at as f64).collect()],
            means: vec![],
            difference: None,
        };
        let apart = by_chance(&found(&|at| 0.8 + 0.01 * at as f64));
        // Two of the 12,870 divisions into eights are this extreme.
        assert!(apart.p < 0.002 && apart.mean < 0.4, "{apart:?}");
        let alike = by_chance(&found(&|at| 0.1 + 0.01 * (at + 8) as f64));
        assert!(alike.p > 0.9, "{alike:?}");
        let tower = Tower { values: (0..9 * 12).map(|at| at as f32).collect(), channels: 3, side: 2 };
        let halves = tower.halves();
        assert_eq!((halves[0].values.len(), halves[1].values[0]), (4 * 12, 48.0));
    }

    #[test]
    fn kernels_are_drawn_in_rows_of_sixteen() {
        let values: Vec<f32> = (0..17).flat_map(|kernel| [kernel as f32; 12]).collect();
        let towers = [Tower { values, channels: 3, side: 2 }];
        let picture = picture(&towers, Range::Global, 1);
        assert_eq!((picture.width, picture.height), (1 + 16 * 3, 1 + 2 * 3));
        let at = |x: usize, y: usize| picture.pixels[(y * picture.width + x) * 3];
        // Kernel 0 is the darkest. Kernel 16, the brightest, begins the second row. The gaps are white.
        assert_eq!((at(1, 1), at(4, 1), at(1, 4), at(3, 1)), (0, 15, 255, 255));
        let own = super::picture(&towers, Range::EachKernel, 1);
        assert_eq!(own.pixels[(own.width + 4) * 3], 0, "a constant kernel has no range");
    }
}
