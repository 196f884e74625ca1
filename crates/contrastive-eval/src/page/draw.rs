//! How items look, and text that cannot become markup.

/// How an item looks on a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drawing {
    /// The bytes of a PNG file.
    Png(Vec<u8>),
    /// Words.
    Text(String),
    /// A picture with words.
    Both(Vec<u8>, String),
}

impl Drawing {
    pub(super) fn html(&self) -> String {
        let image = |png: &[u8]| format!("<img alt=\"\" src=\"data:image/png;base64,{}\">", base64(png));
        match self {
            Self::Png(png) => image(png),
            Self::Text(text) => escaped(text),
            Self::Both(png, text) => format!("{} {}", image(png), escaped(text)),
        }
    }
}

/// Text in which nothing is markup.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let word = three.iter().enumerate().fold(0u32, |word, (k, byte)| word | u32::from(*byte) << (16 - 8 * k));
        for k in 0..4 {
            match k <= three.len() {
                true => out.push(LETTERS[(word >> (18 - 6 * k)) as usize & 63] as char),
                false => out.push('='),
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Oracle: RFC 4648, section 10.
    #[test]
    fn base64_of_the_rfc() {
        let cases = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (text, code) in cases {
            assert_eq!(base64(text.as_bytes()), code);
        }
        assert_eq!(base64(&[0xff, 0xfb]), "//s=");
    }
}
