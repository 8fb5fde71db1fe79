//! Instants, and the calendar arithmetic of windows and billing periods.

use crate::model::Window;
use jiff::civil;
use serde::{Serialize, Serializer};
use std::{fmt, str::FromStr, time::SystemTime};

/// An instant: milliseconds since 1970-01-01T00:00:00Z, within the years 0000 to 9999 that RFC 3339 can write.
///
/// The engine never reads a clock. Callers pass one of these with every question.
///
/// ```
/// use leasehold::Timestamp;
/// let now: Timestamp = "2026-03-01T08:00:00+04:00".parse()?;
/// assert_eq!(now.to_string(), "2026-03-01T04:00:00Z");
/// # Ok::<(), leasehold::InvalidTime>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Why a text or number is not a [`Timestamp`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTime {
    /// Not RFC 3339, or a date that the calendar does not have.
    #[error("`{0}` is not an RFC 3339 time such as `2026-03-01T08:00:00Z`")]
    Syntax(String),
    /// Finer than a millisecond, which would be lost.
    #[error("`{0}` is finer than a millisecond")]
    Precision(String),
    /// Outside the years 0000 to 9999.
    #[error("{0} ms is outside the years 0000 to 9999")]
    Range(i64),
}

impl InvalidTime {
    /// The stable code of this error, the same in every language.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Syntax(_) => "invalid_time",
            Self::Precision(_) => "time_precision",
            Self::Range(_) => "time_out_of_range",
        }
    }
}

impl Timestamp {
    /// 0000-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_167_219_200_000);
    /// 9999-12-31T23:59:59.999Z.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// An instant from milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// [`InvalidTime::Range`] outside the years 0000 to 9999.
    pub fn from_ms(ms: i64) -> Result<Self, InvalidTime> {
        let time = Self(ms);
        if (Self::MIN..=Self::MAX).contains(&time) { Ok(time) } else { Err(InvalidTime::Range(ms)) }
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_ms(self) -> i64 {
        self.0
    }

    /// The civil date and time at a place `offset` away from UTC.
    ///
    /// Through jiff's civil types, not its `Timestamp`: that one ends two days before the year 9999 does.
    fn civil(self, offset: UtcOffset) -> civil::DateTime {
        let ms = self.0 + i64::from(offset.minutes()) * 60_000;
        match jiff::Timestamp::from_millisecond(ms) {
            Ok(instant) => jiff::tz::Offset::UTC.to_datetime(instant),
            // Those of jiff end a day before the year 9999 does.
            Err(_) => EPOCH.saturating_add(jiff::Span::new().milliseconds(ms)),
        }
    }

    /// The instant that a place `offset` away from UTC calls `local`; saturates at [`Self::MIN`] and [`Self::MAX`].
    fn from_civil(local: civil::DateTime, offset: UtcOffset) -> Self {
        let days = local.date().since(EPOCH.date()).map_or(0, |span| i64::from(span.get_days()));
        let (hour, minute, second) = (local.hour(), local.minute(), local.second());
        let seconds = (i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second);
        let ms = days * DAY_MS + seconds * 1000 + i64::from(local.millisecond()) - i64::from(offset.minutes()) * 60_000;
        Self(ms.clamp(Self::MIN.0, Self::MAX.0))
    }
}

const EPOCH: civil::DateTime = civil::date(1970, 1, 1).at(0, 0, 0, 0);
const DAY_MS: i64 = 86_400_000;

/// Times before the year 0 or after 9999 become the nearest one within.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let ms = match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos().div_ceil(1_000_000)).map_or(i64::MIN, |ms| -ms),
        };
        Self(ms.clamp(Self::MIN.0, Self::MAX.0))
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTime;
    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        read_rfc3339(text).unwrap_or_else(|| Err(InvalidTime::Syntax(text.to_owned())))
    }
}

/// Reads `YYYY-MM-DDTHH:MM:SS[.f…](Z|±HH:MM)`; nothing where the text has another shape.
///
/// jiff's own parser accepts more forms than RFC 3339 has, and clamps a leap second, which has no instant in Unix time.
fn read_rfc3339(text: &str) -> Option<Result<Timestamp, InvalidTime>> {
    let (head, rest) = text.split_at_checked(19)?;
    let number = |from: usize, to: usize| -> Option<i16> {
        let digits = head.get(from..to)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let separated = head.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        10 => matches!(byte, b'T' | b't' | b' '),
        13 | 16 => byte == b':',
        _ => byte.is_ascii_digit(),
    });
    if !separated {
        return None;
    }
    let small = |from| number(from, from + 2).and_then(|n| i8::try_from(n).ok());
    let local =
        civil::DateTime::new(number(0, 4)?, small(5)?, small(8)?, small(11)?, small(14)?, small(17)?, 0).ok()?;

    let digits = rest.strip_prefix('.').map_or(0, |tail| tail.bytes().take_while(u8::is_ascii_digit).count());
    let (fraction, zone) = rest.split_at_checked(if digits > 0 { digits + 1 } else { 0 })?;
    let ms = fraction.bytes().skip(1).chain(*b"00").take(3).fold(0, |ms, digit| ms * 10 + i64::from(digit - b'0'));
    let ms = if digits == 0 { 0 } else { ms };

    let offset_minutes = match zone.as_bytes() {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] if [h1, h2, m1, m2].iter().all(|b| b.is_ascii_digit()) => {
            let two = |tens: &u8, ones: &u8| i64::from(tens - b'0') * 10 + i64::from(ones - b'0');
            let (hours, minutes) = (two(h1, h2), two(m1, m2));
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 60 + minutes) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    if fraction.bytes().skip(4).any(|digit| digit != b'0') {
        return Some(Err(InvalidTime::Precision(text.to_owned())));
    }
    let utc = Timestamp::from_civil(local, UtcOffset::default()).0;
    Some(Timestamp::from_ms(utc + ms - offset_minutes * 60_000))
}

/// RFC 3339 in UTC; milliseconds only where there are any.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = self.civil(UtcOffset::default());
        // Every answer has such a text: `write!` takes several times as long.
        let mut text = String::with_capacity(24);
        let mut push = |number: i64, digits: u32, then: char| {
            let digit = |place| (number / 10_i64.pow(place)).rem_euclid(10);
            text.extend((0..digits).rev().filter_map(|place| char::from_digit(u32::try_from(digit(place)).ok()?, 10)));
            text.push(then);
        };
        push(t.year().into(), 4, '-');
        push(t.month().into(), 2, '-');
        push(t.day().into(), 2, 'T');
        push(t.hour().into(), 2, ':');
        push(t.minute().into(), 2, ':');
        match self.0.rem_euclid(1000) {
            0 => push(t.second().into(), 2, 'Z'),
            ms => {
                push(t.second().into(), 2, '.');
                push(ms, 3, 'Z');
            }
        }
        f.pad(&text)
    }
}

/// As text for people, as milliseconds since the Unix epoch in canonical JSON.
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_i64(self.0) }
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "format": "date-time",
            "description": "RFC 3339 time, at most milliseconds, such as 2026-03-01T08:00:00Z"
        })
    }
}

/// A distance from UTC in whole minutes, at most 18 hours either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct UtcOffset(i16);

impl UtcOffset {
    /// Greatest distance from UTC, in minutes.
    pub const MAX_MINUTES: i16 = 18 * 60;

    /// An offset of so many minutes, or nothing beyond 18 hours.
    #[must_use]
    pub fn from_minutes(minutes: i64) -> Option<Self> {
        i16::try_from(minutes).ok().filter(|m| m.unsigned_abs() <= Self::MAX_MINUTES.unsigned_abs()).map(Self)
    }

    /// Minutes east of UTC.
    #[must_use]
    pub const fn minutes(self) -> i16 {
        self.0
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for UtcOffset {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "UtcOffset".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "minimum": -1080, "maximum": 1080, "default": 0 })
    }
}

/// The instants from a start until just before an end; either may be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Interval {
    from_ms: i64,
    until_ms: i64,
}

impl Interval {
    pub(crate) const ALWAYS: Self = Self { from_ms: i64::MIN, until_ms: i64::MAX };

    pub(crate) fn new(from: Option<Timestamp>, until: Option<Timestamp>) -> Self {
        Self { from_ms: from.map_or(i64::MIN, |t| t.0), until_ms: until.map_or(i64::MAX, |t| t.0) }
    }

    pub(crate) fn is_empty(self) -> bool {
        self.from_ms >= self.until_ms
    }

    #[inline]
    pub(crate) fn contains(self, at: Timestamp) -> bool {
        self.from_ms <= at.0 && at.0 < self.until_ms
    }

    pub(crate) fn intersect(self, other: Self) -> Self {
        Self { from_ms: self.from_ms.max(other.from_ms), until_ms: self.until_ms.min(other.until_ms) }
    }

    pub(crate) fn overlaps(self, other: Self) -> bool {
        !self.intersect(other).is_empty()
    }

    /// The start, for comparing which of two began later; an open start is the earliest.
    pub(crate) fn start(self) -> i64 {
        self.from_ms
    }

    pub(crate) fn from(self) -> Option<Timestamp> {
        (self.from_ms != i64::MIN).then_some(Timestamp(self.from_ms))
    }

    pub(crate) fn until(self) -> Option<Timestamp> {
        (self.until_ms != i64::MAX).then_some(Timestamp(self.until_ms))
    }

    /// Narrows the interval around `at` so that it does not reach over `boundary`.
    pub(crate) fn cut(&mut self, at: Timestamp, boundary: i64) {
        if boundary <= at.0 {
            self.from_ms = self.from_ms.max(boundary);
        } else {
            self.until_ms = self.until_ms.min(boundary);
        }
    }

    /// The bounds as boundaries; open ones are none.
    pub(crate) fn bounds(self) -> impl Iterator<Item = i64> {
        [self.from_ms, self.until_ms].into_iter().filter(|ms| *ms != i64::MIN && *ms != i64::MAX)
    }
}

/// A calendar period: of a limit's window, or of a bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Period {
    Day,
    Month,
    Year,
}

impl Window {
    /// The period that it lasts; nothing for a capacity, which never begins anew.
    pub(crate) fn period(self) -> Option<Period> {
        match self {
            Self::None => None,
            Self::Day => Some(Period::Day),
            Self::Month => Some(Period::Month),
            Self::Year => Some(Period::Year),
        }
    }
}

/// The calendar that a tenant's windows and billing periods follow.
///
/// The n-th period starts at `anchor + n × period` in the tenant's local calendar, always counted from the anchor:
/// an anchor on the 31st gives 28 February and then 31 March, where stepping from period to period would drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Calendar {
    pub(crate) anchor: Timestamp,
    pub(crate) offset: UtcOffset,
}

impl Calendar {
    /// Start of the n-th period, or nothing where it falls outside the years 0000 to 9999.
    fn start(self, period: Period, n: i64) -> Option<Timestamp> {
        let local = self.anchor.civil(self.offset);
        let span = match period {
            Period::Day => jiff::Span::new().try_days(n),
            Period::Month => jiff::Span::new().try_months(n),
            Period::Year => jiff::Span::new().try_years(n),
        };
        let start = local.checked_add(span.ok()?).ok()?;
        Some(Timestamp::from_civil(start, self.offset))
    }

    /// The greatest n whose period starts at or before `at`.
    fn index(self, period: Period, at: Timestamp) -> i64 {
        let (from, to) = (self.anchor.civil(self.offset), at.civil(self.offset));
        let months = |t: civil::DateTime| i64::from(t.year()) * 12 + i64::from(t.month());
        let estimate = match period {
            Period::Day => (at.0 - self.anchor.0).div_euclid(DAY_MS),
            Period::Month => months(to) - months(from),
            Period::Year => i64::from(to.year()) - i64::from(from.year()),
        };
        // The estimate is at most one too high: the day and time within the month are not compared.
        match self.start(period, estimate) {
            Some(start) if start <= at => estimate,
            Some(_) => estimate - 1,
            None => estimate,
        }
    }

    /// When the period that holds `at` began; saturates at [`Timestamp::MIN`].
    pub(crate) fn this_start(self, period: Period, at: Timestamp) -> Timestamp {
        self.start(period, self.index(period, at)).unwrap_or(Timestamp::MIN)
    }

    /// When the period that holds `at` ends and the next begins; saturates at [`Timestamp::MAX`].
    pub(crate) fn next_start(self, period: Period, at: Timestamp) -> Timestamp {
        let n = self.index(period, at);
        self.start(period, n + 1).unwrap_or(Timestamp::MAX)
    }

    /// The first period start at or after `at`; saturates at [`Timestamp::MAX`].
    pub(crate) fn first_start_from(self, period: Period, at: Timestamp) -> Timestamp {
        let n = self.index(period, at);
        match self.start(period, n) {
            Some(start) if start == at => start,
            _ => self.start(period, n + 1).unwrap_or(Timestamp::MAX),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn t(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn reads_rfc_3339_and_nothing_else() {
        for (text, normal) in [
            ("2026-03-01T08:00:00+04:00", "2026-03-01T04:00:00Z"),
            ("2026-03-01t08:00:00.5z", "2026-03-01T08:00:00.500Z"),
            ("2026-03-01 08:00:00.120000Z", "2026-03-01T08:00:00.120Z"),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
            ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(t(text).to_string(), normal);
            assert_eq!(t(normal).to_string(), normal);
        }
        for (text, code) in [
            ("", "invalid_time"),
            ("2026-03-01", "invalid_time"),
            ("2026-03-01T08:00Z", "invalid_time"),
            ("2026-03-01T08:00:00", "invalid_time"),
            ("2026-02-29T08:00:00Z", "invalid_time"),
            ("2026-03-01T08:00:60Z", "invalid_time"),
            ("2026-03-01T24:00:00Z", "invalid_time"),
            ("2026-03-01T08:00:00.Z", "invalid_time"),
            ("2026-03-01T08:00:00+0400", "invalid_time"),
            ("2026-03-01T08:00:00Z[UTC]", "invalid_time"),
            ("2026-03-01T08:00:00é", "invalid_time"),
            ("2026-03-01T08:00:00.0001Z", "time_precision"),
            ("0000-01-01T00:00:00+01:00", "time_out_of_range"),
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap_err().code(), code, "{text}");
        }
    }

    #[test]
    fn windows_never_drift() {
        let calendar =
            |anchor: &str, minutes| Calendar { anchor: t(anchor), offset: UtcOffset::from_minutes(minutes).unwrap() };
        let end_of_month = calendar("2026-01-31T00:00:00Z", 0);
        for (at, resets) in [
            ("2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z"),
            ("2026-02-27T23:59:59.999Z", "2026-02-28T00:00:00Z"),
            ("2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"),
            ("2026-01-30T23:00:00Z", "2026-01-31T00:00:00Z"),
            ("2025-12-31T00:00:00Z", "2026-01-31T00:00:00Z"),
            ("2028-02-28T00:00:00Z", "2028-02-29T00:00:00Z"),
        ] {
            assert_eq!(end_of_month.next_start(Period::Month, t(at)), t(resets), "{at}");
            let began = end_of_month.this_start(Period::Month, t(at));
            assert!(began <= t(at), "{at}");
            assert_eq!(end_of_month.next_start(Period::Month, began), t(resets), "{at}");
        }
        // Midnight in Muscat is 20:00 UTC the day before: the 31st there, the 30th here.
        let muscat = calendar("2026-01-30T20:00:00Z", 240);
        assert_eq!(muscat.next_start(Period::Month, t("2026-02-01T00:00:00Z")), t("2026-02-27T20:00:00Z"));
        assert_eq!(muscat.next_start(Period::Day, t("2026-02-01T19:59:59Z")), t("2026-02-01T20:00:00Z"));
        let leap = calendar("2024-02-29T00:00:00Z", 0);
        assert_eq!(leap.next_start(Period::Year, t("2024-02-29T00:00:00Z")), t("2025-02-28T00:00:00Z"));
        assert_eq!(leap.next_start(Period::Year, t("2027-03-01T00:00:00Z")), t("2028-02-29T00:00:00Z"));
        assert_eq!(end_of_month.first_start_from(Period::Month, t("2026-02-28T00:00:00Z")), t("2026-02-28T00:00:00Z"));
        assert_eq!(end_of_month.this_start(Period::Month, t("2026-03-30T23:59:59.999Z")), t("2026-02-28T00:00:00Z"));
        assert_eq!(
            end_of_month.first_start_from(Period::Month, t("2026-02-28T00:00:00.001Z")),
            t("2026-03-31T00:00:00Z")
        );
        for period in [Period::Day, Period::Month, Period::Year] {
            assert_eq!(end_of_month.next_start(period, Timestamp::MAX), Timestamp::MAX);
            assert!(end_of_month.next_start(period, Timestamp::MIN) > Timestamp::MIN);
            assert_eq!(end_of_month.this_start(period, Timestamp::MIN), Timestamp::MIN);
        }
    }
}
