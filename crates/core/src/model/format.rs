//! The normal form of a definitions file.

use super::{Definitions, Diagnostics, FeatureKind, Source, load::read_file};

/// Rewrites a file in normal form: keys in their fixed order, records sorted by key, contributions by feature, times in
/// UTC, defaults left out, two spaces of indentation, a line feed at the end.
///
/// The result reads back as the same definitions, and formatting it again changes nothing.
///
/// # Errors
/// Every mistake that makes the file unreadable by itself; references to other files are not looked at.
pub fn format(source: &Source) -> Result<String, Diagnostics> {
    let mut definitions = Definitions::default();
    Diagnostics::refuse_if_any(read_file(source, &mut definitions))?;
    Ok(print(&mut definitions))
}

/// Definitions as the text of one file in normal form.
#[must_use]
pub fn print(definitions: &mut Definitions) -> String {
    sort(definitions);
    // Neither an in-memory writer nor keys that are all strings can fail.
    let mut text = serde_json::to_string_pretty(definitions).unwrap_or_default();
    text.push('\n');
    text
}

/// Puts every list whose order has no meaning in the one order that the normal form has.
pub(crate) fn sort(definitions: &mut Definitions) {
    let versions = definitions.plans.values_mut().flat_map(|plan| plan.versions.values_mut());
    let of_plans = versions.map(|version| &mut version.contributions);
    let of_add_ons = definitions.add_ons.values_mut().map(|add_on| &mut add_on.contributions);
    for contributions in of_plans.chain(of_add_ons) {
        contributions.sort_by(|a, b| (&a.feature, a.op, a.from, &a.id).cmp(&(&b.feature, b.op, b.from, &b.id)));
    }
    for add_on in definitions.add_ons.values_mut() {
        add_on.compatible_with.sort();
        add_on.included_in.sort();
    }
    for feature in definitions.features.values_mut() {
        feature.requires.sort();
        if let FeatureKind::Limit { default, .. } = &mut feature.kind {
            default.thresholds.sort_unstable();
        }
    }
    for tenant in definitions.tenants.values_mut() {
        tenant.preferences.off.sort();
    }
}
