//! The page of a set of figures.

use crate::chart::escaped;
use crate::figure::FinishedFigure;
use crate::page::document;
use crate::page::markup::encoded;

/// Returns a page that shows figures, each with a link to its SVG and PNG. Their files are `NAME.svg` and `NAME.png` in the page's
/// folder.
pub fn figures_page(figures: &[(String, FinishedFigure)]) -> String {
    let item = |(name, figure): &(String, FinishedFigure)| {
        let (file, title) = (encoded(name), escaped(&figure.title));
        format!(
            "<figure id='{}'>\n<a href='{file}.svg'><img src='{file}.svg' alt='{title}: {}' loading='lazy'></a>\n\
             <figcaption>{}. <a href='{file}.svg'>SVG</a> · <a href='{file}.png'>PNG</a></figcaption>\n</figure>\n",
            escaped(name),
            escaped(&figure.caption),
            escaped(&figure.caption),
        )
    };
    let items: String = figures.iter().map(item).collect();
    let main = format!("<section aria-labelledby='title'>\n<h1 id='title'>Figures</h1>\n{items}</section>\n");
    document("figures", "figure img { width: 100%; max-width: 60rem; background: white; }\n", "", &main)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_has_its_files() {
        let figure = crate::Figure::new("a <b>").finish("caption");
        let page = figures_page(&[("one two".to_owned(), figure)]);
        assert!(page.contains("src='one%20two.svg'") && page.contains("href='one%20two.png'"), "{page}");
        assert!(page.contains("alt='a &lt;b&gt;: caption'") && !page.contains("<b>"), "{page}");
    }
}
