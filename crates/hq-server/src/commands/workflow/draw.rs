//! `leasehold workflow draw`: a tenant's machine as a picture.

use super::machine::{Asked, Whose};
use crate::context::Context;
use crate::failure::Failure;
use crate::files;
use crate::report::{Exit, Report};
use crate::trust::Published;
use crate::words;
use clap::ValueEnum;
use leasehold::Error;
use leasehold::merge::Side;
use leasehold::workflow::{Language, Machine};
use serde_json::json;
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
Equal machines give equal bytes. With --against, what only the machine asked about has is marked as added, what only the other version has as removed; a tenant's patch is carried over, as `upgrade` does.

Examples:
  leasehold workflow draw om-muscat-sparkle order -o order.svg -d examples/cleanmatex
  leasehold workflow draw om-muscat-sparkle order --format mermaid -d examples/cleanmatex
  leasehold workflow draw om-muscat-sparkle order --language ar --current ready \\
      -d examples/cleanmatex
  leasehold workflow draw om-muscat-crown order --against 2 --format dot -d examples/cleanmatex";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    whose: Whose,
    /// What the picture is written as: an SVG by itself, or the text of a Graphviz or Mermaid graph
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The language of its labels; Arabic runs from right to left
    #[arg(long, value_enum, default_value_t)]
    language: Labels,
    /// Mark the stage that an item is in
    #[arg(long, value_name = "STAGE")]
    current: Option<String>,
    /// Colour what is different from another version
    #[arg(long, value_name = "VERSION")]
    against: Option<u32>,
    /// Write it to a file, in place of what is there
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    published: Published,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Svg,
    Dot,
    Mermaid,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Labels {
    #[default]
    En,
    Ar,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let asked = options.whose.ask(&options.published, context)?;
    let language = match options.language {
        Labels::En => Language::English,
        Labels::Ar => Language::Arabic,
    };
    let mut diagram = match options.against {
        Some(version) => asked.machine.diagram_against(&other(&asked, version)?, language),
        None => asked.machine.diagram(language),
    };
    if let Some(stage) = &options.current {
        if !asked.machine.stages().any(|known| known.stage.as_str() == stage) {
            let workflow = asked.machine.workflow().as_str().into();
            return Err(asked.explain(Error::UnknownStage { workflow, stage: stage.as_str().into() }));
        }
        diagram.current = Some(stage.clone());
    }
    let (format, picture) = match options.format {
        Format::Svg => ("svg", diagram.svg()),
        Format::Dot => ("dot", diagram.dot()),
        Format::Mermaid => ("mermaid", diagram.mermaid()),
    };
    if let Some(file) = &options.output {
        files::replace(file, picture.as_bytes())?;
    }
    let (stages, transitions) = (diagram.stages.len(), diagram.transitions.len());
    if context.json() {
        let file = options.output.as_ref().map(|file| file.display().to_string());
        // What is in a file need not be said again.
        let picture = file.is_none().then_some(picture);
        let answer = json!({
            "format": format, "title": diagram.title, "stages": stages, "transitions": transitions,
            "file": file, "picture": picture,
        });
        return Report::json(&answer, Exit::Yes);
    }
    let text = match &options.output {
        Some(file) => {
            let (stages, transitions) = (words::count(stages, "stage"), words::count(transitions, "transition"));
            let title = words::printable(&diagram.title);
            format!("{title} in {}: {stages}, {transitions}\n", file.display())
        }
        None if picture.ends_with('\n') => picture,
        None => picture + "\n",
    };
    Ok(Report::text(text, Exit::Yes))
}

/// The same tenant's machine of another version, its patch carried over.
fn other(asked: &Asked, version: u32) -> Result<Machine, Failure> {
    let Whose { tenant, workflow, .. } = &asked.whose;
    let pinned = asked.world.tenant(tenant)?;
    let carried = pinned.upgrade(workflow, version, Side::Ours).map_err(|error| asked.explain(error))?;
    let machine = pinned.supposed_machine(workflow, &carried.laid, asked.whose.category());
    let (machine, found) = machine.map_err(|error| asked.explain(error))?;
    // What does not fit other categories is no reason not to draw this one.
    if found.is_empty() { Ok(machine) } else { Err(Failure::refused(found)) }
}
