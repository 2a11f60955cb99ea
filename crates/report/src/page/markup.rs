//! Elements of the page. `text` and `label` are escaped here; `rows` are elements.

use crate::chart::escaped;

/// Returns a cell of a table. The class `number` aligns it to the right.
pub(crate) fn cell(class: &str, text: &str) -> String {
    format!("<td class='{class}'>{}</td>", escaped(text))
}

/// Returns a table that scrolls by itself. Each head is a class and a text.
pub(crate) fn table(class: &str, label: &str, heads: &[(&str, &str)], rows: &str) -> String {
    let heads = heads.iter().map(|(class, text)| head("col", class, text));
    format!(
        "<div class='scroll {class}' tabindex='0' role='region' aria-label='{}'>\n\
         <table class='{class}'>\n<thead><tr>{}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n",
        escaped(label),
        heads.collect::<String>(),
    )
}

/// Returns a cell that names its row (`scope` is `row`) or column (`col`).
pub(crate) fn head(scope: &str, class: &str, text: &str) -> String {
    format!("<th scope='{scope}' class='{class}'>{}</th>", escaped(text))
}

/// Encodes a path for a link. Slashes stay.
pub(crate) fn encoded(path: &str) -> String {
    let encode = |byte: u8| match byte.is_ascii_alphanumeric() || b"/.-_~".contains(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    path.bytes().map(encode).collect()
}
