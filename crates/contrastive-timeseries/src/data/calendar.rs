//! Times of the proleptic Gregorian calendar, and what of them an encoder is shown.

use super::error::SeriesError;
use super::series::Series;
use ndarray::Array2;

/// Days since 1970-01-01 of a date (Hinnant's algorithm).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month (from 1) and day (from 1) of a day since 1970-01-01.
fn civil_from_days(days: i64) -> [i64; 3] {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    [era * 400 + year + i64::from(month <= 2), month, day]
}

/// Seconds since 1970 of `YYYY-MM-DD[ HH:MM[:SS]]`, with `/` for `-` and `T` for the blank, or of a whole number of seconds.
pub fn parse_time(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<i64>() {
        // a bare year is not a count of seconds
        return (text.len() > 4).then_some(seconds);
    }
    let text = text.trim_end_matches('Z');
    let (date, clock) = text.split_once([' ', 'T']).unwrap_or((text, ""));
    let parts: Vec<i64> = date.split(['-', '/']).map(|p| p.parse().ok()).collect::<Option<_>>()?;
    let [year, month, day] = parts[..] else { return None };
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || day < 1 {
        return None;
    }
    let days = days_from_civil(year, month, day);
    if civil_from_days(days) != [year, month, day] {
        return None;
    }
    let mut clock = clock.split(':').filter(|p| !p.is_empty());
    let mut next = |limit: i64| -> Option<i64> {
        let Some(part) = clock.next() else { return Some(0) };
        let whole = part.split('.').next()?.parse().ok()?;
        (0..limit).contains(&whole).then_some(whole)
    };
    let (hours, minutes, seconds) = (next(24)?, next(60)?, next(60)?);
    Some(days * 86_400 + hours * 3600 + minutes * 60 + seconds)
}

/// Names of the [`calendar_columns`].
pub const CALENDAR: [&str; 7] = ["minute", "hour", "weekday", "day", "day of year", "month", "week"];

/// Minute, hour, weekday (Monday 0), day of the month, day of the year, month and ISO week of a time.
pub fn calendar_of(seconds: i64) -> [i64; 7] {
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let [year, month, day] = civil_from_days(days);
    let of_year = days - days_from_civil(year, 1, 1);
    let weekday = (days + 3).rem_euclid(7);
    // the week belongs to the year of its Thursday
    let thursday = days - weekday + 3;
    let week = (thursday - days_from_civil(civil_from_days(thursday)[0], 1, 1)) / 7 + 1;
    [of_day / 60 % 60, of_day / 3600, weekday, day, of_year + 1, month, week]
}

/// The seven calendar covariates of every step, `[length, 7]` of each series, as numbers; scale them on training data as any channel.
///
/// # Errors
/// When the series have no times.
pub fn calendar_columns(series: &Series) -> Result<Vec<Array2<f32>>, SeriesError> {
    let times = series.times().map_err(|_| SeriesError::series("calendar columns of series without times"))?;
    let of = |times: &Vec<i64>| {
        let values = times.iter().flat_map(|&t| calendar_of(t)).map(|v| v as f32).collect();
        Array2::from_shape_vec((times.len(), CALENDAR.len()), values).expect("seven numbers a step")
    };
    Ok(times.iter().map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_come_back_and_have_their_weeks() {
        for days in (-200_000..200_000).step_by(37) {
            let [y, m, d] = civil_from_days(days);
            assert_eq!(days_from_civil(y, m, d), days);
        }
        // known dates: Python's datetime.isocalendar and timetuple
        let of = |text: &str| calendar_of(parse_time(text).unwrap());
        assert_eq!(of("2016-07-01 05:07:09"), [7, 5, 4, 1, 183, 7, 26]);
        assert_eq!(of("2021-01-03"), [0, 0, 6, 3, 3, 1, 53]);
        assert_eq!(of("2024/12/30T23:59"), [59, 23, 0, 30, 365, 12, 1]);
        assert_eq!(parse_time("2016-07-01 00:00:00"), Some(1_467_331_200));
        for bad in ["2016-02-30", "2016-13-01", "2016-07-01 24:00:00", "yesterday", "2016", "1-2"] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
    }
}
