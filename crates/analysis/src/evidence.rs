//! The location in an image of the evidence for a class.

use burn::tensor::{Int, Tensor, TensorData};

/// Where the evidence is.
#[derive(Debug, Clone, PartialEq)]
pub struct Heat {
    /// The map that the method gives, `[rows, columns]`.
    pub map: Vec<Vec<f32>>,
    /// The strength of the evidence at each pixel of the input, at least 0.
    pub pixels: Vec<f32>,
}

/// A grey square that covers a network's input at each of a grid of places (Zeiler & Fergus 2013, §4.2). A class loses probability
/// where the square covers its evidence.
#[derive(Debug, Clone)]
pub struct Occlusion<'a> {
    /// The input, `[channels, side, side]`. Zero is the mean, which is grey: an input without content.
    pub view: &'a [f32],
    /// The side of the input.
    pub side: usize,
    /// The side of the square, at most that of the input.
    pub square: usize,
    /// The first rows of the squares, and their first columns.
    pub places: Vec<usize>,
}

impl Occlusion<'_> {
    /// Computes the probability of a class with the square at each place, and its loss at each pixel: the mean over the squares that
    /// cover it. `probability` is that of the class for the whole input, and `probabilities` computes it for inputs
    /// `[count, channels, side, side]`, at most `at_once` of them.
    ///
    /// # Errors
    /// Those of `probabilities`.
    pub fn heat<E>(
        &self,
        probability: f32,
        at_once: usize,
        mut probabilities: impl FnMut(Vec<f32>) -> Result<Vec<f32>, E>,
    ) -> Result<Heat, E> {
        let (places, side) = (&self.places, self.side);
        let corners: Vec<(usize, usize)> =
            places.iter().flat_map(|&top| places.iter().map(move |&left| (top, left))).collect();
        let mut map = Vec::with_capacity(corners.len());
        for corners in corners.chunks(at_once) {
            let inputs = corners.iter().flat_map(|&corner| self.covered(corner)).collect();
            map.extend(probabilities(inputs)?);
        }
        let map: Vec<Vec<f32>> = map.chunks(places.len().max(1)).map(<[f32]>::to_vec).collect();
        let loss = |y: usize, x: usize| {
            let covers = |place: &usize, at: usize| (*place..place + self.square).contains(&at);
            let mut lost = (0.0, 0);
            for (row, _) in places.iter().enumerate().filter(|(_, place)| covers(place, y)) {
                for (column, _) in places.iter().enumerate().filter(|(_, place)| covers(place, x)) {
                    lost = (lost.0 + (probability - map[row][column]).max(0.0), lost.1 + 1);
                }
            }
            if lost.1 == 0 { 0.0 } else { lost.0 / lost.1 as f32 }
        };
        let pixels = (0..side * side).map(|at| loss(at / side, at % side)).collect();
        Ok(Heat { map, pixels })
    }

    /// The input with the square at a place.
    fn covered(&self, (top, left): (usize, usize)) -> Vec<f32> {
        let mut view = self.view.to_vec();
        for channel in view.chunks_exact_mut(self.side * self.side) {
            for row in channel.chunks_exact_mut(self.side).skip(top).take(self.square) {
                row[left..][..self.square].fill(0.0);
            }
        }
        view
    }
}

/// Computes the largest magnitude over the channels of the gradient of a class's logit with respect to each pixel (Simonyan, Vedaldi
/// & Zisserman 2013, §3). Returns `None` if the logits do not depend on the input.
///
/// # Shapes
/// `input`: `[1, channels, side, side]`, on a device with gradients; the result of `logits`: `[1, classes]`.
pub fn saliency(input: Tensor<4>, class: usize, logits: impl FnOnce(Tensor<4>) -> Tensor<2>) -> Option<Heat> {
    let [_, _, _, side] = input.dims();
    let input = input.require_grad();
    let gradients = logit(logits(input.clone()), class).backward();
    let largest = input.grad(&gradients)?.abs().max_dim(1);
    let pixels: Vec<f32> = largest.into_data().convert::<f32>().iter().collect();
    Some(Heat { map: pixels.chunks_exact(side).map(<[f32]>::to_vec).collect(), pixels })
}

/// Selects the logit of a class.
///
/// # Shapes
/// `logits`: `[1, classes]`; output: `[1]`.
pub fn logit(logits: Tensor<2>, class: usize) -> Tensor<1> {
    let device = logits.device();
    let index = Tensor::<2, Int>::from_data(TensorData::new(vec![class as i64], [1, 1]), &device);
    logits.gather(1, index).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The class is as probable as the pixel in row 1, column 2 is bright.
    #[test]
    fn a_square_over_the_evidence_takes_the_probability() {
        let mut view = vec![0.0; 2 * 16];
        view[6] = 0.8;
        let occlusion = Occlusion { view: &view, side: 4, square: 2, places: vec![0, 1, 2] };
        for at_once in [1, 2, 9] {
            let seen = |inputs: Vec<f32>| {
                assert!(inputs.len() <= at_once * 32);
                Ok::<_, ()>(inputs.chunks_exact(32).map(|input| input[6]).collect())
            };
            let Heat { map, pixels } = occlusion.heat(0.8, at_once, seen).unwrap();
            assert_eq!(map, [[0.8, 0.0, 0.0], [0.8, 0.0, 0.0], [0.8, 0.8, 0.8]]);
            // Four squares cover the bright pixel. Two cover the one in the top row, of which one covers both.
            assert_eq!((pixels[6], pixels[3], pixels[12]), (0.8, 0.8, 0.0));
            assert!((pixels[1] - 0.4).abs() < 1e-6);
        }
        assert_eq!(occlusion.heat(0.8, 4, |_| Err("no")), Err("no"));
    }

    #[test]
    fn saliency_is_the_largest_gradient_of_the_logit_over_channels() {
        let device = alexnet_ops::Backend::in_this_build()[0].device().unwrap().autodiff();
        let input =
            Tensor::<4>::from_data([[[[1.0f32, -2.0], [0.0, 3.0]], [[5.0, 1.0], [0.0, 0.0]]]], &device);
        // The logit of class 1 is the sum of squares; its gradient is twice the input.
        let logits = |x: Tensor<4>| {
            let squares = x.flatten::<2>(1, 3).square().sum_dim(1);
            Tensor::cat(vec![squares.zeros_like(), squares], 1)
        };
        let heat = saliency(input.clone(), 1, logits).unwrap();
        assert_eq!(heat.pixels, [10.0, 4.0, 0.0, 6.0]);
        assert_eq!(heat.map, [[10.0, 4.0], [0.0, 6.0]]);
        assert_eq!(saliency(input, 0, |x| Tensor::ones([1, 2], &x.device()).require_grad()), None);
    }
}
