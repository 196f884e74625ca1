//! Numbers as they stand in text.

/// A whole number of at most 19 digits, nothing else: leading zeros are allowed.
pub fn integer(token: &[u8]) -> Option<u64> {
    if token.is_empty() || token.len() > 19 || !token.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(token.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// A whole number of at most 19 digits as one writes it: no leading zero, no sign. Writing the number gives the text back.
pub fn canonical_integer(token: &[u8]) -> Option<u64> {
    integer(token).filter(|_| token.len() == 1 || token[0] != b'0')
}

/// A number of an `f64` that is not NaN or infinite.
pub fn finite(token: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(token.trim_ascii()).ok()?;
    // Rust reads "inf", "nan" and "infinity" as well: they are not finite
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_integers_come_back_as_they_were() {
        for text in ["0", "7", "10", "9999999999999999999"] {
            assert_eq!(canonical_integer(text.as_bytes()).unwrap().to_string(), text);
        }
        for text in ["", "00", "07", "-1", "+1", "1.0", "1e3", "10000000000000000000", " 1"] {
            assert_eq!(canonical_integer(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(
            (integer(b"007"), finite(b" 1e3 "), finite(b"1e999"), finite(b"nan")),
            (Some(7), Some(1e3), None, None)
        );
    }
}
