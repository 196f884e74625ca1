//! Times: numbers since an epoch, and dates.

use std::path::Path;

use super::error::FileError;
use super::lines::excerpt;
use super::number::finite;
use super::place::Origin;

/// Reads a column of times: all of them numbers, or all of them dates.
///
/// Numbers stay as they are (seconds, milliseconds, ranks: only their order is certain). Dates become seconds since 1970-01-01
/// UTC; see [`date_seconds`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    kind: Option<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Number,
    Date,
}

impl Times {
    /// The time of a field; `None` when the field is empty.
    ///
    /// # Errors
    /// [`FileError::BadTime`] for anything that is no time, and for a date among numbers or a number among dates.
    pub fn read(&mut self, token: &[u8], path: &Path, line: usize) -> Result<Option<f64>, FileError> {
        let token = token.trim_ascii();
        if token.is_empty() {
            return Ok(None);
        }
        let bad = |allowed: &'static str| {
            let (origin, text) = (Origin::line(path, line), excerpt(token));
            Err(FileError::BadTime { origin, what: "time", text, allowed })
        };
        let (kind, value) = match (finite(token), date_seconds(token)) {
            (Some(value), _) => (Kind::Number, value),
            (None, Some(value)) => (Kind::Date, value),
            (None, None) => return bad("numbers such as 881250949, or dates such as 2010-10-01T23:55:27Z"),
        };
        match *self.kind.get_or_insert(kind) {
            found if found == kind => Ok(Some(value)),
            Kind::Number => bad("numbers, as in the rows before"),
            Kind::Date => bad("dates, as in the rows before"),
        }
    }

    /// Whether the times read so far are dates, in seconds since 1970-01-01 UTC.
    pub fn are_dates(&self) -> bool {
        self.kind == Some(Kind::Date)
    }
}

/// Seconds since 1970-01-01 UTC of an ISO 8601 date: `2010-10-01`, `2010/10/01`, `2010-10-01T23:55`, `2010-10-01 23:55:27.5`, with
/// `Z`, `UTC`, `+02:00`, `+0200` or `+02` after the time (without: UTC). Also `Tue Apr 03 18:00:09 +0000 2012`, as in check-ins.
/// `None` for anything else, days that do not exist among it. A second 60 is the next minute's first.
pub fn date_seconds(token: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(token.trim_ascii()).ok()?;
    if !text.is_ascii() || text.len() > 40 {
        return None;
    }
    if text.as_bytes().first()?.is_ascii_alphabetic() {
        return check_in(text);
    }
    let (date, rest) = text.split_at_checked(10)?;
    let separator = date.as_bytes()[4];
    if !matches!(separator, b'-' | b'/') || date.as_bytes()[7] != separator {
        return None;
    }
    let day = days(digits(&date[..4])?, digits(&date[5..7])?, digits(&date[8..])?)?;
    let start = day as f64 * 86_400.0;
    if rest.is_empty() {
        return Some(start);
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == ':' || c == '.')).unwrap_or(rest.len());
    Some(start + clock(&rest[..end])? - offset(rest[end..].trim())?)
}

/// `Tue Apr 03 18:00:09 +0000 2012`
fn check_in(text: &str) -> Option<f64> {
    const MONTHS: &str = "janfebmaraprmayjunjulaugsepoctnovdec";
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let &[_, month, day, time, zone, year] = &words[..] else { return None };
    let month = MONTHS.find(&month.to_ascii_lowercase()).filter(|at| month.len() == 3 && at % 3 == 0)? / 3 + 1;
    let day = days(digits(year).filter(|_| year.len() == 4)?, month as i64, digits(day)?)?;
    Some(day as f64 * 86_400.0 + clock(time)? - offset(zone)?)
}

fn digits(text: &str) -> Option<i64> {
    (text.len() <= 4 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())?
}

/// Days since 1970-01-01 in the Gregorian calendar (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Seconds of `23:55`, `23:55:27` or `23:55:27.5`.
fn clock(text: &str) -> Option<f64> {
    let mut parts = text.split(':');
    let (hour, minute) = (digits(parts.next()?)?, digits(parts.next()?)?);
    let second = parts.next().map_or(Some(0.0), |second| {
        let well_formed = second.len() >= 2 && second.bytes().next()?.is_ascii_digit();
        second.parse::<f64>().ok().filter(|_| well_formed)
    })?;
    let fits = hour < 24 && minute < 60 && second < 61.0 && parts.next().is_none();
    fits.then_some((hour * 3600 + minute * 60) as f64 + second)
}

/// Seconds by which a zone is ahead of UTC.
fn offset(text: &str) -> Option<f64> {
    if matches!(text, "" | "Z" | "z" | "UTC" | "GMT") {
        return Some(0.0);
    }
    let sign = match text.as_bytes()[0] {
        b'+' => 1.0,
        b'-' => -1.0,
        _ => return None,
    };
    let plain: String = text[1..].split(':').collect();
    let (hours, minutes) = match plain.len() {
        2 => (digits(&plain)?, 0),
        4 => (digits(&plain[..2])?, digits(&plain[2..])?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds as Python's `datetime.fromisoformat(..).timestamp()` gives them.
    #[test]
    fn dates_are_seconds_since_1970() {
        for (text, seconds) in [
            ("1970-01-01", 0.0),
            ("2010-10-01T23:55:27Z", 1_285_977_327.0),
            ("2010-10-01 23:55:27", 1_285_977_327.0),
            ("2010-10-02T01:55:27+02:00", 1_285_977_327.0),
            ("2010-10-01T18:25:27-0530", 1_285_977_327.0),
            ("2000-02-29", 951_782_400.0),
            ("1969-12-31T23:59:59", -1.0),
            ("2020/01/01 00:00", 1_577_836_800.0),
            ("2020-01-01T00:00:00.25Z", 1_577_836_800.25),
            ("Tue Apr 03 18:00:09 +0000 2012", 1_333_476_009.0),
        ] {
            assert_eq!(date_seconds(text.as_bytes()), Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "2010",
            "2010-13-01",
            "2010-02-30",
            "1900-02-29",
            "2010-10-01T25:00",
            "2010-10-01Tx",
            "2010-10-01T1:0:+5",
            "2010-10-0é",
            "noon",
            "2010-10/01",
            "2010-10-01T10:00:00+ab",
        ] {
            assert_eq!(date_seconds(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn one_kind_of_time_in_a_column() {
        let path = Path::new("a.csv");
        let mut times = Times::default();
        assert_eq!(times.read(b"2010-10-01", path, 1).unwrap(), Some(1_285_891_200.0));
        assert_eq!(times.read(b"", path, 2).unwrap(), None);
        assert!(times.read(b"17", path, 3).unwrap_err().to_string().contains("a.csv:3: time \"17\""));
        assert!(Times::default().read(b"noon", path, 3).is_err());
    }
}
