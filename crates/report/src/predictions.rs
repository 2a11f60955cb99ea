//! A page of photographs with bars for their most probable classes (Krizhevsky et al. 2012, figure 4).

use crate::chart::escaped;
use crate::page::document;
use crate::page::markup::encoded;

const STYLE: &str = "\
    .photographs { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1.25rem; padding: 0; }\n\
    .photographs li { list-style: none; }\n\
    .photographs img { width: 100%; height: 13rem; object-fit: contain; background: var(--card); }\n\
    .photographs .bar { position: relative; margin: 0.15rem 0; padding: 0.1rem 0.4rem; font-size: 0.85rem; }\n\
    .photographs .bar i { position: absolute; inset: 0 auto 0 0; background: var(--zone); }\n\
    .photographs .bar b { float: right; font-weight: 400; }\n\
    .photographs .name { color: var(--soft); font-size: 0.85rem; overflow-wrap: anywhere; }\n";

/// A photograph with its most probable classes.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictedImage {
    /// The path of the photograph, from the page's folder.
    pub image: String,
    /// Classes and their probabilities, the most probable first.
    pub top: Vec<(String, f64)>,
}

/// Returns a page of photographs. It links to their files and does not contain them.
pub fn predictions_page(images: &[PredictedImage]) -> String {
    let item = |PredictedImage { image, top }: &PredictedImage| {
        let bars: String = top
            .iter()
            .map(|(class, probability)| {
                let percent = 100.0 * probability;
                format!(
                    "<div class='bar'><i style='width: {percent:.1}%'></i><b>{percent:.1} %</b>{}</div>\n",
                    escaped(class)
                )
            })
            .collect();
        format!(
            "<li>\n<img src='{}' alt='{name}' loading='lazy'>\n<div class='name'>{name}</div>\n{bars}</li>\n",
            encoded(image),
            name = escaped(image),
        )
    };
    let items: String = images.iter().map(item).collect();
    let main = format!(
        "<section aria-labelledby='title'>\n<h1 id='title'>{}</h1>\n<ul class='photographs'>\n{items}</ul>\n\
         </section>\n",
        if images.len() == 1 { "1 photograph".to_owned() } else { format!("{} photographs", images.len()) }
    );
    document("predictions", STYLE, "", &main)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_photograph_has_its_bars_and_no_name_is_markup() {
        let hostile = "<b>'x'.jpg";
        let html = predictions_page(&[PredictedImage {
            image: hostile.to_owned(),
            top: vec![(hostile.to_owned(), 0.75), ("dog".to_owned(), 0.25)],
        }]);
        for expected in ["src='%3Cb%3E%27x%27.jpg'", "width: 75.0%", "25.0 %</b>dog", "1 photograph<"] {
            assert!(html.contains(expected), "no {expected} in {html}");
        }
        assert!(!html.contains("<b>'x"), "{html}");
    }
}
