//! From machines to pictures of them.

use super::Machine;
use super::machine::{StageRule, TransitionRule};
use super::picture::{Diagram, Direction, DrawnStage, DrawnTransition, Mark};
use crate::SortedSet;
use crate::model::DiagnosticCode;
use crate::model::read::{Node, Read, Reader};
use crate::model::words::words;
use serde::{Serialize, Serializer};
use std::fmt;

words! {
    /// Which labels a picture has.
    Language or English {
        /// English, from left to right.
        English = "en",
        /// Arabic, from right to left.
        Arabic = "ar",
    }
}

impl Language {
    fn of<'t>(self, name: &'t str, name2: &'t str) -> &'t str {
        match self {
            Self::English => name,
            Self::Arabic => name2,
        }
    }
}

impl Machine {
    /// A picture of the machine, in one of its languages.
    #[must_use]
    pub fn diagram(&self, language: Language) -> Diagram {
        let parts = self.parts();
        let category = self.category().map(|category| format!(" · {category}")).unwrap_or_default();
        Diagram {
            title: format!("{} v{}{category}", self.workflow(), self.version()),
            stages: parts.stages.iter().map(|rule| rule.drawn(language)).collect(),
            transitions: parts.transitions.iter().map(|rule| self.drawn(rule, language)).collect(),
            current: None,
            direction: match language {
                Language::English => Direction::LeftToRight,
                Language::Arabic => Direction::RightToLeft,
            },
        }
    }

    /// A picture of what is different from an older machine, marked and coloured.
    #[must_use]
    pub fn diagram_against(&self, older: &Self, language: Language) -> Diagram {
        let (mut new, old) = (self.diagram(language), older.diagram(language));
        if new.title != old.title {
            new.title = format!("{} → {}", old.title, new.title);
        }
        new.stages = marked(new.stages, old.stages, |stage| &stage.id, |stage, mark| DrawnStage { mark, ..stage });
        // Roles and the settings of guards do not all show; what they were is compared by what they are.
        let transitions = |machine: &Self| -> Vec<(DrawnTransition, String)> {
            let rules = machine.parts().transitions.iter();
            rules.map(|rule| (machine.drawn(rule, language), rule.requirements())).collect()
        };
        let (now, before) = (transitions(self), transitions(older));
        new.transitions = marked(
            now,
            before,
            |(drawn, _)| &drawn.id,
            |(drawn, asks), mark| (DrawnTransition { mark, ..drawn }, asks),
        )
        .into_iter()
        .map(|(drawn, _)| drawn)
        .collect();
        new
    }

    fn drawn(&self, rule: &TransitionRule, language: Language) -> DrawnTransition {
        let id = |number| self.stage(number).map(|rule| rule.id.to_string()).unwrap_or_default();
        DrawnTransition {
            id: rule.id.to_string(),
            from: id(rule.from),
            to: id(rule.to),
            label: language.of(&rule.name, &rule.name2).to_owned(),
            guards: rule.guards.iter().map(|guarded| guarded.guard.to_string()).collect(),
            role: rule.role.as_ref().map(|required| required.role.to_string()),
            mark: Mark::Same,
        }
    }
}

impl StageRule {
    fn drawn(&self, language: Language) -> DrawnStage {
        DrawnStage {
            order: self.order.into(),
            id: self.id.to_string(),
            label: language.of(&self.stage.name, &self.stage.name2).to_owned(),
            initial: self.stage.initial,
            is_final: self.stage.r#final,
            mark: Mark::Same,
        }
    }
}

impl TransitionRule {
    /// What it requires, in full.
    fn requirements(&self) -> String {
        let guards = self.guards.iter().map(|guarded| format!("{}: {}", guarded.binding, guarded.bound().text()));
        let all: Vec<String> = guards.collect();
        format!("{} {}", self.event, all.join("; "))
    }
}

/// Everything that either side has, each marked with what became of it.
fn marked<T: PartialEq + Clone>(
    now: Vec<T>,
    before: Vec<T>,
    id: impl Fn(&T) -> &String,
    mark: impl Fn(T, Mark) -> T,
) -> Vec<T> {
    let ids: SortedSet<String> = now.iter().map(|one| id(one).clone()).collect();
    let gone: Vec<T> = before.iter().filter(|one| !ids.contains(id(one))).cloned().collect();
    let kept = now.into_iter().map(|one| {
        let became = match before.iter().find(|other| id(other) == id(&one)) {
            None => Mark::Added,
            Some(other) if *other == one => Mark::Same,
            Some(_) => Mark::Changed,
        };
        mark(one, became)
    });
    kept.chain(gone.into_iter().map(|one| mark(one, Mark::Removed)).collect::<Vec<T>>()).collect()
}
