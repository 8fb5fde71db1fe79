//! `leasehold demo`: a walk through the reference product.
//!
//! Every answer is what the named command prints: the demo runs it. The text around it asks and explains, and says
//! nothing about the answers that definitions could make untrue. What is published is written to a folder that is gone
//! when the demo ends.

use crate::args::Cli;
use crate::context::{Carried, Context};
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::style::Tone;
use crate::table::paragraph;
use crate::trust::Published;
use clap::Parser;
use leasehold::model::PhaseKind;
use leasehold::{Hash, Timestamp};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

pub(crate) const EXAMPLES: &str = "\
It needs no files: the definitions come with the program. In a clone of the repository, every command that it shows can be typed as it stands.

Examples:
  leasehold demo
  leasehold demo --json";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {}

const REFERENCE: &str = "examples/cleanmatex";
const DRAFT: &str = "crates/hq-server/demo";
const CARRIED: Carried = &[
    (REFERENCE, include!(concat!(env!("OUT_DIR"), "/reference.rs"))),
    (DRAFT, &[("draft.json", include_bytes!("../../demo/draft.json"))]),
];
/// The instant that the reference definitions are made for.
const NOW: &str = "2026-11-15T12:00:00Z";
/// An hour later, when a change is published.
const LATER: &str = "2026-11-15T13:00:00Z";
/// What all that is verified is verified with.
const TRUST: &str = "--trust leasehold-demo/trust.json";
/// What heads are signed with.
const PEN: &str = "--fleet leasehold-demo/fleet.key --certificate leasehold-demo/fleet.cert";

/// A question, what is worth knowing about it, and the commands that answer it.
struct Step {
    title: &'static str,
    text: &'static str,
    commands: Vec<Line>,
}

/// What is typed.
enum Line {
    /// A command of this program, without its name.
    Ask(String),
    /// A command of the shell, and what it does.
    Shell(&'static str, fn() -> io::Result<()>),
}

fn at_now(title: &'static str, text: &'static str, commands: &[&str]) -> Step {
    let commands = commands.iter().map(|command| Line::Ask(format!("{command} --at {NOW} -d {REFERENCE}")));
    Step { title, text, commands: commands.collect() }
}

/// A folder for what the demo writes, and the way back out of it.
struct Aside {
    folder: tempfile::TempDir,
    from: Option<PathBuf>,
}

impl Aside {
    fn step() -> io::Result<Self> {
        let from = env::current_dir().ok();
        let folder = tempfile::Builder::new().prefix("leasehold-demo-").tempdir()?;
        env::set_current_dir(folder.path())?;
        Ok(Self { folder, from })
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // A folder that no longer exists cannot be gone back to, and nothing is left to be done there.
        let back = self.from.as_deref().or(self.folder.path().parent());
        let _ = back.map(env::set_current_dir);
    }
}

pub(crate) fn run(_: &Options, context: &Context) -> Result<Report, Failure> {
    let _aside = Aside::step().map_err(|error| Failure::io("use", &env::temp_dir(), &error))?;
    let mut text = String::new();
    let mut told = Vec::new();
    let style = context.style;
    let intro = "CleanMateX is an invented laundry SaaS in the Gulf. Its plans, add-ons, limits and tenants are data: \
                 the engine answers from them, in process, and says why. All below is asked of the engine as you watch.";
    text.push_str(&paragraph(style, intro));
    for (number, step) in (1..).zip(steps(context)?) {
        let title = format!("{number}. {}", step.title);
        let _ = write!(text, "\n{}\n{}", style.paint(Tone::Strong, &title), paragraph(style, step.text));
        let mut answers = Vec::new();
        for command in &step.commands {
            let (line, report) = match command {
                Line::Ask(words) => {
                    let line = format!("leasehold {words}");
                    let report = ask(&line, context)?;
                    (line, report)
                }
                Line::Shell(line, does) => {
                    does().map_err(|error| Failure::io("write below", Path::new("leasehold-demo"), &error))?;
                    ((*line).to_owned(), Report::text(String::new(), Exit::Yes))
                }
            };
            let _ = write!(text, "\n{}\n{}", style.paint(Tone::Notice, &format!("$ {line}")), report.text);
            if context.json() {
                let answer: Value = serde_json::from_str(&report.text).unwrap_or_default();
                answers.push(json!({ "command": line, "exit": report.exit as u8, "answer": answer }));
            }
        }
        told.push(json!({ "title": step.title, "text": step.text, "commands": answers }));
    }
    if context.json() {
        return Report::json(&json!({ "steps": told }), Exit::Yes);
    }
    let outro = "Each command says more about itself with --help, and prints JSON with --json.";
    let _ = write!(text, "\n{}", paragraph(style, outro));
    Ok(Report::text(text, Exit::Yes))
}

/// Runs a command as if it had been typed, on the definitions that come with the program.
fn ask(line: &str, context: &Context) -> Result<Report, Failure> {
    let (cli, context) = typed(line, context)?;
    cli.command.run(&context)
}

fn typed(line: &str, context: &Context) -> Result<(Cli, Context), Failure> {
    let mut cli = Cli::try_parse_from(line.split(' ')).map_err(|error| Failure::internal(error.to_string()))?;
    cli.options.json = context.json();
    let context = Context::carrying(cli.options.clone(), context.style, CARRIED, seed);
    Ok((cli, context))
}

fn steps(context: &Context) -> Result<Vec<Step>, Failure> {
    let (before, after) = trial_end("om-salalah-fresh", context)?;
    let mut steps = vec![
        at_now(
            "What may a tenant have?",
            "The entitlement object is the whole answer for one tenant at one instant: what its plan, its add-ons and \
             its overrides come to. With --json it is the object that applications receive.",
            &["entitlements om-muscat-sparkle"],
        ),
        at_now(
            "May it use a feature?",
            "An answer is a yes or a no, with a stable reason and the layer that it came from. The exit code says it \
             too, for scripts.",
            &["check om-muscat-sparkle whatsapp_receipt"],
        ),
        at_now(
            "And why not another?",
            "Behind a no stands the whole ladder: gates that can close a feature, everything that grants it or takes \
             it away, the switches that it requires, and what the tenant chose itself. The explanation is made by the \
             code that decides, then computed again from nothing but what it lists.",
            &["check om-muscat-sparkle sso", "explain om-muscat-sparkle sso"],
        ),
        at_now(
            "Is there room for two more users?",
            "The caller says how much is in use and how much is wanted. A hard limit refuses what goes beyond it, a \
             soft one lets it through with a warning.",
            &["limit om-muscat-sparkle max_users --used 9 --requested 2"],
        ),
        at_now(
            "And for thirty more messages?",
            "A billable limit lets it through as well, and counts what lies beyond the limit.",
            &["limit om-muscat-sparkle whatsapp_messages_per_month --used 990 --requested 30"],
        ),
        Step {
            title: "What happens when a trial ends?",
            text: "A trial replaces the paid plan while it lasts. These are the second before this tenant's trial \
                   ends and the instant at which it does: nothing is published in between, because the end is part \
                   of the definitions.",
            commands: [before, after]
                .map(|at| Line::Ask(format!("check om-salalah-fresh delivery --at {at} -d {REFERENCE}")))
                .into(),
        },
        at_now(
            "What would a bigger plan change?",
            "A what-if asks the same engine about a tenant that does not exist yet: what it would gain and lose, \
             which limits would move, and which paid add-ons would have no effect any more.",
            &["what-if om-muscat-sparkle --plan business"],
        ),
        Step {
            title: "What if the definitions are wrong?",
            text: "Every mistake is listed at once, with its place, a stable code and what to do. Nothing is built \
                   from definitions with a mistake, so that a bad draft never replaces what is in force.",
            commands: vec![Line::Ask(format!("lint -d {DRAFT}"))],
        },
    ];
    steps.extend(published());
    Ok(steps)
}

/// What becomes of definitions once they are published.
fn published() -> Vec<Step> {
    let ask = |words: String| Line::Ask(words);
    let build = |definitions: &str, at: &str, rest: &str| {
        ask(format!("build -d {definitions} --out leasehold-demo/snapshots {PEN} {TRUST} --at {at}{rest}"))
    };
    vec![
        Step {
            title: "Who may publish?",
            text: "A root key, kept offline, certifies a fleet key; engines are given the root key's public half as \
                   trust, and nothing else. These are keys of the demo, the same each time; typed by you, keygen makes \
                   new ones.",
            commands: vec![
                ask("keygen root --out leasehold-demo/root.key --issuer hq.example --environment demo".to_owned()),
                ask("keygen fleet --out leasehold-demo/fleet.key".to_owned()),
                ask(format!(
                    "certify leasehold-demo/fleet.key.pub --root leasehold-demo/root.key {TRUST} --out \
                     leasehold-demo/fleet.cert --at {NOW}"
                )),
            ],
        },
        Step {
            title: "How do definitions reach applications?",
            text: "As signed snapshots, one stream for each region: a small head, and contents named by their hashes. \
                   A pack is one stream in one file. Whoever trusts the root key can answer from it, with nothing to \
                   call.",
            commands: vec![
                build(REFERENCE, NOW, " --pack leasehold-demo/oman.pack --stream GCC-OM --uncompressed"),
                ask(format!("check om-muscat-sparkle delivery -d leasehold-demo/oman.pack {TRUST} --at {NOW}")),
            ],
        },
        Step {
            title: "And if somebody changes it on the way?",
            text: "Here two licences become nine in the file itself. Nothing is read before it is known to be what was \
                   signed: the refusal has a stable code, and an engine keeps answering from what it had.",
            commands: vec![
                Line::Shell(
                    "sed 's/\"quantity\":2/\"quantity\":9/' leasehold-demo/oman.pack > leasehold-demo/tampered.pack",
                    || {
                        substitute(
                            "leasehold-demo/oman.pack",
                            "leasehold-demo/tampered.pack",
                            r#""quantity":2"#,
                            r#""quantity":9"#,
                        )
                    },
                ),
                ask(format!("verify leasehold-demo/tampered.pack {TRUST} --at {NOW}")),
            ],
        },
        Step {
            title: "What does a change cost?",
            text: "An hour later one tenant's payment terms change. Only the contents on the way from its shard to the \
                   head are new: that is what every engine of that region fetches, whatever the rest weighs. The other \
                   streams are signed again, and stay fresh.",
            commands: vec![
                Line::Shell("cp -r examples/cleanmatex leasehold-demo/definitions", || {
                    carried().try_for_each(|(name, bytes)| {
                        let path = Path::new("leasehold-demo/definitions").join(name);
                        path.parent().map_or(Ok(()), fs::create_dir_all)?;
                        fs::write(path, bytes)
                    })
                }),
                Line::Shell(
                    "sed 's/\"value\": 30,/\"value\": 60,/' examples/cleanmatex/tenants/gcc-om.json > \
                     leasehold-demo/definitions/tenants/gcc-om.json",
                    || {
                        const FILE: &str = "leasehold-demo/definitions/tenants/gcc-om.json";
                        substitute(FILE, FILE, r#""value": 30,"#, r#""value": 60,"#)
                    },
                ),
                build("leasehold-demo/definitions", LATER, ""),
                ask(format!("history leasehold-demo/snapshots {TRUST} --stream GCC-OM")),
            ],
        },
        Step {
            title: "Can an old snapshot be played back?",
            text: "The pack of an hour ago is whole, and signed by the right key. An engine that has seen the later head \
                   refuses it all the same, after a restart too.",
            commands: vec![ask(format!(
                "verify leasehold-demo/oman.pack {TRUST} --seen leasehold-demo/snapshots --at {LATER}"
            ))],
        },
        Step {
            title: "What would have been answered before the change?",
            text: "The history is kept. A question about an instant can be asked as of what was known at another.",
            commands: [NOW, LATER]
                .map(|known_at| {
                    ask(format!(
                        "check om-muscat-sparkle invoice_due_days --at {LATER} -d leasehold-demo/snapshots {TRUST} \
                         --stream GCC-OM --known-at {known_at}"
                    ))
                })
                .into(),
        },
    ]
}

/// The files of the reference definitions.
fn carried() -> impl Iterator<Item = &'static (&'static str, &'static [u8])> {
    CARRIED.iter().filter(|(directory, _)| *directory == REFERENCE).flat_map(|(_, files)| *files)
}

/// What `sed` does with a text that stands once in a line.
fn substitute(from: &str, to: &str, old: &str, new: &str) -> io::Result<()> {
    let bytes = fs::read(from)?;
    let mut changed = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match line.windows(old.len()).position(|part| part == old.as_bytes()) {
            Some(at) => {
                changed.extend(line.iter().take(at));
                changed.extend(new.as_bytes());
                changed.extend(line.iter().skip(at + old.len()));
            }
            None => changed.extend(line),
        }
    }
    fs::write(to, changed)
}

/// The last second of a tenant's trial, and its end.
fn trial_end(tenant: &str, context: &Context) -> Result<(Timestamp, Timestamp), Failure> {
    let (_, context) = typed(&format!("leasehold entitlements {tenant} -d {REFERENCE}"), context)?;
    let world = context.world(&Published::default())?;
    let phases = world.definitions.tenants.get(tenant).into_iter().flat_map(|tenant| tenant.phases.values());
    let end = phases.filter(|phase| phase.kind == PhaseKind::Trial).find_map(|phase| phase.until);
    let end = end.ok_or_else(|| Failure::internal(format!("`{tenant}` has no trial that ends")))?;
    let before = Timestamp::from_ms(end.as_ms() - 1_000).map_err(leasehold::Error::from)?;
    Ok((before, end))
}

/// Keys of the demo are the same each time, so that its output is.
fn seed(path: &Path) -> Result<[u8; 32], Failure> {
    Ok(*Hash::of(format!("leasehold demo: {}", path.display()).as_bytes()).as_bytes())
}
