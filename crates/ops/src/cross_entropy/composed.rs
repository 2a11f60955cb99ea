use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};

/// [`cross_entropy`](crate::cross_entropy) from Burn's operations.
pub fn cross_entropy(logits: Tensor<2>, targets: &[usize]) -> Tensor<1> {
    let targets: Vec<i64> = targets.iter().map(|&target| target as i64).collect();
    let targets = TensorData::new(targets, [logits.dims()[0], 1]);
    let targets = Tensor::<2, Int>::from_data(targets, &logits.device());
    log_softmax(logits, 1).gather(1, targets).mean().neg()
}

/// [`soft_cross_entropy`](crate::soft_cross_entropy) from Burn's operations.
pub fn soft_cross_entropy(logits: Tensor<2>, wanted: &[f32]) -> Tensor<1> {
    let shape = logits.dims();
    let wanted = Tensor::<2>::from_data(TensorData::new(wanted.to_vec(), shape), &logits.device());
    (log_softmax(logits, 1) * wanted).sum().div_scalar(shape[0] as f64).neg()
}
