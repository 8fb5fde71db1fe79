//! The picture in Mermaid's language.

use super::plan::Plan;
use super::{Diagram, Direction, Mark};
use std::fmt::Write as _;

/// Writes a `stateDiagram-v2`.
pub(super) fn write(diagram: &Diagram) -> String {
    let plan = Plan::of(diagram);
    let mut out = String::new();
    if !plan.title.is_empty() {
        let _ = writeln!(out, "---\ntitle: \"{}\"\n---", escape_yaml(&plan.title));
    }
    let direction = match diagram.direction {
        Direction::LeftToRight => "LR",
        Direction::RightToLeft => "RL",
    };
    let _ = writeln!(out, "stateDiagram-v2\n    direction {direction}");
    for stage in &plan.stages {
        let sign = stage.mark.sign().map(|sign| format!("{sign} ")).unwrap_or_default();
        let _ = writeln!(out, "    state \"{sign}{}\" as {}", escape(&stage.label), name(stage.id));
    }
    for stage in plan.stages.iter().filter(|stage| stage.initial) {
        let _ = writeln!(out, "    [*] --> {}", name(stage.id));
    }
    for transition in &plan.transitions {
        let (Some(from), Some(to)) = (plan.stages.get(transition.from), plan.stages.get(transition.to)) else {
            continue;
        };
        let sign = transition.mark.sign().map(|sign| format!("{sign} ")).unwrap_or_default();
        let _ = write!(out, "    {} --> {} : {sign}{}", name(from.id), name(to.id), escape(&transition.label));
        for guard in &transition.guards {
            let _ = write!(out, " [{}]", escape(guard));
        }
        if let Some(role) = &transition.role {
            let _ = write!(out, " ({})", escape(role));
        }
        out.push('\n');
    }
    for stage in plan.stages.iter().filter(|stage| stage.is_final) {
        let _ = writeln!(out, "    {} --> [*]", name(stage.id));
    }
    for (class, style) in CLASSES {
        let members: Vec<String> = plan
            .stages
            .iter()
            .filter(|stage| match class {
                "current" => stage.current,
                "stub" => stage.stub,
                "added" => !stage.current && stage.mark == Mark::Added,
                "removed" => !stage.current && stage.mark == Mark::Removed,
                _ => !stage.current && stage.mark == Mark::Changed,
            })
            .map(|stage| name(stage.id))
            .collect();
        if !members.is_empty() {
            let _ = writeln!(out, "    classDef {class} {style}\n    class {} {class}", members.join(","));
        }
    }
    out
}

/// The same colours as in the SVG.
const CLASSES: [(&str, &str); 5] = [
    ("current", "fill:#0b4f9e,stroke:#052c5c,color:#ffffff,stroke-width:4px,font-weight:bold"),
    ("added", "fill:#e6f8ea,stroke:#1a7f37,color:#1f2328,stroke-width:3px"),
    ("removed", "fill:#fff0ee,stroke:#cf222e,color:#1f2328,stroke-width:3px,stroke-dasharray:7 4"),
    ("changed", "fill:#fff8dc,stroke:#9a6700,color:#1f2328,stroke-width:3px"),
    ("stub", "fill:#ffffff,stroke:#57606a,color:#57606a,stroke-dasharray:2 4"),
];

/// A name that Mermaid takes for a name and nothing else, different for different ids whatever they hold, and the same
/// whatever else is in the diagram.
pub(super) fn name(id: &str) -> String {
    let mut out = String::from("s_");
    for character in id.chars() {
        match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' => out.push(character),
            '_' => out.push_str("__"),
            _ => {
                let _ = write!(out, "_x{:x}_", u32::from(character));
            }
        }
    }
    out
}

/// Everything but letters, digits and a few harmless characters becomes a character reference by number.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        // A hyphen inside a word cannot be taken for part of an arrow.
        let in_word = out.ends_with(|c: char| c.is_ascii_alphanumeric())
            && rest.peek().is_some_and(|c| c.is_ascii_alphanumeric());
        if is_harmless(character) || (character == '-' && in_word) {
            out.push(character);
        } else {
            let _ = write!(out, "#{};", u32::from(character));
        }
    }
    out
}

/// The title stands in a front matter of YAML, where Mermaid resolves no references: there, the escapes are YAML's.
pub(super) fn escape_yaml(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        if is_harmless(character) {
            out.push(character);
        } else {
            let _ = write!(out, "\\x{:02x}", u32::from(character));
        }
    }
    out
}

fn is_harmless(character: char) -> bool {
    character.is_ascii_alphanumeric() || !character.is_ascii() || matches!(character, ' ' | '_' | '.' | ',')
}
