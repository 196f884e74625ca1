//! Values that protocol 0 writes as lines of text.

use super::super::super::error::FileError;
use super::super::super::lines::excerpt;
use super::Machine;

impl Machine<'_> {
    /// A number written in a line.
    pub(super) fn decimal<T: std::str::FromStr>(&mut self) -> Result<T, FileError> {
        let line = self.line()?;
        let text = std::str::from_utf8(line).ok().map(|text| text.trim_end_matches('L'));
        text.and_then(|text| text.parse().ok())
            .ok_or_else(|| self.wrong(format!("the number {:?}", excerpt(line)), "a number that fits"))
    }

    /// A text in Python's quotes, of protocol 0.
    pub(super) fn quoted(&mut self) -> Result<(), FileError> {
        let line = self.line()?;
        let inner = match line {
            [open @ (b'\'' | b'"'), inner @ .., close] if open == close => inner,
            _ => return Err(self.wrong("a text without quotes", "a text in quotes")),
        };
        let (mut text, mut rest) = (Vec::with_capacity(inner.len()), inner);
        while let [byte, after @ ..] = rest {
            rest = after;
            if *byte != b'\\' {
                text.push(*byte);
                continue;
            }
            let hexadecimal =
                || std::str::from_utf8(after.get(1..3)?).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
            let (byte, used) = match after.first() {
                Some(b'n') => (b'\n', 1),
                Some(b'r') => (b'\r', 1),
                Some(b't') => (b'\t', 1),
                Some(&byte @ (b'\\' | b'\'' | b'"')) => (byte, 1),
                Some(b'x') if hexadecimal().is_some() => (hexadecimal().expect("checked"), 3),
                _ => return Err(self.wrong("an escape of another kind", "the escapes of Python 2's texts")),
            };
            text.push(byte);
            rest = &after[used..];
        }
        self.push_decoded(&text)
    }

    /// A text of protocol 0 in raw-unicode-escape, kept as UTF-8.
    pub(super) fn unicode(&mut self) -> Result<(), FileError> {
        let line = self.line()?;
        let (mut text, mut rest) = (String::with_capacity(line.len()), line);
        while let [byte, after @ ..] = rest {
            rest = after;
            let width = match (byte, after.first()) {
                (b'\\', Some(b'u')) => 4,
                (b'\\', Some(b'U')) => 8,
                _ => {
                    text.push(char::from(*byte));
                    continue;
                }
            };
            let code = after.get(1..=width).and_then(|digits| std::str::from_utf8(digits).ok());
            let code = code.and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32);
            let Some(code) = code else { return Err(self.wrong("an escape that is no character", "\\uXXXX")) };
            text.push(code);
            rest = &after[width + 1..];
        }
        self.push_decoded(text.as_bytes())
    }
}
