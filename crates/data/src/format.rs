//! Recognises image formats by their first bytes, whatever a file is called.

/// The largest number of first bytes that [`sniff`] examines.
pub(crate) const SNIFFED: usize = 32;

/// An image format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Format {
    Jpeg,
    Png,
    WebP,
    Gif,
    Bmp,
    Tiff,
    /// A format that no build reads, with its name.
    Other(&'static str),
}

impl Format {
    /// Returns the format's usual name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Gif => "GIF",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
            Self::Other(name) => name,
        }
    }

    /// Returns whether this build reads the format.
    pub(crate) fn is_read(self) -> bool {
        match self {
            Self::Jpeg => cfg!(feature = "jpeg"),
            Self::Png => true,
            Self::WebP | Self::Gif | Self::Bmp | Self::Tiff => cfg!(feature = "image-formats"),
            Self::Other(_) => false,
        }
    }

    /// Explains why a file of this format is not read, and the remedy.
    pub(crate) fn refusal(self) -> String {
        let remedy = match self {
            Self::Other(_) => "convert it to JPEG or PNG",
            Self::Jpeg => "build with `--features jpeg`",
            _ => "build with `--features image-formats`",
        };
        let article = if self.name().starts_with(['A', 'O']) { "an" } else { "a" };
        format!("{article} {} file, which this build does not read; {remedy}", self.name())
    }
}

/// Returns the format of a file from its first bytes, or `None` if they start no known image format.
pub(crate) fn sniff(first: &[u8]) -> Option<Format> {
    Some(match &first[..first.len().min(SNIFFED)] {
        [0xff, 0xd8, 0xff, ..] => Format::Jpeg,
        [0x89, b'P', b'N', b'G', ..] => Format::Png,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Format::WebP,
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Format::Gif,
        // Many texts also start with these two letters, so the length of the second header decides.
        [b'B', b'M', rest @ ..] => match rest.get(12..16)? {
            [12 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0] => Format::Bmp,
            _ => return None,
        },
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Format::Tiff,
        [0, 0, 0, 12, b'j', b'P', b' ', b' ', ..] | [0xff, 0x4f, 0xff, 0x51, ..] => {
            Format::Other("JPEG 2000")
        }
        [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] | [0xff, 0x0a, ..] => Format::Other("JPEG XL"),
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => match brand.get(..4)? {
            b"avif" | b"avis" => Format::Other("AVIF"),
            b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1" => {
                Format::Other("HEIC")
            }
            _ => return None,
        },
        [b'8', b'B', b'P', b'S', 0, 1 | 2, ..] => Format::Other("Photoshop"),
        [0x76, 0x2f, 0x31, 0x01, ..] => Format::Other("OpenEXR"),
        [0, 0, 1, 0, 1..=64, 0, ..] => Format::Other("Windows icon"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_apart_by_their_first_bytes() {
        let bmp = b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0";
        for (first, name) in [
            (&b"\xff\xd8\xff\xe0"[..], "JPEG"),
            (b"\x89PNG\r\n\x1a\n", "PNG"),
            (b"RIFF\x10\0\0\0WEBPVP8 ", "WebP"),
            (b"GIF87a", "GIF"),
            (b"GIF89a", "GIF"),
            (bmp, "BMP"),
            (b"II*\0", "TIFF"),
            (b"MM\0*", "TIFF"),
            (b"\0\0\0\x0cjP  \r\n", "JPEG 2000"),
            (b"\xff\x4f\xff\x51", "JPEG 2000"),
            (b"\xff\x0a\xfa", "JPEG XL"),
            (b"\0\0\0\x20ftypavif", "AVIF"),
            (b"\0\0\0\x18ftypheic", "HEIC"),
            (b"8BPS\0\x01", "Photoshop"),
            (b"\0\0\x01\0\x01\0", "Windows icon"),
        ] {
            assert!(first.len() <= SNIFFED);
            assert_eq!(sniff(first).map(Format::name), Some(name));
        }
        // Sound, films, text, IDX numbers and an empty file.
        for other in [
            &b"RIFF\x10\0\0\0WAVEfmt "[..],
            b"\0\0\0\x20ftypisom",
            b"BMW and other makes of car",
            b"\0\0\x08\x03\0\0\0\x02",
            b"\xff\xd8",
            b"GIF",
            b"",
        ] {
            assert_eq!(sniff(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_format_that_is_not_read_says_what_to_do() {
        assert!(Format::Jpeg.is_read() && Format::Png.is_read() && !Format::Other("AVIF").is_read());
        assert_eq!(Format::WebP.is_read(), cfg!(feature = "image-formats"));
        assert_eq!(
            Format::WebP.refusal(),
            "a WebP file, which this build does not read; build with `--features image-formats`"
        );
        assert_eq!(
            Format::Other("AVIF").refusal(),
            "an AVIF file, which this build does not read; convert it to JPEG or PNG"
        );
    }
}
