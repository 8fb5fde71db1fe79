//! Keys, signed snapshots, and answers from them.

use crate::run::{NOW, Ran, commands, copy, edit, finish, program, repository, typed};
use leasehold::wire::SecretKey;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const LATER: &str = "2026-11-15T13:00:00Z";
const PEN: &str = "--fleet fleet.key --certificate fleet.cert --trust trust.json";

/// A publisher's desk: a folder with keys that are the same in every run, trust and a certificate.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        std::os::unix::fs::symlink(repository().join("examples"), desk.path("examples")).unwrap();
        for (kind, name, seed) in [
            ("root", "root.key", 1),
            ("root", "other.key", 2),
            ("fleet", "fleet.key", 3),
            ("fleet", "new.key", 4),
            ("slice", "slice.key", 5),
        ] {
            let key = SecretKey::from_seed(&[seed; 32]);
            let (id, public) = (key.public().id(), key.public());
            let secret = json!({ "kind": kind, "key_id": id, "secret": key.to_hex() });
            fs::write(desk.path(name), secret.to_string()).unwrap();
            let public = json!({ "kind": kind, "key_id": id, "public": public });
            fs::write(desk.path(&format!("{name}.pub")), public.to_string()).unwrap();
        }
        desk.trust("trust.json", json!({ "roots": [SecretKey::from_seed(&[1; 32]).public()] }));
        desk.trust("other.json", json!({ "roots": [SecretKey::from_seed(&[2; 32]).public()] }));
        desk.does(&format!("certify fleet.key.pub --root root.key --trust trust.json --out fleet.cert --at {NOW}"));
        desk
    }

    /// A desk that has published the reference definitions, with a pack of one stream.
    fn published() -> Self {
        let desk = Self::new();
        let pack = "--slice-key slice.key.pub --pack oman.pack --stream GCC-OM --uncompressed";
        desk.does(&format!("build -d examples/cleanmatex --out snapshots {PEN} --at {NOW} {pack}"));
        desk
    }

    /// The same, with a second revision an hour later.
    fn published_twice() -> (Self, tempfile::TempDir) {
        let (desk, next) = (Self::published(), copy());
        edit(&next, "tenants/gcc-om.json", r#""value": 30,"#, r#""value": 60,"#);
        let root = next.path().display();
        desk.does(&format!("build -d {root} --out snapshots {PEN} --slice-key slice.key.pub --at {LATER}"));
        (desk, next)
    }

    fn trust(&self, name: &str, more: Value) {
        let mut trust = json!({ "issuer": "hq.example", "environment": "test" });
        trust.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fs::write(self.path(name), trust.to_string()).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn types(&self, line: &str) -> Ran {
        finish(program().args(line.split(' ')).current_dir(self.folder.path()))
    }

    /// Types a line that does what it says.
    fn does(&self, line: &str) -> String {
        let ran = self.types(line);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{line}: {}", ran.out);
        ran.out
    }

    /// Types a line that fails, with and without JSON.
    fn fails(&self, line: &str, exit: i32, code: &str, says: &str) {
        let ran = self.types(line);
        assert_eq!((ran.code, ran.out.as_str()), (exit, ""), "{line}: {}", ran.err);
        assert!(ran.err.contains(&format!("[{code}]")) || code == "usage", "{line}: {}", ran.err);
        assert!(ran.err.contains(says), "{line}: {}", ran.err);
        let json = self.types(&format!("{line} --json"));
        assert_eq!((json.code, &json.json()["error"]["code"]), (exit, &json!(code)), "{line}");
    }

    /// Types a `verify` that finds something not to be believed.
    fn refuses(&self, line: &str, stage: &str, code: &str) {
        let ran = self.types(line);
        assert_eq!((ran.code, ran.err.as_str()), (1, ""), "{line}: {}", ran.out);
        assert!(ran.out.starts_with("not verified: ") && ran.out.contains(&format!("[{code}]")), "{line}: {}", ran.out);
        let json = self.types(&format!("{line} --json"));
        let error = &json.json()["items"][0]["error"];
        assert_eq!((json.code, &error["code"], &error["stage"]), (1, &json!(code), &json!(stage)), "{line}");
    }
}

fn change(path: &Path, with: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    with(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// The five commands of keygen's help text, as they stand there.
#[test]
fn from_nothing_to_an_answer() {
    let place = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(repository().join("examples"), place.path().join("examples")).unwrap();
    let help = typed("keygen --help").out;
    let lines = help.split_once("From nothing").unwrap().1.split_once("Examples:").unwrap().0;
    let lines: Vec<String> = commands(lines).into_iter().filter(|line| line.starts_with("leasehold ")).collect();
    assert_eq!(lines.len(), 5);
    for line in lines {
        let line = line.trim_start_matches("leasehold ");
        let ran = finish(program().args(line.split(' ')).current_dir(place.path()));
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{line}");
    }
}

#[test]
fn keys_are_for_their_owner_alone() {
    let place = tempfile::tempdir().unwrap();
    let types = |line: &str| finish(program().args(line.split(' ')).current_dir(place.path()));
    let read = |name: &str| fs::read_to_string(place.path().join(name)).unwrap();
    let mut secrets = Vec::new();
    for kind in ["root", "fleet", "slice"] {
        let made = types(&format!("keygen {kind} --out {kind}.key"));
        let secret: Value = serde_json::from_str(&read(&format!("{kind}.key"))).unwrap();
        let public: Value = serde_json::from_str(&read(&format!("{kind}.key.pub"))).unwrap();
        let digits = secret["secret"].as_str().unwrap().to_owned();
        let key = SecretKey::from_hex(&digits).unwrap();
        assert_eq!(public["public"], json!(key.public()));
        assert!(made.out.contains(&key.public().id().to_string()) && !made.out.contains(&digits), "{}", made.out);
        let mode = fs::metadata(place.path().join(format!("{kind}.key"))).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        secrets.push(digits);
        let again = types(&format!("keygen {kind} --out {kind}.key"));
        assert_eq!(again.code, 5);
        assert!(again.err.contains("[exists]"), "{}", again.err);
    }
    secrets.dedup();
    assert_eq!(secrets.len(), 3, "each key is another");

    // Whatever a key file is taken for, nothing of it is shown.
    for line in [
        "inspect root.key",
        "inspect root.key --json",
        "verify root.key --trust root.key",
        "verify root.key --trust trust.json",
        "certify root.key --root root.key --issuer a --environment b --out x.cert",
        "certify fleet.key --root root.key --issuer a --environment b --out x.cert",
        "certify fleet.key.pub --root fleet.key --issuer a --environment b --out x.cert",
        "check a b -d root.key",
        "check a b -d root.key --trust root.key",
        "lint -d root.key",
        "fmt root.key",
        "build -d . --out out --fleet slice.key --certificate root.key --trust root.key",
    ] {
        let ran = types(line);
        let shown = format!("{}{}", ran.out, ran.err);
        assert!(secrets.iter().all(|secret| !shown.contains(&secret[..8])), "{line}: {shown}");
    }
}

#[test]
fn outputs_read_well() {
    let desk = Desk::new();
    let pack = "--slice-key slice.key.pub --pack oman.pack --stream GCC-OM";
    let built = desk.does(&format!("build -d examples/cleanmatex --out snapshots {PEN} --at {NOW} {pack}"));
    insta::assert_snapshot!("build", built);
    let again = desk.does(&format!("build -d examples/cleanmatex --out snapshots {PEN} --at {LATER}"));
    insta::assert_snapshot!("build_again", again);
    let ask = |line: &str| desk.does(&format!("{line} --at {LATER}"));
    insta::assert_snapshot!("verify", ask("verify snapshots --trust trust.json --stream EU"));
    insta::assert_snapshot!("inspect_pack", ask("inspect oman.pack"));
    insta::assert_snapshot!("history", ask("history snapshots --trust trust.json --stream GCC-OM"));
    let slice = "slice om-muscat-sparkle -d oman.pack --trust trust.json --key slice.key --out own.slice";
    insta::assert_snapshot!("slice", ask(slice));
    insta::assert_snapshot!("verify_slice", ask("verify own.slice --trust trust.json --tenant om-muscat-sparkle"));
    desk.does(&format!("certify new.key.pub --root root.key --trust trust.json --epoch 2 --out new.cert --at {LATER}"));
    let rotated = "rotate snapshots --fleet new.key --certificate new.cert --trust trust.json";
    insta::assert_snapshot!("rotate", ask(rotated));
    let check = "check om-muscat-sparkle delivery -d snapshots --trust trust.json --stream GCC-OM";
    insta::assert_snapshot!("check_published", ask(check));
}

/// Answers from what was published are those from the definitions, under the head's revision.
#[test]
fn answers_are_the_same() {
    let desk = Desk::published();
    for line in [
        "check om-muscat-sparkle sso",
        "explain om-muscat-sparkle delivery",
        "limit om-muscat-sparkle max_users --used 9 --requested 2",
        "entitlements om-muscat-sparkle",
        "what-if om-muscat-sparkle --plan business",
        "diff --tenant om-muscat-sparkle --with om-muscat-crown",
        "workflow show om-muscat-crown order --category DRY_CLEAN",
        "workflow transitions om-muscat-sparkle order ready --role counter",
        "workflow check om-muscat-sparkle order ready closed --role counter",
        "workflow paths om-muscat-sparkle order",
        "workflow compare order 2 3",
        "workflow upgrade om-muscat-crown order --to 3",
        "workflow draw om-muscat-sparkle order --against 3",
        "codegen ts",
    ] {
        let from = |root: &str| {
            let ran = desk.types(&format!("{line} --at {NOW} --json -d {root}"));
            let mut json = ran.json();
            for answer in ["", "/decision"] {
                if let Some(fields) = json.pointer_mut(answer).and_then(Value::as_object_mut) {
                    fields.remove("freshness");
                    if let Some(revision) = fields.insert("revision".into(), json!(0)) {
                        assert_eq!(revision, json!(i32::from(root != "examples/cleanmatex")), "{line} {root}");
                    }
                }
            }
            (ran.code, json)
        };
        let authored = from("examples/cleanmatex");
        assert!(authored.0 < 2, "{line}");
        assert_eq!(from("snapshots --trust trust.json --stream GCC-OM"), authored, "{line}");
        assert_eq!(from("oman.pack --trust trust.json"), authored, "{line}");
    }
    let no_difference = format!("diff examples/cleanmatex -d oman.pack --trust trust.json --at {NOW}");
    assert_eq!(desk.types(&no_difference).code, 0, "{no_difference}");
    let lint = desk.types(&format!("lint -d oman.pack --trust trust.json --json --at {NOW}")).json();
    assert_eq!((&lint["errors"], &lint["revision"]), (&json!(0), &json!(1)));
    let fresh = |root: &str, at: &str| {
        desk.types(&format!("check om-muscat-sparkle sso --json --at {at} --trust trust.json -d {root}")).json()["freshness"].clone()
    };
    assert_eq!(fresh("snapshots --stream GCC-OM", NOW), json!("fresh"));
    assert_eq!(fresh("snapshots --stream GCC-OM", "2027-11-15T12:00:00Z"), json!("stale"));
    assert_eq!(fresh("oman.pack", NOW), json!("fallback"));

    // The environment names trust as well.
    let named = finish(program().current_dir(desk.folder.path()).env("LEASEHOLD_TRUST", "trust.json").args([
        "check",
        "om-muscat-sparkle",
        "delivery",
        "-d",
        "oman.pack",
    ]));
    assert_eq!(named.code, 0, "{}", named.err);
}

#[test]
fn answers_about_workflows_name_their_snapshot() {
    let desk = Desk::published();
    let from = "-d snapshots --trust trust.json --stream GCC-OM";
    let check = format!("workflow check om-muscat-sparkle order intake closed {from} --at {NOW}");
    let ran = desk.types(&check);
    assert_eq!((ran.code, ran.err.as_str()), (1, ""), "{}", ran.out);
    assert!(ran.out.contains("snapshot  revision 1 of GCC-OM"), "{}", ran.out);
    let blocked = desk.types(&format!("workflow check om-muscat-sparkle order ready closed {from} --at {NOW}"));
    let why = blocked.out.lines().find_map(|line| line.strip_prefix("why: leasehold ")).unwrap();
    assert!(why.ends_with("-d snapshots --trust trust.json --stream GCC-OM"), "{why}");
    assert_eq!(desk.types(why).code, 1, "{why}");
    desk.fails("workflow show om-muscat-sparkle order -d oman.pack", 2, "trust_required", "--trust");
}

/// What was published under a number stays as it is, for plans and workflows, in force or on trial.
#[test]
fn published_versions_never_change() {
    let desk = Desk::published();
    let head = fs::read(desk.path("snapshots/heads/EU.head")).unwrap();
    let next = copy();
    edit(&next, "workflows/order.json", "\"Start ironing\"", "\"Begin ironing\"");
    edit(&next, "plans/growth.json", "\"feature\": \"chat_support\"", "\"feature\": \"sso\"");
    let root = next.path().display();
    let build = format!("build -d {root} --out snapshots {PEN} --at {LATER}");
    let refused = desk.types(&build);
    assert_eq!((refused.code, refused.out.as_str()), (3, ""), "{}", refused.err);
    insta::assert_snapshot!("published_version_changed", refused.err);
    desk.fails(&build, 3, "definitions_refused", "put it back as it was");
    let staged =
        format!("build -d examples/cleanmatex --out snapshots {PEN} --at {LATER} --candidate {root} --share 10");
    desk.fails(&staged, 3, "definitions_refused", "the candidate's definitions are refused");
    assert_eq!(fs::read(desk.path("snapshots/heads/EU.head")).unwrap(), head, "nothing was written");

    // Not by way of definitions that lack it either, in force or on trial.
    let with = |stage: &str| {
        let labels = |name: &str| json!({ "name": name, "name2": "اسم" });
        let mut workflow = labels("Extra");
        let mut stages = json!({ "a": labels("A"), "z": labels(stage) });
        (stages["a"]["initial"], stages["z"]["final"]) = (json!(true), json!(true));
        let mut step = labels("Go");
        (step["from"], step["to"], step["event"]) = (json!("a"), json!("z"), json!("go"));
        workflow["versions"] = json!({ "1": { "stages": stages, "transitions": { "t": step } } });
        let definitions = copy();
        let file = json!({ "workflows": { "extra": workflow } }).to_string();
        fs::write(definitions.path().join("workflows/extra.json"), file).unwrap();
        definitions
    };
    let (first, other) = (with("Z"), with("Zed"));
    let build =
        |root: &Path, more: &str| format!("build -d {} --out snapshots {PEN} --at {LATER}{more}", root.display());
    desk.does(&build(Path::new("examples/cleanmatex"), &format!(" --candidate {} --share 10", first.path().display())));
    desk.does(&build(Path::new("examples/cleanmatex"), ""));
    desk.fails(&build(other.path(), ""), 3, "definitions_refused", "put it back as it was");
    desk.does(&build(first.path(), ""));

    // A new version is what it takes; other changes are free.
    let next = copy();
    edit(&next, "workflows/order.json", "\"current\": 2", "\"current\": 3");
    desk.does(&format!("build -d {} --out snapshots {PEN} --at {LATER}", next.path().display()));
}

#[test]
fn what_cannot_be_answered_is_said() {
    let desk = Desk::published();
    let check = "check om-muscat-sparkle delivery";
    for (line, exit, code, says) in [
        (format!("{check} -d oman.pack"), 2, "trust_required", "--trust"),
        (format!("{check} -d snapshots"), 2, "trust_required", "LEASEHOLD_TRUST"),
        (format!("{check} -d snapshots --trust trust.json"), 2, "stream_required", "EU, GCC-OM, GCC-SA"),
        (
            format!("{check} -d snapshots --trust trust.json --stream GCC-OMM"),
            4,
            "unknown_stream",
            "did you mean `GCC-OM`?",
        ),
        (format!("{check} -d oman.pack --trust trust.json --stream EU"), 3, "wrong_stream", "--stream"),
        (format!("{check} -d oman.pack --trust other.json"), 3, "unknown_key", "root"),
        (format!("{check} -d oman.pack --trust nothing.json"), 5, "io", "cannot read"),
        (format!("{check} -d oman.pack --trust fleet.cert"), 5, "bad_trust", "issuer"),
        (format!("{check} -d fleet.cert --trust trust.json"), 5, "unreadable", "inspect"),
        (format!("{check} -d oman.pack --trust trust.json --known-at {NOW}"), 2, "usage", "directory of snapshots"),
        (format!("{check} -d examples/cleanmatex --known-at {NOW}"), 2, "usage", "--known-at"),
        (format!("{check} -d examples/cleanmatex --stream EU"), 2, "usage", "--stream"),
        (
            format!("{check} -d snapshots --trust trust.json --stream EU --known-at 2026-11-15T11:00:00Z"),
            4,
            "outside_history",
            "leasehold history",
        ),
        ("check nobody delivery -d oman.pack --trust trust.json".to_owned(), 4, "unknown_tenant", "is not known"),
        ("fmt -d snapshots".to_owned(), 2, "is_published", "format the definitions"),
        ("fmt oman.pack".to_owned(), 2, "is_published", "format the definitions"),
        ("history oman.pack --trust trust.json".to_owned(), 2, "usage", "pack"),
        ("verify oman.pack --trust trust.json --tenant a".to_owned(), 2, "usage", "a pack is about no one tenant"),
        ("verify snapshots --trust trust.json --tenant a".to_owned(), 2, "usage", "a directory is about no one tenant"),
        ("verify fleet.cert --trust trust.json --tenant a".to_owned(), 2, "usage", "a certificate is about no one"),
        ("verify fleet.cert --trust trust.json --seen oman.pack".to_owned(), 2, "usage", "has no revision"),
        ("history examples --trust trust.json".to_owned(), 5, "no_snapshots", "leasehold build"),
        ("verify nothing --trust trust.json".to_owned(), 5, "io", "cannot read"),
        ("verify snapshots".to_owned(), 2, "trust_required", "inspect"),
        ("verify examples --trust trust.json".to_owned(), 5, "no_snapshots", "holds no snapshot"),
        ("inspect nothing".to_owned(), 5, "io", "cannot read"),
        ("keygen fleet --out k --issuer a --environment b".to_owned(), 2, "usage", "root keys"),
        ("keygen root --out k --issuer a".to_owned(), 2, "usage", "--environment"),
    ] {
        desk.fails(&line, exit, code, says);
    }
}

#[test]
fn builds_that_cannot_be_signed_write_nothing() {
    let desk = Desk::new();
    desk.does(&format!(
        "certify fleet.key.pub --root other.key --issuer hq.example --environment test --out strange.cert --at {NOW}"
    ));
    desk.does(&format!(
        "certify fleet.key.pub --root root.key --issuer a --environment test --out issuer.cert --at {NOW}"
    ));
    desk.does(&format!(
        "certify fleet.key.pub --root root.key --trust trust.json --out short.cert --at {NOW} --until {LATER}"
    ));
    let build = format!("build -d examples/cleanmatex --out snapshots --at {NOW}");
    fs::create_dir(desk.path("used")).unwrap();
    fs::write(desk.path("used/file"), "").unwrap();
    let trusted = "--trust trust.json";
    for (line, exit, code, says) in [
        (format!("{build} --fleet fleet.key --certificate fleet.cert"), 2, "trust_required", "--trust"),
        (format!("{build} --fleet new.key --certificate fleet.cert {trusted}"), 3, "unknown_key", "inspect"),
        (format!("{build} --fleet fleet.key --certificate strange.cert {trusted}"), 3, "unknown_key", "inspect"),
        (format!("{build} --fleet fleet.key --certificate issuer.cert {trusted}"), 3, "wrong_issuer", "hq.example"),
        (format!("{build} --fleet fleet.key.pub --certificate fleet.cert {trusted}"), 5, "public_key", "`fleet.key`"),
        (format!("{build} --fleet slice.key --certificate fleet.cert {trusted}"), 5, "wrong_key_kind", "keygen fleet"),
        (format!("{build} --fleet trust.json --certificate fleet.cert {trusted}"), 5, "not_a_key", "keygen"),
        (format!("{build} --fleet nothing.key --certificate fleet.cert {trusted}"), 5, "io", "cannot read"),
        (format!("{build} {PEN} --slice-key slice.key"), 5, "secret_key", "slice.key.pub"),
        (format!("{build} {PEN} --slice-key slice.key.pub --slice-key-for 25h"), 2, "usage", "24h at most"),
        (format!("{build} {PEN} --fresh-for soon"), 2, "usage", "30m, 24h or 7d"),
        (format!("{build} {PEN} --pack x.pack"), 2, "stream_required", "EU, GCC-OM, GCC-SA"),
        (format!("{build} {PEN} --pack x.pack --stream GCC-QA"), 4, "unknown_stream", "GCC-"),
        (format!("{build} {PEN} --candidate examples/cleanmatex --share 1001"), 2, "usage", "1001"),
        (format!("{build} {PEN} --candidate examples/cleanmatex"), 2, "usage", "--share"),
        (format!("{build} {PEN} --candidate nothing --share 10"), 5, "unreadable", "cannot be read"),
        (format!("build -d examples/cleanmatex --out used {PEN} --at {NOW}"), 5, "not_empty", "directory of snapshots"),
        (
            format!("build -d examples/cleanmatex --out examples/cleanmatex/out {PEN} --at {NOW}"),
            2,
            "usage",
            "among the definitions",
        ),
        (
            format!("build -d examples/cleanmatex --out snapshots {PEN} --at 2026-11-15T11:59:59Z"),
            3,
            "key_expired",
            "leasehold certify",
        ),
        (
            format!(
                "build -d examples/cleanmatex --out snapshots --fleet fleet.key --certificate short.cert {trusted} --at {LATER}"
            ),
            3,
            "key_expired",
            "leasehold certify",
        ),
        (format!("certify fleet.key.pub --root root.key {trusted} --out fleet.cert"), 5, "exists", "not overwritten"),
        (format!("certify fleet.key.pub --root other.key {trusted} --out x.cert"), 3, "unknown_key", "roots"),
        (
            format!("certify fleet.key.pub --root root.key {trusted} --out x.cert --at {LATER} --until {NOW}"),
            2,
            "usage",
            "--until",
        ),
        ("certify fleet.key.pub --root root.key --out x.cert".to_owned(), 2, "usage", "--issuer"),
        (
            "rotate snapshots --fleet fleet.key --certificate fleet.cert --trust trust.json".to_owned(),
            5,
            "io",
            "snapshots",
        ),
    ] {
        desk.fails(&line, exit, code, says);
        assert!(!desk.path("snapshots").exists() && !desk.path("x.pack").exists(), "{line}");
    }

    let broken = copy();
    edit(&broken, "plans/growth.json", r#""feature": "delivery""#, r#""feature": "delivry""#);
    let root = broken.path().display();
    desk.fails(&format!("build -d {root} --out snapshots {PEN} --at {NOW}"), 3, "definitions_refused", "`delivry`");
    desk.fails(&format!("{build} {PEN} --candidate {root} --share 10"), 3, "definitions_refused", "candidate");
    assert!(!desk.path("snapshots").exists());

    // Whoever may write anywhere is not hindered by a mode, so that a file stands in the way.
    fs::create_dir_all(desk.path("stuck/heads")).unwrap();
    fs::write(desk.path("stuck/chunks"), "").unwrap();
    desk.fails(&format!("build -d examples/cleanmatex --out stuck {PEN} --at {NOW}"), 5, "not_persisted", "whole");
}

#[test]
fn what_was_changed_is_refused() {
    let (desk, _next) = Desk::published_twice();
    let verify = |name: &str| format!("verify {name} --trust trust.json --at {NOW}");
    desk.does(&verify("snapshots"));
    desk.does(&verify("oman.pack"));
    desk.refuses("verify oman.pack --trust other.json", "verify", "unknown_key");
    desk.refuses("verify oman.pack --trust trust.json --stream EU", "verify", "wrong_stream");

    let pack = fs::read(desk.path("oman.pack")).unwrap();
    let tamper = |name: &str, from: &str, to: &str| {
        change(&desk.path("oman.pack"), |bytes| {
            let at = bytes.windows(from.len()).position(|part| part == from.as_bytes()).unwrap();
            bytes.splice(at..at + from.len(), to.bytes());
        });
        fs::rename(desk.path("oman.pack"), desk.path(name)).unwrap();
        fs::write(desk.path("oman.pack"), &pack).unwrap();
    };
    tamper("quantity.pack", r#""quantity":2"#, r#""quantity":9"#);
    desk.refuses(&verify("quantity.pack"), "hash", "hash_mismatch");
    desk.fails("check om-muscat-sparkle delivery -d quantity.pack --trust trust.json", 3, "hash_mismatch", "publisher");
    tamper("revision.pack", r#""revision":1"#, r#""revision":7"#);
    desk.refuses(&verify("revision.pack"), "verify", "bad_signature");
    fs::write(desk.path("cut.pack"), &pack[..pack.len() / 2]).unwrap();
    desk.refuses(&verify("cut.pack"), "parse", "truncated");

    fs::write(desk.path("cut.head"), &fs::read(desk.path("snapshots/heads/EU.head")).unwrap()[..600]).unwrap();
    desk.refuses(&verify("cut.head"), "verify", "truncated");
    desk.refuses(&verify("trust.json"), "verify", "wrong_document");
    desk.refuses(&format!("{} --seen snapshots", verify("oman.pack")), "verify", "older_revision");
    desk.does(&format!("{} --seen oman.pack", verify("snapshots/heads/GCC-OM.head")));

    // One content of a directory is gone.
    let chunks = fs::read_dir(desk.path("snapshots/chunks")).unwrap();
    for folder in chunks {
        let path = folder.unwrap().path();
        let aside = desk.path("aside");
        fs::rename(&path, &aside).unwrap();
        let json = desk.types(&format!("{} --json", verify("snapshots"))).json();
        let codes: Vec<&Value> = json["items"].as_array().unwrap().iter().map(|item| &item["error"]["code"]).collect();
        let refused = codes.iter().filter(|code| **code == &json!("missing_chunk")).count();
        let other = codes.iter().any(|code| !code.is_null() && **code != json!("missing_chunk"));
        assert!(!other && (refused > 0) != (json["verified"] == json!(true)), "{json}");
        fs::rename(&aside, &path).unwrap();
    }
    desk.does(&verify("snapshots"));
}

#[test]
fn answers_go_back_in_time() {
    let (desk, _next) = Desk::published_twice();
    let value = |known_at: &str| {
        let line = format!(
            "check om-muscat-sparkle invoice_due_days --json --at {LATER} -d snapshots --trust trust.json --stream GCC-OM{known_at}"
        );
        let answer = desk.types(&line).json();
        (answer["value"].clone(), answer["revision"].clone())
    };
    assert_eq!(value(""), (json!(60), json!(2)));
    assert_eq!(value(&format!(" --known-at {LATER}")), (json!(60), json!(2)));
    assert_eq!(value(" --known-at 2026-11-15T12:59:59Z"), (json!(30), json!(1)));
    let history = desk.types("history snapshots --trust trust.json --stream GCC-OM --json").json();
    let tenants: Vec<&Value> =
        history["revisions"].as_array().unwrap().iter().map(|it| &it["tenants_changed"]).collect();
    assert_eq!(tenants, [&json!(13), &json!(1)]);
}

/// A candidate answers the engines in its share, and nobody else.
#[test]
fn candidates_are_for_their_share() {
    let desk = Desk::new();
    let next = copy();
    let (off, on) =
        ("\"group\": \"security\",\n      \"staleness\": \"off\"", "\"group\": \"security\",\n      \"default\": true");
    edit(&next, "features/security.json", off, on);
    edit(&next, "kills.json", "Gateway firmware", "Another reason");
    let root = next.path().display();
    let build =
        |share: u16| format!("build -d examples/cleanmatex --out snapshots {PEN} --candidate {root} --share {share}");
    let staged = desk.types(&format!("{} --at {NOW} --json", build(1000)));
    assert_eq!(staged.code, 0, "{}", staged.err);
    assert_eq!(staged.json()["kills_left_out"].as_array().unwrap().len(), 1, "{}", staged.out);
    let enabled = |engine: &str| {
        let line = format!(
            "check om-muscat-sparkle sso --json --at {NOW} -d snapshots --trust trust.json --stream GCC-OM{engine}"
        );
        desk.types(&line).json()["enabled"].clone()
    };
    assert_eq!(enabled(""), json!(false));
    assert_eq!(enabled(" --engine-id engine-1"), json!(true));
    desk.does(&format!("verify snapshots --trust trust.json --at {NOW}"));
    desk.does(&format!("{} --at {LATER}", build(0)));
    assert_eq!(enabled(" --engine-id engine-1"), json!(false));
}

#[test]
fn slices_are_for_one_tenant() {
    let desk = Desk::published();
    let slice = "slice om-muscat-sparkle -d oman.pack --trust trust.json --key slice.key --out own.slice";
    desk.does(slice);
    desk.does(&format!("{} --envelope-only", slice.replace("own.slice", "own.envelope")));
    let (whole, envelope) = (fs::read(desk.path("own.slice")).unwrap(), fs::read(desk.path("own.envelope")).unwrap());
    assert!(whole.starts_with(&envelope) && envelope.len() < whole.len());
    let text = String::from_utf8(whole.clone()).unwrap();
    assert!(!text.contains("om-muscat-crown") && !text.contains("Agreed payment terms"));
    for name in ["own.slice", "own.envelope"] {
        desk.does(&format!("verify {name} --trust trust.json --tenant om-muscat-sparkle --at {NOW}"));
        desk.does(&format!("verify {name} --trust trust.json --at {NOW}"));
        desk.refuses(&format!("verify {name} --trust trust.json --tenant om-muscat-crown"), "verify", "wrong_tenant");
    }
    fs::write(desk.path("cut.slice"), &whole[..whole.len() - 1]).unwrap();
    desk.refuses("verify cut.slice --trust trust.json", "verify", "truncated");

    desk.does("keygen slice --out another.key");
    for (line, exit, code, says) in [
        (slice.replace("--key slice.key", "--key another.key"), 3, "unknown_key", "no slice key"),
        (slice.replace("sparkle", "sparkel"), 4, "unknown_tenant", "did you mean `om-muscat-sparkle`?"),
        (slice.replace("--key slice.key", "--key fleet.key"), 5, "wrong_key_kind", "keygen slice"),
        (slice.replace("oman.pack", "examples/cleanmatex"), 5, "no_snapshots", "what was published"),
        (slice.replace(" --trust trust.json", ""), 2, "trust_required", "--trust"),
    ] {
        desk.fails(&line, exit, code, says);
    }
}

#[test]
fn keys_are_rotated() {
    let desk = Desk::published();
    let rotate = "rotate snapshots --fleet new.key --certificate new.cert --trust trust.json --json";
    desk.does(&format!("certify new.key.pub --root root.key --trust trust.json --out same.cert --at {NOW}"));
    let same = desk.types(&format!("{} --at {LATER}", rotate.replace("new.cert", "same.cert"))).json();
    assert!(same["engines"].as_str().unwrap().contains("The epoch is the same"), "{same}");
    assert_eq!(same["streams"][0]["from"]["epoch"], same["streams"][0]["to"]["epoch"]);
    fs::copy(desk.path("snapshots/heads/EU.head"), desk.path("before.head")).unwrap();
    desk.does(&format!("certify new.key.pub --root root.key --trust trust.json --epoch 2 --out new.cert --at {NOW}"));
    let next = desk.types(&format!("{rotate} --at {LATER}")).json();
    assert!(next["engines"].as_str().unwrap().contains("refuse everything from the epoch before"), "{next}");
    desk.does(&format!("verify snapshots --trust trust.json --at {LATER}"));
    desk.refuses("verify before.head --trust trust.json --seen snapshots", "verify", "older_revision");

    // Whoever still has the certificate of the epoch before is told so.
    let back = format!("rotate snapshots {PEN} --at {LATER}");
    desk.fails(&back, 3, "key_expired", "epoch 2 has begun");
    desk.fails(
        "rotate oman.pack --fleet new.key --certificate new.cert --trust trust.json",
        2,
        "is_published",
        "directory",
    );
}

/// Once the old root key is out of the trust file, what it certified is the past, and keeps nobody from publishing.
#[test]
fn a_root_key_is_replaced() {
    let desk = Desk::published();
    let root = SecretKey::from_seed(&[9; 32]);
    let public = json!({ "kind": "root", "key_id": root.public().id(), "public": root.public() });
    let secret = json!({ "kind": "root", "key_id": root.public().id(), "secret": root.to_hex() });
    fs::write(desk.path("next.key.pub"), public.to_string()).unwrap();
    fs::write(desk.path("next.key"), secret.to_string()).unwrap();
    fs::set_permissions(desk.path("next.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let mut trust: Value = serde_json::from_slice(&fs::read(desk.path("trust.json")).unwrap()).unwrap();
    trust["roots"].as_array_mut().unwrap().push(json!(root.public()));
    fs::write(desk.path("both.json"), trust.to_string()).unwrap();
    trust["roots"].as_array_mut().unwrap().remove(0);
    fs::write(desk.path("after.json"), trust.to_string()).unwrap();
    desk.does(&format!("certify fleet.key.pub --root next.key --trust both.json --out next.cert --at {NOW}"));
    for trust in ["both.json", "after.json"] {
        let pen = format!("--fleet fleet.key --certificate next.cert --trust {trust}");
        desk.does(&format!("build -d examples/cleanmatex --out snapshots {pen} --at {LATER}"));
    }
}

/// What is inspected is shown, and said to be verified by nobody.
#[test]
fn inspecting_believes_nothing() {
    let desk = Desk::published();
    desk.does("slice om-muscat-sparkle -d oman.pack --trust trust.json --key slice.key --out own.slice");
    for (name, kind) in [
        ("snapshots", "directory"),
        ("oman.pack", "pack"),
        ("snapshots/heads/EU.head", "head"),
        ("own.slice", "slice"),
        ("fleet.cert", "certificate"),
        ("trust.json", "trust file"),
        ("fleet.key.pub", "public key"),
        ("fleet.key", "secret key"),
    ] {
        let text = desk.does(&format!("inspect {name}"));
        assert!(text.starts_with("NOT VERIFIED") && text.contains(&format!("{kind}: {name}\n")), "{name}: {text}");
        let json = desk.types(&format!("inspect {name} --json")).json();
        assert_eq!((&json["verified"], &json["kind"]), (&json!(false), &json!(kind)));
    }
    let pack = desk.types("inspect oman.pack --json").json();
    let part =
        |name: &str| pack["parts"].as_array().unwrap().iter().find(|part| part["part"] == json!(name)).unwrap().clone();
    // Definitions name their sections, and what engines need for them.
    for name in ["features", "plans", "add_ons", "kills", "guards", "workflows"] {
        assert!(part("contents")["says"][name].is_string(), "{name}");
    }
    assert_eq!(part("contents")["says"]["needs"], json!("rhai"));
    let manifest = part("head")["says"]["manifest"].as_str().unwrap().split(',').next().unwrap().to_owned();
    let file = ["zst", "json"].map(|end| format!("snapshots/chunks/{}/{manifest}.{end}", &manifest[..2]));
    let file = file.iter().find(|file| desk.path(file).exists()).unwrap();
    assert_eq!(desk.types(&format!("inspect {file} --json")).json()["kind"], json!("manifest"));

    // What is cut short is shown as far as it goes.
    change(&desk.path("own.slice"), |bytes| bytes.truncate(500));
    assert!(desk.does("inspect own.slice").contains("certificate"));
    change(&desk.path("oman.pack"), |bytes| bytes.truncate(500));
    assert!(desk.does("inspect oman.pack").contains("unknown: oman.pack"));
}
