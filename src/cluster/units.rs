//! Lengths of time and amounts of memory: read as dask-jobqueue and the schedulers read them.

use std::time::Duration;

use super::Fields;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Reads `16GB`, `512 MiB`, `1.5e9`: bytes. kB, MB, GB, TB are powers of ten, KiB and so on of two,
/// in any case, as `dask.utils.parse_bytes` has it.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let split = text.char_indices().rev().find(|(_, c)| !c.is_ascii_alphabetic());
    let split = split.map_or(0, |(at, c)| at + c.len_utf8());
    let (number, unit) = text.split_at(split);
    if number.is_empty() && unit.is_empty() {
        return None;
    }
    let number: f64 = if number.is_empty() { 1.0 } else { number.parse().ok()? };
    let unit = unit.to_ascii_lowercase();
    let scale = match unit.as_str() {
        "" | "b" => 1.0,
        _ => {
            let power = i32::try_from("kmgtp".find(unit.chars().next()?)?).ok()? + 1;
            match &unit[1..] {
                "" | "b" => 1000f64.powi(power),
                "i" | "ib" => 1024f64.powi(power),
                _ => return None,
            }
        }
    };
    let bytes = number * scale;
    (bytes >= 1.0 && bytes < u64::MAX as f64).then_some(bytes as u64)
}

/// Reads a length of time: `1-12:00:00`, `4:00:00`, `90m`, `4h`, and what depends on the scheduler,
/// `30:00` and `30`.
pub(super) fn walltime(text: &str, two_fields: Fields, bare_number: u64) -> Option<Duration> {
    let text = text.trim();
    let number = |text: &str| -> Option<u64> {
        (text.bytes().all(|b| b.is_ascii_digit()) && text.len() < 10).then(|| text.parse().ok())?
    };
    if let Some(seconds) = number(text) {
        return Some(Duration::from_secs(seconds * bare_number));
    }
    let with_unit = [("d", DAY), ("h", HOUR), ("m", MINUTE), ("min", MINUTE), ("s", 1)];
    if let Some(seconds) = with_unit
        .iter()
        .find_map(|(unit, seconds)| Some(number(text.strip_suffix(unit)?.trim_end())? * seconds))
    {
        return Some(Duration::from_secs(seconds));
    }
    let (days, rest) = match text.split_once('-') {
        Some((days, rest)) => (Some(number(days)?), rest),
        None => (None, text),
    };
    let fields: Vec<u64> = rest.split(':').map(number).collect::<Option<_>>()?;
    let seconds = match (days, fields.as_slice()) {
        // After days come hours, sbatch(1).
        (Some(days), [h]) => days * DAY + h * HOUR,
        (Some(days), [h, m]) => days * DAY + h * HOUR + m * MINUTE,
        (days, [h, m, s]) => days.unwrap_or(0) * DAY + h * HOUR + m * MINUTE + s,
        // D:HH:MM:SS, as PBS writes it back.
        (None, [d, h, m, s]) => d * DAY + h * HOUR + m * MINUTE + s,
        (None, [a, b]) if two_fields == Fields::HoursMinutes => a * HOUR + b * MINUTE,
        (None, [a, b]) => a * MINUTE + b,
        _ => return None,
    };
    Some(Duration::from_secs(seconds))
}

/// `HH:MM:SS`, with as many hours as there are.
pub(super) fn hms(time: Duration) -> String {
    let s = time.as_secs();
    format!("{:02}:{:02}:{:02}", s / HOUR, s % HOUR / MINUTE, s % MINUTE)
}

/// `HH:MM:SS`, from a day on `D-HH:MM:SS`.
pub(super) fn days_hms(time: Duration) -> String {
    match time.as_secs() / DAY {
        0 => hms(time),
        days => format!("{days}-{}", hms(Duration::from_secs(time.as_secs() % DAY))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_as_dask_reads_it() {
        for (text, wanted) in [
            ("16GB", Some(16_000_000_000)),
            ("16G", Some(16_000_000_000)),
            ("16GiB", Some(17_179_869_184)),
            ("64 gb", Some(64_000_000_000)),
            ("1024", Some(1024)),
            ("1.5 kB", Some(1500)),
            ("1e9", Some(1_000_000_000)),
            ("MB", Some(1_000_000)),
            ("0", None),
            ("-1GB", None),
            ("16 giga", None),
            ("lots", None),
            ("", None),
        ] {
            assert_eq!(bytes(text), wanted, "{text}");
        }
    }

    #[test]
    fn times_as_schedulers_read_them() {
        use Fields::{HoursMinutes, MinutesSeconds};
        for (text, two_fields, bare_number, wanted) in [
            ("04:00:00", MinutesSeconds, 60, Some(4 * HOUR)),
            ("1-12:00:00", MinutesSeconds, 60, Some(36 * HOUR)),
            ("1-12", MinutesSeconds, 60, Some(36 * HOUR)),
            ("1-12:30", HoursMinutes, 60, Some(36 * HOUR + 30 * MINUTE)),
            ("30:00", MinutesSeconds, 60, Some(30 * MINUTE)),
            ("30:00", HoursMinutes, 60, Some(30 * HOUR)),
            ("90m", MinutesSeconds, 1, Some(90 * MINUTE)),
            ("4h", MinutesSeconds, 1, Some(4 * HOUR)),
            ("30", MinutesSeconds, 60, Some(30 * MINUTE)),
            ("30", MinutesSeconds, 1, Some(30)),
            ("1:00:00:00", MinutesSeconds, 1, Some(DAY)),
            ("soon", MinutesSeconds, 1, None),
            ("1:2:3:4:5", MinutesSeconds, 1, None),
            ("-1", MinutesSeconds, 1, None),
            ("", MinutesSeconds, 1, None),
        ] {
            let read = walltime(text, two_fields, bare_number).map(|time| time.as_secs());
            assert_eq!(read, wanted, "{text}");
        }
    }

    #[test]
    fn times_as_they_are_written() {
        assert_eq!(hms(Duration::from_secs(36 * HOUR + 62)), "36:01:02");
        assert_eq!(days_hms(Duration::from_secs(36 * HOUR + 62)), "1-12:01:02");
        assert_eq!(days_hms(Duration::from_secs(1800)), "00:30:00");
    }
}
