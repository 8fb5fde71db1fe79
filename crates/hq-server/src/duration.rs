//! Stretches of time as they are typed: `30m`, `24h`, `7d`.

use std::fmt;
use std::str::FromStr;

/// Units from the longest to the shortest, in milliseconds.
const UNITS: [(char, i64); 5] =
    [('w', 7 * 24 * 3_600_000), ('d', 24 * 3_600_000), ('h', 3_600_000), ('m', 60_000), ('s', 1_000)];
/// A century: nothing here is meant to last longer.
const LONGEST_MS: i64 = 36_525 * 24 * 3_600_000;

/// A stretch of time, longer than nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Duration {
    pub(crate) ms: i64,
}

impl Duration {
    pub(crate) const fn from_ms(ms: i64) -> Self {
        Self { ms }
    }

    /// As the standard library has it.
    pub(crate) fn std(self) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(self.ms).unwrap_or_default())
    }
}

impl FromStr for Duration {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected a number and s, m, h, d or w, such as 30m, 24h or 7d".to_owned();
        let unit = text.chars().last().ok_or_else(expected)?;
        let (_, unit_ms) = UNITS.into_iter().find(|(letter, _)| *letter == unit).ok_or_else(expected)?;
        let number: i64 = text.strip_suffix(unit).unwrap_or_default().parse().map_err(|_| expected())?;
        let ms = number.checked_mul(unit_ms).filter(|ms| *ms <= LONGEST_MS);
        let ms = ms.ok_or("longer than a century")?;
        if ms <= 0 { Err("it must be longer than nothing".to_owned()) } else { Ok(Self { ms }) }
    }
}

impl<'de> serde::Deserialize<'de> for Duration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// In the longest unit that leaves no rest; but one day is 24h, and nobody writes weeks.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits =
            |(letter, ms): &(char, i64)| *letter != 'w' && self.ms % ms == 0 && (*letter != 'd' || self.ms > *ms);
        match UNITS.into_iter().find(fits) {
            Some((letter, ms)) => write!(f, "{}{letter}", self.ms / ms),
            None => write!(f, "{} ms", self.ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_typed() {
        let cases =
            [("90s", Some("90s")), ("30m", Some("30m")), ("24h", Some("24h")), ("7d", Some("7d")), ("1w", Some("7d"))];
        for (text, shown) in cases {
            assert_eq!(text.parse::<Duration>().ok().map(|it| it.to_string()).as_deref(), shown, "{text}");
        }
        for wrong in ["", "7", "d", "0d", "-1d", "7y", "1.5h", "7 d", "d7", "7dd", "99999999999999d", "37000d", "7é"] {
            assert!(wrong.parse::<Duration>().is_err(), "{wrong}");
        }
    }
}
