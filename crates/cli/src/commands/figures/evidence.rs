//! Where in an image the evidence for its class is, by three methods.

use alexnet_report::{Anchor, Figure, Picture};
use anyhow::Result;

use super::{Drawn, Studio};
use crate::commands::analyze::evidence::{Seen, grad_cam, occlusion, overlaid, saliency};
use crate::commands::analyze::largest;

/// Draws occlusion, saliency and Grad-CAM on some images.
pub(super) fn evidence(studio: &Studio) -> Result<Drawn> {
    if studio.look.loaded.network.conv.is_empty() {
        return Ok(Drawn::LeftOut("Grad-CAM needs a convolutional layer"));
    }
    const SHOWN: usize = 5;
    let look = &studio.look;
    let model = look.loaded.model(&look.device.clone().autodiff())?;
    let [channels, side] = look.input();
    let mut figure = Figure::new("Where the evidence for a class is");
    let name = 120.0;
    let wide = (Figure::width() - name) / SHOWN as f64;
    for (row, title) in ["image", "occlusion", "saliency", "Grad-CAM"].into_iter().enumerate() {
        figure.text([0.0, 24.0 + (row as f64 + 0.5) * wide], Anchor::Start, title);
    }
    for (column, image) in studio.chosen(SHOWN, 3).into_iter().enumerate() {
        let view = studio.view(image)?;
        let probabilities = look.probabilities(view.clone())?;
        let class = largest(&probabilities, 1)[0];
        let seen = Seen { view: &view, class, probability: probabilities[class] };
        let heats = [
            occlusion::heat(look, &seen, occlusion::Square::default(), studio.stop)?,
            saliency::heat(look, &model, &seen)?,
            grad_cam::heat(look, &model, &seen, None)?,
        ];
        let shown = look.preprocessing().shown(&view);
        let left = name + column as f64 * wide;
        let inner = [wide - 8.0, wide - 8.0];
        figure.label([left + wide / 2.0 - 4.0, 8.0], Anchor::Middle, wide - 8.0, &studio.names[class]);
        figure.picture([left, 24.0], inner, &Picture::planar(&shown, channels, side))?;
        for (row, heat) in heats.iter().enumerate() {
            let over = overlaid(&shown, channels, &heat.pixels);
            let at = [left, 24.0 + (row + 1) as f64 * wide];
            figure.picture(at, inner, &Picture::planar(&over, 3, side))?;
        }
    }
    let figure = figure.finish(&format!(
        "The evidence, in red, for the most probable class of each image (above), by the network {}. Occlusion: the probability lost where \
         a grey square of a fifth of the side covers the image (Zeiler & Fergus 2013). Saliency: the gradient of the class's logit with \
         respect to the pixels (Simonyan et al. 2013). Grad-CAM: the maps of the last convolutional layer, weighted by their gradients \
         (Selvaraju et al. 2017).",
        look.loaded.network.name
    ));
    Ok(figure.into())
}
