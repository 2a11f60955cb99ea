//! A picture of the first layer's kernels.

use alexnet_analysis::kernels::{self, Range, Tower};
use alexnet_model::Network;

use super::messages::Image;

/// Returns the first layer's name and a picture of its kernels by tower, if the layer has kernels.
pub(super) fn picture(
    network: &Network,
    parameters: &[(String, Vec<usize>, Vec<f32>)],
) -> Option<(String, Image)> {
    let first = network.conv.first().filter(|first| first.shared)?;
    let own = |name: &str| name.starts_with(&format!("{}.", first.name)) && name.ends_with(".weight");
    let towers: Vec<Tower> = parameters
        .iter()
        .filter(|(name, ..)| own(name))
        .map(|(_, shape, values)| Tower { values: values.clone(), channels: shape[1], side: shape[2] })
        .collect();
    let picture = kernels::picture(&towers, Range::Global, (64 / first.kernel).max(1));
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, picture.width as u32, picture.height as u32);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(&picture.pixels).ok()?;
    writer.finish().ok()?;
    let (height, width) = (picture.height as i32, picture.width as i32);
    Some((format!("kernels/{}", first.name), Image { height, width, colorspace: 3, png }))
}
