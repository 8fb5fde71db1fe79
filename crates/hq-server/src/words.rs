//! Answers in words.

use crate::style::Tone;
use leasehold::model::{Access, BlockKind, Definitions, FeatureKind, Mode, Window};
use leasehold::{Decision, Layer, Outcome, Reason, Status, Timestamp};
use serde_json::Value;

/// A reason, as a clause.
pub(crate) fn reason(reason: Reason, source: Option<Layer>) -> &'static str {
    match (reason, source) {
        (Reason::Granted, Some(Layer::Default)) => "on by default",
        (Reason::Granted, Some(Layer::Plan)) => "the plan grants it",
        (Reason::Granted, Some(Layer::AddOn)) => "an add-on grants it",
        (Reason::Granted, Some(Layer::Tenant)) => "an override on the tenant grants it",
        (Reason::Granted, None) => "granted",
        (Reason::Stale, _) => "the snapshot has expired, and the feature is not served stale",
        (Reason::Killed, _) => "a kill switch turns it off for everybody",
        (Reason::Blocked, _) => "a block leaves the tenant less access than this needs",
        (Reason::Revoked, _) => "an override takes it away from the tenant",
        (Reason::NotGranted, _) => "nothing turns it on",
        (Reason::SwitchedOff, _) => "an override switches it off on the tenant",
        (Reason::Prerequisite, _) => "a switch that it requires is off",
        (Reason::Preference, _) => "the tenant switched it off for itself",
        (Reason::LimitReached, _) => "there is not enough room left",
    }
}

/// Where a base came from.
pub(crate) fn layer(layer: Layer) -> &'static str {
    match layer {
        Layer::Default => "default",
        Layer::Plan => "plan",
        Layer::AddOn => "add-on",
        Layer::Tenant => "tenant",
    }
}

pub(crate) fn access(access: Access) -> &'static str {
    match access {
        Access::None => "none",
        Access::BillingOnly => "billing only",
        Access::ReadOnly => "read only",
        Access::Full => "full",
    }
}

pub(crate) fn block(kind: BlockKind) -> String {
    format!("the tenant is {kind}")
}

/// A decision as `yes` or `no`.
pub(crate) fn yes_no(decision: &Decision) -> (Tone, &'static str) {
    if decision.enabled { (Tone::Good, "yes") } else { (Tone::Bad, "no") }
}

/// What an outcome allows, around what is asked for.
pub(crate) fn outcome(outcome: Outcome) -> (Tone, &'static str, &'static str) {
    match outcome {
        Outcome::Allow => (Tone::Good, "may have", ""),
        Outcome::Warn => (Tone::Notice, "may have", ", beyond its soft limit,"),
        Outcome::Overage => (Tone::Notice, "may have", ", billed beyond its limit,"),
        Outcome::Deny => (Tone::Bad, "may not have", ""),
    }
}

/// What happens beyond a limit of this mode.
pub(crate) fn beyond(mode: Mode) -> &'static str {
    match mode {
        Mode::Hard => "refused",
        Mode::Soft => "allowed, with a warning",
        Mode::Billable => "allowed, and billed",
    }
}

/// The same in one word.
pub(crate) fn beyond_in_short(mode: Mode) -> &'static str {
    match mode {
        Mode::Hard => "refused",
        Mode::Soft => "warned",
        Mode::Billable => "billed",
    }
}

pub(crate) fn status(status: Status) -> Tone {
    match status {
        Status::Active | Status::Trial => Tone::Good,
        Status::Grace | Status::Warned | Status::None | Status::Pending => Tone::Notice,
        Status::Archived | Status::Quarantined | Status::Suspended | Status::Frozen | Status::Restricted => Tone::Bad,
    }
}

/// What a limit counts, and how often the count starts again: `message per month`, `user`.
pub(crate) fn unit(definitions: &Definitions, feature: &str) -> Option<String> {
    let FeatureKind::Limit { unit, window, .. } = &definitions.features.get(feature)?.kind else { return None };
    let unit = printable(unit);
    Some(if *window == Window::None { unit } else { format!("{unit} per {window}") })
}

/// An amount with thousands apart; nothing is unlimited.
pub(crate) fn amount(amount: Option<u64>) -> String {
    amount.map_or_else(|| "unlimited".to_owned(), number)
}

pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 error`, `2 errors`.
pub(crate) fn count(count: usize, noun: &str) -> String {
    format!("{} {noun}{}", number(count as u64), if count == 1 { "" } else { "s" })
}

/// Percentages: `80 %, 100 %`.
pub(crate) fn percents(thresholds: &[u16]) -> String {
    let all: Vec<String> = thresholds.iter().map(|percent| format!("{percent} %")).collect();
    all.join(", ")
}

/// A stretch of time.
pub(crate) fn interval(from: Option<Timestamp>, until: Option<Timestamp>) -> String {
    match (from, until) {
        (None, None) => "always".to_owned(),
        (Some(from), None) => format!("from {from}"),
        (None, Some(until)) => format!("until {until}"),
        (Some(from), Some(until)) => format!("{from} to {until}"),
    }
}

/// A value feature's value; nothing is off.
pub(crate) fn value(value: Option<&Value>) -> String {
    value.map_or_else(|| "off".to_owned(), |value| printable(&spaced(value)))
}

/// JSON on one line, with spaces at which it can be broken.
fn spaced(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(spaced).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| format!("{}: {}", Value::from(key.as_str()), spaced(value));
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        plain => plain.to_string(),
    }
}

/// The terms of a limit, as definitions write them: `1,000 billable, reported at 80 %`.
pub(crate) fn terms(terms: &Value) -> Option<String> {
    let amount = terms.get("amount")?;
    // Nothing is beyond unlimited.
    let Some(amount) = amount.as_u64() else { return Some("unlimited".to_owned()) };
    let mode = terms.get("mode").and_then(Value::as_str).unwrap_or("hard");
    let mut text = format!("{} {mode}", number(amount));
    let thresholds = terms.get("thresholds").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let percents: Vec<u16> = thresholds.iter().filter_map(|t| t.as_u64()?.try_into().ok()).collect();
    if !percents.is_empty() {
        text.push_str(", reported at ");
        text.push_str(&self::percents(&percents));
    }
    Some(text)
}

/// An amount of a limit with what it counts: `1,000 (message per month)`.
pub(crate) fn measured(definitions: &Definitions, feature: &str, granted: Option<u64>) -> String {
    let unit = unit(definitions, feature).map(|unit| format!(" ({unit})"));
    format!("{}{}", amount(granted), unit.unwrap_or_default())
}

/// The labels of a feature, in English and Arabic.
pub(crate) fn names(definitions: &Definitions, feature: &str) -> (String, String) {
    let feature = definitions.features.get(feature);
    feature.map(|feature| (printable(&feature.name), printable(&feature.name2))).unwrap_or_default()
}

/// Whether a text holds Hebrew or Arabic letters, which run from right to left.
pub(crate) fn is_right_to_left(text: &str) -> bool {
    text.chars().any(|c| matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}'))
}

/// Text that people wrote, without what a terminal would obey: control characters, and marks that reorder other text.
pub(crate) fn printable(text: &str) -> String {
    let obeyed = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if obeyed(c) { clean.extend(c.escape_default()) } else { clean.push(c) }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_set_apart_by_thousands() {
        for (plain, set) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (123_456, "123,456"),
            (9_007_199_254_740_991, "9,007,199,254,740,991"),
        ] {
            assert_eq!(number(plain), set);
        }
    }

    #[test]
    fn terminals_are_told_nothing() {
        assert_eq!(printable("a\u{1b}[31mb\nc\u{202e}d مغسلة"), "a\\u{1b}[31mb\\nc\\u{202e}d مغسلة");
    }
}
