//! Words of a shell.

/// Quotes a word for a shell.
pub(crate) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Quotes a word for a shell if it must be.
pub(crate) fn word(text: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "-_./".contains(letter);
    if text.chars().all(plain) { text.to_owned() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_are_literal() {
        assert_eq!(super::quoted("a b"), "'a b'");
        assert_eq!(super::quoted("it's"), "'it'\\''s'");
        assert_eq!([super::word("runs/a-1"), super::word("my runs")], ["runs/a-1", "'my runs'"]);
    }
}
