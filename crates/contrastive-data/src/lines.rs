//! Lines, words, and short texts for messages.

/// The greatest length of a message, in characters.
pub(crate) const MESSAGE: usize = 500;

/// Lines with their numbers from 1, without line ends. A line ends with LF, CR LF or CR, as in Python's universal newlines;
/// a last line without an end counts, an empty rest does not.
pub fn all_lines(bytes: &[u8]) -> Lines<'_> {
    Lines { rest: bytes, number: 0 }
}

/// Lines that hold something, with their numbers from 1, without line ends and surrounding blanks.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> + Clone {
    all_lines(bytes).map(|(number, line)| (number, line.trim_ascii())).filter(|(_, line)| !line.is_empty())
}

/// The iterator behind [`all_lines`].
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = (usize, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, after) = split_line(self.rest);
        self.rest = after;
        self.number += 1;
        Some((self.number, line))
    }
}

/// The first line without its end, and what follows it.
pub(crate) fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|&byte| byte == b'\n' || byte == b'\r') {
        None => (bytes, &[]),
        Some(end) => {
            let width = if bytes[end..].starts_with(b"\r\n") { 2 } else { 1 };
            (&bytes[..end], &bytes[end + width..])
        }
    }
}

/// What stands between blanks.
pub fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// At most 40 characters of a text, for messages.
pub fn excerpt(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(200)]);
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// At most `count` characters of a text.
pub fn elided(text: &str, count: usize) -> String {
    let mut characters = text.chars();
    let mut short: String = characters.by_ref().take(count).collect();
    if characters.next().is_some() {
        short.pop();
        short.push('…');
    }
    short
}

/// The first names of a list, and how many more there are.
pub fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut text = names.iter().take(SHOWN).map(|name| elided(name, 40)).collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => text = "nothing".into(),
        count if count > SHOWN => text += &format!(" and {} more", count - SHOWN),
        _ => (),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_any_of_three_ends() {
        let read = |text: &'static str| -> Vec<(usize, &[u8])> { all_lines(text.as_bytes()).collect() };
        assert_eq!(read("a\nb\r\nc\rd"), [(1, &b"a"[..]), (2, b"b"), (3, b"c"), (4, b"d")]);
        assert_eq!(read("a\n"), [(1, &b"a"[..])]);
        assert_eq!(read("\n\r\n\rx\n"), [(1, &b""[..]), (2, b""), (3, b""), (4, b"x")]);
        assert_eq!(lines(b" a \n\n\tb\r").collect::<Vec<_>>(), [(1, &b"a"[..]), (3, b"b")]);
    }

    #[test]
    fn short_texts_have_the_length_asked_for() {
        assert_eq!(elided("abcdef", 6), "abcdef");
        assert_eq!(elided("abcdefg", 6), "abcde…");
        assert_eq!(excerpt(&[b'x'; 300]).chars().count(), 41);
        assert_eq!(listed(&[]), "nothing");
    }
}
