//! The picture in the language of Graphviz.

use super::plan::{Plan, Stage};
use super::{Diagram, Direction, Mark};
use std::fmt::Write as _;

/// Writes a `digraph`.
pub(super) fn write(diagram: &Diagram) -> String {
    let plan = Plan::of(diagram);
    let direction = match diagram.direction {
        Direction::LeftToRight => "LR",
        Direction::RightToLeft => "RL",
    };
    let mut out = String::from("digraph workflow {\n");
    let _ = writeln!(
        out,
        "    graph [charset=\"UTF-8\", rankdir={direction}, bgcolor=\"#ffffff\", fontname=\"sans-serif\"];"
    );
    if !plan.title.is_empty() {
        let _ = writeln!(out, "    graph [labelloc=t, label={}];", quote(&plan.title));
    }
    out.push_str(
        "    node [shape=box, style=\"rounded,filled\", fillcolor=\"#f6f8fa\", color=\"#57606a\", \
         fontcolor=\"#1f2328\", fontname=\"sans-serif\"];\n    \
         edge [color=\"#57606a\", fontcolor=\"#1f2328\", fontname=\"sans-serif\", fontsize=11];\n",
    );
    for stage in &plan.stages {
        let _ = writeln!(
            out,
            "    {} [label={}{}];",
            node(stage.id),
            quote(&signed(stage.mark, &stage.label)),
            look(stage)
        );
    }
    for stage in plan.stages.iter().filter(|stage| stage.initial) {
        let start = quote_raw(&format!("start:{}", stage.id));
        let _ =
            writeln!(out, "    {start} [shape=circle, style=filled, fillcolor=\"#1f2328\", label=\"\", width=0.15];");
        let _ = writeln!(out, "    {start} -> {};", node(stage.id));
    }
    for transition in &plan.transitions {
        let (Some(from), Some(to)) = (plan.stages.get(transition.from), plan.stages.get(transition.to)) else {
            continue;
        };
        let mut label = escape(&signed(transition.mark, &transition.label));
        for guard in &transition.guards {
            let _ = write!(label, "\\n[{}]", escape(guard));
        }
        if let Some(role) = &transition.role {
            let _ = write!(label, "\\n({})", escape(role));
        }
        let look = match transition.mark {
            Mark::Same => "",
            Mark::Added => ", color=\"#1a7f37\", penwidth=2",
            Mark::Removed => ", color=\"#cf222e\", penwidth=2, style=dashed",
            Mark::Changed => ", color=\"#9a6700\", penwidth=2",
        };
        let _ = writeln!(out, "    {} -> {} [label=\"{label}\"{look}];", node(from.id), node(to.id));
    }
    out.push_str("}\n");
    out
}

/// The attributes of a stage beside its label.
fn look(stage: &Stage<'_>) -> String {
    let (fill, line) = match stage.mark {
        Mark::Same => ("#f6f8fa", "#57606a"),
        Mark::Added => ("#e6f8ea", "#1a7f37"),
        Mark::Removed => ("#fff0ee", "#cf222e"),
        Mark::Changed => ("#fff8dc", "#9a6700"),
    };
    let mut out = String::new();
    if stage.mark != Mark::Same {
        let _ = write!(out, ", fillcolor=\"{fill}\", color=\"{line}\", penwidth=2");
    }
    if stage.mark == Mark::Removed || stage.stub {
        out.push_str(", style=\"rounded,filled,dashed\"");
    }
    if stage.is_final {
        out.push_str(", peripheries=2");
    }
    if stage.current {
        out.push_str(", fillcolor=\"#0b4f9e\", fontcolor=\"#ffffff\", penwidth=4");
        if stage.mark == Mark::Same {
            out.push_str(", color=\"#052c5c\"");
        }
    }
    out
}

fn signed(mark: Mark, label: &str) -> String {
    mark.sign().map_or_else(|| label.to_owned(), |sign| format!("{sign} {label}"))
}

/// The node of a stage. The prefix keeps it apart from the dots before initial stages.
fn node(id: &str) -> String {
    quote_raw(&format!("stage:{id}"))
}

fn quote(text: &str) -> String {
    format!("\"{}\"", escape(text))
}

/// A label: quotes and backslashes escaped for the language, `&` because Graphviz resolves character references.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            _ => out.push(character),
        }
    }
    out
}

/// A name: only the quote needs an escape. A backslash stands for itself, so one before a quote or at the end would
/// take the escape's place; it becomes a reference.
fn quote_raw(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("&quot;"),
            '&' => out.push_str("&amp;"),
            '\\' => out.push_str("&#92;"),
            _ if character.is_control() => {
                let _ = write!(out, "&#{};", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
    out
}
