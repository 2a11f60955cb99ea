//! Inputs cut from images with Burn's operations: a table of positions is made on the host.

use burn::tensor::{DType, Int, Tensor, TensorData};

use crate::config::ImageCut;

/// [`DeviceImages::cut`](crate::DeviceImages::cut).
pub(super) fn cut(
    levels: Tensor<1, Int>,
    [channels, height, width]: [usize; 3],
    mean: Tensor<3>,
    cuts: &[ImageCut],
) -> Tensor<4> {
    let (device, [_, side, _]) = (mean.device(), mean.dims());
    let shape = [cuts.len(), channels, side, side];
    let values = shape.iter().product();
    if values == 0 {
        return Tensor::zeros(shape, &device);
    }
    let (mut levels_at, mut means_at) = (Vec::with_capacity(values), Vec::with_capacity(values));
    let mut inside = Vec::with_capacity(values);
    for cut in cuts {
        for (channel, y) in (0..channels).flat_map(|channel| (0..side).map(move |y| (channel, y))) {
            let row = cut.top.checked_add_unsigned(y).filter(|row| (0..height as isize).contains(row));
            for x in 0..side {
                let x = if cut.mirrored { side - 1 - x } else { x };
                let column = cut.left + x as isize;
                let place = row.filter(|_| (0..width as isize).contains(&column)).map(|row| {
                    let plane = cut.image * channels + channel;
                    ((plane * height + row as usize) * width + column as usize) as i64
                });
                levels_at.push(place.unwrap_or(0));
                means_at.push(((channel * side + y) * side + x) as i64);
                inside.push(f32::from(u8::from(place.is_some())));
            }
        }
    }
    let table = |places: Vec<i64>| {
        Tensor::<1, Int>::from_data(TensorData::new(places, [values]), (&device, DType::I64))
    };
    let levels = levels.select(0, table(levels_at)).float();
    let means = mean.reshape([channels * side * side]).select(0, table(means_at));
    let inside = Tensor::<1>::from_data(TensorData::new(inside, [values]), &device);
    let colours = |of: &dyn Fn(&ImageCut, usize) -> f32| {
        let numbers = cuts.iter().flat_map(|cut| (0..channels).map(move |channel| of(cut, channel)));
        let data = TensorData::new(numbers.collect::<Vec<_>>(), [cuts.len(), channels, 1, 1]);
        Tensor::<4>::from_data(data, &device)
    };
    let (shift, gain) =
        (colours(&|cut, channel| cut.shift[channel]), colours(&|cut, channel| cut.gain[channel]));
    (((levels - means) * inside).reshape(shape) + shift) * gain
}
