//! What becomes of definitions once they are published.

use super::{Line, NOW, REFERENCE, Step, carried};
use std::path::Path;
use std::{fs, io};

/// An hour later, when a change is published.
const LATER: &str = "2026-11-15T13:00:00Z";
/// What all that is verified is verified with.
const TRUST: &str = "--trust leasehold-demo/trust.json";
/// What heads are signed with.
const PEN: &str = "--fleet leasehold-demo/fleet.key --certificate leasehold-demo/fleet.cert";

pub(super) fn steps() -> Vec<Step> {
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
