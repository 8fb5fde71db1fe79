//! Which switches a feature needs, directly and through others.

use super::{FeatureIx, Rules, check::Check};
use crate::model::DiagnosticCode;

/// Most switches that one feature may require, directly or through others.
const MOST_REQUIRED: usize = 64;
/// Most circles that are reported, and most keys that one of them names: one tangle can hold circles without number.
const MOST_CIRCLES: usize = 100;
const MOST_NAMED: usize = 8;

/// Closes `requires` over itself: for each feature, all switches that it needs, each after those that it needs itself.
/// Circles and closures that are too large are refused.
pub(super) fn close(rules: &Rules, requires: &[Box<[FeatureIx]>], check: &mut Check) -> Vec<Box<[FeatureIx]>> {
    let mut closing = Closing {
        requires,
        state: vec![State::Open; requires.len()],
        closures: vec![Vec::new(); requires.len()],
        circles: 0,
    };
    for feature in rules.feature_ixs() {
        closing.close(feature, rules, check);
    }
    closing.closures.into_iter().map(Vec::into_boxed_slice).collect()
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Open,
    OnPath,
    Closed,
}

struct Closing<'r> {
    requires: &'r [Box<[FeatureIx]>],
    state: Vec<State>,
    closures: Vec<Vec<FeatureIx>>,
    circles: usize,
}

impl Closing<'_> {
    /// Depth-first, with a stack of its own: a chain of prerequisites may be as long as there are features.
    fn close(&mut self, start: FeatureIx, rules: &Rules, check: &mut Check) {
        if self.state.get(start.index()) != Some(&State::Open) {
            return;
        }
        self.set(start, State::OnPath);
        let mut path = vec![(start, 0_usize)];
        while let Some((feature, next)) = path.last_mut() {
            let feature = *feature;
            let required = self.requires.get(feature.index()).and_then(|list| list.get(*next)).copied();
            *next += 1;
            match required.map(|switch| (switch, self.state.get(switch.index()).copied())) {
                Some((switch, Some(State::Open))) => {
                    self.set(switch, State::OnPath);
                    path.push((switch, 0));
                }
                Some((switch, Some(State::OnPath))) if self.circles < MOST_CIRCLES => {
                    self.circles += 1;
                    let from = path.iter().position(|(on_path, _)| *on_path == switch).unwrap_or(0);
                    let circle: Vec<FeatureIx> = path.iter().skip(from).map(|(on_path, _)| *on_path).collect();
                    refuse_circle(&circle, rules, check);
                }
                Some(_) => {}
                None => {
                    self.finish(feature, rules, check);
                    path.pop();
                }
            }
        }
    }

    fn set(&mut self, feature: FeatureIx, to: State) {
        if let Some(state) = self.state.get_mut(feature.index()) {
            *state = to;
        }
    }

    fn finish(&mut self, feature: FeatureIx, rules: &Rules, check: &mut Check) {
        self.set(feature, State::Closed);
        let mut all: Vec<FeatureIx> = Vec::new();
        for switch in self.requires.get(feature.index()).into_iter().flatten() {
            let through = self.closures.get(switch.index()).into_iter().flatten();
            for needed in through.chain([switch]) {
                if !all.contains(needed) {
                    all.push(*needed);
                }
            }
            if all.len() > MOST_REQUIRED {
                let key = rules.feature(feature).map_or("", |feature| feature.key.as_str());
                check.under(key, |check| {
                    check.under("requires", |check| {
                        check.refuse::<()>(
                            DiagnosticCode::TooManyPrerequisites,
                            format!("`{key}` needs more than {MOST_REQUIRED} switches, directly or through others"),
                            "require fewer, or require one switch that stands for several",
                        )
                    })
                });
                all.truncate(MOST_REQUIRED);
                break;
            }
        }
        if let Some(closure) = self.closures.get_mut(feature.index()) {
            *closure = all;
        }
    }
}

fn refuse_circle(circle: &[FeatureIx], rules: &Rules, check: &mut Check) {
    let keys: Vec<&str> =
        circle.iter().filter_map(|ix| rules.feature(*ix)).map(|feature| feature.key.as_str()).collect();
    let Some(first) = keys.iter().min().copied() else { return };
    // The same circle reads the same wherever it was entered.
    let turn = keys.iter().position(|key| *key == first).unwrap_or(0);
    let named = keys.len().min(MOST_NAMED);
    let mut round: Vec<&str> = keys.iter().cycle().skip(turn).take(named).copied().collect();
    if named < keys.len() {
        round.push("…");
    }
    round.push(first);
    check.under(first, |check| {
        check.under("requires", |check| {
            check.refuse::<()>(
                DiagnosticCode::CyclicPrerequisites,
                format!("features require each other in a circle: {}", round.join(" → ")),
                "take one of these requirements out",
            )
        })
    });
}
