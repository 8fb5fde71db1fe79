//! What is to be drawn, in one order: sorted, cleaned, with transitions bound to their stages.

use super::text::clean;
use super::{Diagram, DrawnStage, DrawnTransition, Mark};
use std::collections::BTreeMap;

/// A diagram in its one order.
#[derive(Debug)]
pub(super) struct Plan<'d> {
    pub(super) title: String,
    pub(super) stages: Vec<Stage<'d>>,
    pub(super) transitions: Vec<Transition<'d>>,
}

/// A stage. Where it stands in the vector is its place in the declared order.
#[derive(Debug)]
pub(super) struct Stage<'d> {
    pub(super) id: &'d str,
    pub(super) label: String,
    pub(super) initial: bool,
    pub(super) is_final: bool,
    pub(super) mark: Mark,
    pub(super) current: bool,
    /// Whether a transition names it and no stage has its id.
    pub(super) stub: bool,
}

/// A transition between two stages of the plan.
#[derive(Debug)]
pub(super) struct Transition<'d> {
    pub(super) id: &'d str,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) label: String,
    pub(super) guards: Vec<String>,
    pub(super) role: Option<String>,
    pub(super) mark: Mark,
}

impl<'d> Plan<'d> {
    /// The plan of a diagram.
    pub(super) fn of(diagram: &'d Diagram) -> Self {
        let mut sorted: Vec<&DrawnStage> = diagram.stages.iter().collect();
        sorted.sort_unstable();
        let mut stages: Vec<Stage<'d>> = Vec::new();
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for stage in sorted {
            places.entry(&stage.id).or_insert_with(|| {
                stages.push(Stage {
                    id: &stage.id,
                    label: label(&stage.label, &stage.id),
                    initial: stage.initial,
                    is_final: stage.is_final,
                    mark: stage.mark,
                    current: diagram.current.as_ref() == Some(&stage.id),
                    stub: false,
                });
                stages.len() - 1
            });
        }
        let mut sorted: Vec<&DrawnTransition> = diagram.transitions.iter().collect();
        sorted.sort_unstable();
        let transitions = sorted
            .into_iter()
            .map(|transition| {
                let mut place = |id: &'d str| {
                    *places.entry(id).or_insert_with(|| {
                        stages.push(Stage {
                            id,
                            label: label("", id),
                            initial: false,
                            is_final: false,
                            mark: Mark::Same,
                            current: false,
                            stub: true,
                        });
                        stages.len() - 1
                    })
                };
                Transition {
                    id: &transition.id,
                    from: place(&transition.from),
                    to: place(&transition.to),
                    label: label(&transition.label, &transition.id),
                    guards: transition.guards.iter().map(|guard| label(guard, "?")).collect(),
                    role: transition.role.as_deref().map(clean).filter(|role| !role.is_empty()),
                    mark: transition.mark,
                }
            })
            .collect();
        Self { title: clean(&diagram.title), stages, transitions }
    }

    /// Leaves out what is beyond these numbers and says how much it was.
    pub(super) fn limit(&mut self, stages: usize, transitions: usize) -> (usize, usize) {
        let before = (self.stages.len(), self.transitions.len());
        self.stages.truncate(stages);
        self.transitions.retain(|this| this.from < stages && this.to < stages);
        self.transitions.truncate(transitions);
        (before.0 - self.stages.len(), before.1 - self.transitions.len())
    }

    /// Whether anything differs between two versions.
    pub(super) fn shows(&self, mark: Mark) -> bool {
        self.stages.iter().any(|stage| stage.mark == mark) || self.transitions.iter().any(|this| this.mark == mark)
    }
}

/// The text, or what stands in for it: nothing is drawn without a word.
fn label(text: &str, otherwise: &str) -> String {
    [clean(text), clean(otherwise)].into_iter().find(|text| !text.is_empty()).unwrap_or_else(|| "?".to_owned())
}
