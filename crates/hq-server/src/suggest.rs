//! What somebody may have meant.

/// How alike two names must be, from 0 to 1, for one to be offered in place of the other.
const ALIKE: f64 = 0.84;

/// The name most like a mistaken one, if any is like it. Among equals the first counts.
pub(crate) fn nearest<'n>(mistaken: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let mistaken = mistaken.to_lowercase();
    let mut best = None;
    let mut score = ALIKE;
    for name in names {
        let alike = strsim::jaro_winkler(&mistaken, &name.to_lowercase());
        if alike > score {
            (best, score) = (Some(name), alike);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn offers_what_is_near_and_nothing_else() {
        let names = ["om-muscat-sparkle", "om-muscat-crown", "delivery", "max_users"];
        let cases = [
            ("om-muscat-sparkel", Some("om-muscat-sparkle")),
            ("OM-Muscat-Crown", Some("om-muscat-crown")),
            ("delivry", Some("delivery")),
            ("max_user", Some("max_users")),
            ("zatca", None),
            ("", None),
        ];
        for (mistaken, meant) in cases {
            assert_eq!(nearest(mistaken, names), meant, "{mistaken}");
        }
    }
}
