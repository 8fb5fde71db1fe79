//! Bad input that only bulk makes: sizes, depths and counts. Small mistakes are conformance vectors (`build_*.json`).

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use leasehold::build::Checker;
use leasehold::model::{Diagnostic, DiagnosticCode, MAX_FILE_BYTES, Severity, Source, load};
use leasehold::{Revision, Snapshot, Stamp, read_directory};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::{fmt::Write, fs};

fn source(bytes: impl Into<Vec<u8>>) -> Source {
    Source { name: "bulk.json".into(), bytes: bytes.into() }
}

fn stamp() -> Stamp {
    let issued_at = "2026-03-01T08:00:00Z".parse().unwrap();
    Stamp { revision: Revision::default(), issued_at, expires_at: None }
}

/// Everything that is wrong with some files.
fn build(sources: &[Source]) -> Vec<Diagnostic> {
    Snapshot::from_sources(sources, stamp()).map_or_else(|refused| refused.as_slice().to_vec(), |_| Vec::new())
}

/// Everything that is wrong with definitions, as code and path.
fn check(definitions: &Value) -> Vec<(&'static str, String)> {
    build(&[source(definitions.to_string())]).into_iter().map(|one| (one.code.as_str(), one.path)).collect()
}

fn only(code: &'static str, path: &str) -> Vec<(&'static str, String)> {
    vec![(code, path.to_owned())]
}

/// Everything that is wrong with a directory, whether it shows when files are listed or when they are read.
fn build_directory(root: &Path) -> Vec<Diagnostic> {
    match read_directory(root) {
        Ok(sources) => {
            assert!(sources.iter().all(|source| source.bytes.len() <= MAX_FILE_BYTES + 1), "read more than it had to");
            build(&sources)
        }
        Err(found) => found.into_vec(),
    }
}

fn switch() -> Value {
    json!({ "kind": "switch", "name": "Switch", "name2": "مفتاح", "group": "module" })
}

fn switch_requiring(requires: &[String]) -> Value {
    let mut switch = switch();
    switch["requires"] = json!(requires);
    switch
}

fn tenant() -> Value {
    json!({ "name": "Tenant", "name2": "مستأجر", "region": "GCC-OM", "anchor": "2026-01-01T00:00:00Z" })
}

/// So many records under keys in their order, each made from its number.
fn many(prefix: &str, count: usize, make: impl Fn(usize) -> Value) -> Value {
    let records: Map<String, Value> = (0..count).map(|n| (format!("{prefix}{n:06}"), make(n))).collect();
    records.into()
}

fn sparse_directory() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("good.json"), "{}").unwrap();
    // 64 MB that take no room on the disk.
    fs::File::create(root.path().join("large.json")).unwrap().set_len(64 << 20).unwrap();
    root
}

#[test]
fn a_file_of_64_mb_is_refused_without_being_read_whole() {
    let root = sparse_directory();
    let found = build_directory(root.path());
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].code, &*found[0].file, &*found[0].path), (DiagnosticCode::FileTooLarge, "large.json", ""));
}

#[test]
fn the_largest_file_is_read_and_a_byte_more_is_not() {
    let padded = |length: usize| {
        let mut bytes = b"{}".to_vec();
        bytes.resize(length, b' ');
        load(&[source(bytes)])
    };
    assert!(padded(MAX_FILE_BYTES).is_ok());
    let refused = padded(MAX_FILE_BYTES + 1).unwrap_err();
    let codes: Vec<_> = refused.as_slice().iter().map(|one| one.code).collect();
    assert_eq!(codes, [DiagnosticCode::FileTooLarge]);
    // It is not parsed at all: what else is wrong with it does not show, and other files are still looked at.
    let files = [source(vec![b'['; MAX_FILE_BYTES + 1]), Source { name: "z.json".into(), bytes: b"[]".to_vec() }];
    let refused = load(&files).unwrap_err();
    let codes: Vec<_> = refused.as_slice().iter().map(|one| (&*one.file, one.code.as_str())).collect();
    assert_eq!(codes, [("bulk.json", "file_too_large"), ("z.json", "wrong_type")]);
}

fn unreadable() -> Vec<Diagnostic> {
    let root = tempfile::tempdir().unwrap();
    let mut found = read_directory(&root.path().join("nowhere")).unwrap_err().into_vec();
    fs::write(root.path().join("file.json"), "{}").unwrap();
    found.extend(read_directory(&root.path().join("file.json")).unwrap_err().into_vec());
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(root.path().join("gone"), root.path().join("link.json")).unwrap();
        found.extend(read_directory(root.path()).unwrap_err().into_vec());
    }
    found
}

#[test]
fn what_cannot_be_read_is_named() {
    let found = unreadable();
    for one in &found {
        assert_eq!((one.code, one.severity), (DiagnosticCode::Unreadable, Severity::Error));
        assert!(!one.file.is_empty() && one.message.starts_with("cannot be read: ") && !one.hint.is_empty(), "{one:?}");
    }
    assert!(found[0].file.ends_with("nowhere") && found[1].file.ends_with("file.json"), "{found:?}");
    #[cfg(unix)]
    assert_eq!(found.last().map(|one| &*one.file), Some("link.json"));
}

#[test]
fn names_with_a_dot_and_other_files_are_passed_over() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("b/.hidden")).unwrap();
    for name in ["c.json", "b/x.json", ".a.json", "b/.hidden/y.json", "notes.md", "b/x.json.bak"] {
        fs::write(root.path().join(name), "{}").unwrap();
    }
    let names: Vec<String> = read_directory(root.path()).unwrap().iter().map(|one| one.name.to_string()).collect();
    assert_eq!(names, ["b/x.json", "c.json"]);
}

/// Two folders that link to themselves would make a tree without end.
#[cfg(unix)]
#[test]
fn links_to_folders_are_refused() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a.json"), "{}").unwrap();
    for name in ["x", "y"] {
        std::os::unix::fs::symlink(".", root.path().join(name)).unwrap();
    }
    std::os::unix::fs::symlink("a.json", root.path().join("b.json")).unwrap();
    let mut found: Vec<(String, &str)> = read_directory(root.path())
        .unwrap_err()
        .as_slice()
        .iter()
        .map(|one| (one.file.to_string(), one.code.as_str()))
        .collect();
    found.sort();
    assert_eq!(found, [("x".into(), "unreadable"), ("y".into(), "unreadable")]);
}

#[test]
fn nesting_bombs() {
    let count = 1_000_000;
    let in_value = |depth: usize| {
        let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        format!(
            r#"{{"features":{{"v":{{"kind":"value","type":"json","name":"V","name2":"ق","group":"g","default":{nested}}}}}}}"#
        )
    };
    for (what, text) in [
        ("brackets", "[".repeat(count)),
        ("closed brackets", format!("{}{}", "[".repeat(count), "]".repeat(count))),
        ("objects", r#"{"a":"#.repeat(count)),
        ("both", r#"[{"a":"#.repeat(count)),
        ("below a value", in_value(count)),
        ("one too deep", in_value(125)),
    ] {
        let found = build(&[source(text)]);
        assert_eq!(found.len(), 1, "{what}");
        assert_eq!((found[0].code.as_str(), &*found[0].path), ("nesting_too_deep", ""), "{what}");
    }
    assert!(build(&[source(in_value(124))]).is_empty(), "127 deep, three of them around the value");
}

fn sorted(found: &[Diagnostic]) -> bool {
    found.is_sorted_by_key(|one| (&one.file, &one.path, one.code))
}

#[test]
fn a_hundred_thousand_mistakes_come_in_one_list() {
    let mut text = String::from(r#"{"tenants":{"#);
    for n in 0..50_000 {
        // Two mistakes in each: no name, and a region with a space.
        let comma = if n == 0 { "" } else { "," };
        write!(text, r#"{comma}"t{n:05}":{{"name2":"ش","region":"G C","anchor":"2026-01-01T00:00:00Z"}}"#).unwrap();
    }
    text.push_str("}}");
    let found = build(&[source(text)]);
    assert_eq!(found.len(), 100_000);
    assert!(sorted(&found));
    for (n, pair) in found.chunks(2).enumerate() {
        let told: Vec<_> = pair.iter().map(|one| (one.code.as_str(), one.path.clone())).collect();
        assert_eq!(
            told,
            [("missing_key", format!("/tenants/t{n:05}")), ("invalid_key", format!("/tenants/t{n:05}/region"))]
        );
    }
}

#[test]
fn mistakes_of_meaning_come_in_one_list_too() {
    let wrong = |n: usize| {
        let mut tenant = tenant();
        tenant["preferences"] = json!({ "off": [format!("gone{n}"), "limit", "gone"] });
        tenant
    };
    let limit = json!({ "kind": "limit", "name": "Limit", "name2": "حد", "group": "limits", "unit": "user" });
    let definitions = json!({ "features": { "limit": limit }, "tenants": many("t", 20_000, wrong) });
    let found = build(&[source(definitions.to_string())]);
    assert_eq!(found.len(), 60_000);
    assert!(sorted(&found));
    let codes: BTreeSet<&str> = found.iter().map(|one| one.code.as_str()).collect();
    assert_eq!(codes, BTreeSet::from(["unknown_feature", "wrong_kind"]));
}

/// The nearest name is looked for among all names, which is not done for each of very many mistakes.
#[test]
fn the_first_of_many_mistakes_say_what_may_have_been_meant() {
    let wrong = |n: usize| {
        let mut tenant = tenant();
        tenant["preferences"] = json!({ "off": [format!("feature_with_a_long_name_{n:06}x")] });
        tenant
    };
    let definitions = json!({
        "features": many("feature_with_a_long_name_", 5_000, |_| switch()), "tenants": many("t", 5_000, wrong),
    });
    let found = build(&[source(definitions.to_string())]);
    assert_eq!(found.len(), 5_000);
    let meant = |one: &Diagnostic| one.hint.starts_with("did you mean `feature_with_a_long_name_");
    assert!(found[..200].iter().all(meant) && !found[200..].iter().any(meant));
}

/// A file whose records stand from last to first says the same as one in order.
#[test]
fn the_order_of_many_records_does_not_matter() {
    let count = 50_000;
    let load_all = |numbers: &mut dyn Iterator<Item = usize>| {
        let records: Vec<String> =
            numbers.map(|n| format!(r#""{n:06}":{{"feature":"a","op":"revoke","reason":"r","actor":"s"}}"#)).collect();
        let tenant = r#""name":"T","name2":"م","region":"OM","anchor":"2026-01-01T00:00:00Z""#;
        let text = format!(r#"{{"tenants":{{"t1":{{{tenant},"overrides":{{{}}}}}}}}}"#, records.join(","));
        load(&[source(text)]).unwrap()
    };
    let forwards = load_all(&mut (0..count));
    assert_eq!(forwards.tenants.values().next().unwrap().overrides.len(), count);
    assert_eq!(forwards, load_all(&mut (0..count).rev()));
}

/// Some editors begin a file with it, and nobody sees it.
#[test]
fn a_byte_order_mark_is_called_by_its_name() {
    let text = json!({ "features": { "a": switch() } }).to_string();
    let found = load(&[source(format!("\u{feff}{text}"))]).unwrap_err();
    assert!(found.as_slice()[0].message.contains("byte order mark"), "{found}");
}

fn too_many_definitions(section: &str, count: usize) -> Vec<(&'static str, String)> {
    let made = |n: usize| match section {
        "features" => switch(),
        "plans" => json!({ "name": "Plan", "name2": "باقة", "rank": n,
            "price": { "amount": "1", "currency": "OMR", "period": "month" }, "versions": {} }),
        _ => json!({ "name": "Extra", "name2": "إضافة" }),
    };
    check(&json!({ section: many("d", count, made) }))
}

#[test]
fn more_definitions_than_can_be_numbered() {
    for section in ["features", "plans", "add_ons"] {
        let refused = only("too_many_definitions", &format!("/{section}"));
        assert_eq!(too_many_definitions(section, 65_536), refused);
        assert_eq!(too_many_definitions(section, 65_535), []);
    }
    assert_eq!(too_many_definitions("features", 70_000), only("too_many_definitions", "/features"));
}

#[test]
fn the_last_of_65_535_features_answers() {
    let definitions = json!({ "features": many("d", 65_535, |_| switch()), "tenants": { "t1": tenant() } });
    let snapshot = Snapshot::from_sources(&[source(definitions.to_string())], stamp()).unwrap();
    let (tenant, now) = (snapshot.tenant("t1").unwrap(), stamp().issued_at);
    assert_eq!(tenant.is_enabled("d065534", now), Ok(false));
    assert_eq!(tenant.is_enabled("d065535", now).unwrap_err().code(), "unknown_feature");
}

/// `f00` requires nothing, each other one the one before it.
fn chain(length: usize) -> Value {
    let key = |n: usize| format!("f{n:05}");
    let features: Map<String, Value> = (0..length)
        .map(|n| (key(n), switch_requiring(&n.checked_sub(1).map(key).into_iter().collect::<Vec<_>>())))
        .collect();
    json!({ "features": features })
}

#[test]
fn chains_of_prerequisites() {
    assert_eq!(check(&chain(65)), [], "the last one requires 64 switches");
    assert_eq!(check(&chain(66)), only("too_many_prerequisites", "/features/f00065/requires"));
    let long = check(&chain(20_000));
    assert_eq!(long.len(), 20_000 - 65, "each beyond the 64th, and no stack overflows");
    assert!(long.iter().all(|(code, _)| *code == "too_many_prerequisites"));
}

#[test]
fn many_prerequisites_of_one_feature() {
    let wide = |count: usize| {
        let mut features = many("f", count, |_| switch());
        let requires: Vec<String> = (0..count).map(|n| format!("f{n:06}")).collect();
        features["wide"] = switch_requiring(&requires);
        check(&json!({ "features": features }))
    };
    assert_eq!(wide(64), []);
    assert_eq!(wide(65), only("too_many_prerequisites", "/features/wide/requires"));
}

#[test]
fn a_circle_is_reported_once_and_reads_the_same_wherever_it_is_entered() {
    let circle = |keys: &[&str]| {
        let next = |n: usize| [keys[(n + 1) % keys.len()].to_owned()];
        let features: Map<String, Value> =
            keys.iter().enumerate().map(|(n, key)| ((*key).to_owned(), switch_requiring(&next(n)))).collect();
        build(&[source(json!({ "features": features }).to_string())])
    };
    for keys in [&["a", "b", "c"][..], &["c", "b", "a"], &["b", "c", "a"], &["a"]] {
        let found = circle(keys);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].code.as_str(), &*found[0].path), ("cyclic_prerequisites", "/features/a/requires"));
        let steps = keys.iter().filter(|key| found[0].message.contains(**key)).count();
        assert_eq!(steps, keys.len(), "{}", found[0].message);
    }
    for keys in [["a", "b", "c"], ["c", "a", "b"]] {
        assert_eq!(circle(&keys)[0].message, "features require each other in a circle: a → b → c → a");
    }
    let named = "features require each other in a circle: a → b → c → d → e → f → g → h";
    let keys = ["e", "f", "g", "h", "i", "a", "b", "c", "d"];
    assert_eq!(circle(&keys)[0].message, format!("{named} → … → a"), "where it is long, its beginning is named");
    let keys = ["e", "f", "g", "h", "a", "b", "c", "d"];
    assert_eq!(circle(&keys)[0].message, format!("{named} → a"));
}

#[test]
fn keys_and_ids_at_their_longest() {
    let definitions = |key: usize, id: usize| {
        let feature = format!("f{}", "x".repeat(key - 1));
        let mut tenant = tenant();
        tenant["preferences"] = json!({ "off": [feature] });
        json!({ "features": { feature: switch() }, "tenants": { "T".repeat(id): tenant } })
    };
    assert_eq!(check(&definitions(64, 128)), []);
    let codes = |found: Vec<(&'static str, String)>| found.into_iter().map(|(code, _)| code).collect::<Vec<_>>();
    // Where it is defined, and where it is named.
    assert_eq!(codes(check(&definitions(65, 128))), ["invalid_key", "invalid_key"]);
    assert_eq!(codes(check(&definitions(64, 129))), ["invalid_key"]);
    assert_eq!(codes(check(&definitions(64, 100_000))), ["invalid_key"]);
}

/// An add-on that does this to a limit whose default is this.
fn add_on_to(default: Value, op: &str, value: Value) -> Vec<(&'static str, String)> {
    check(&json!({
        "features": { "seats": { "kind": "limit", "name": "Seats", "name2": "مقاعد", "group": "limits", "unit": "seat",
            "default": { "amount": default } } },
        "add_ons": { "extra": { "name": "Extra", "name2": "إضافة",
            "contributions": [{ "feature": "seats", "op": op, "value": value }] } },
    }))
}

fn addon_below_default() -> Vec<(&'static str, String)> {
    add_on_to(json!(10), "set", json!({ "amount": 9 }))
}

#[test]
fn an_add_on_below_the_default() {
    let refused = only("addon_below_default", "/add_ons/extra/contributions/0/value/amount");
    assert_eq!(addon_below_default(), refused);
    assert_eq!(add_on_to(json!("unlimited"), "set", json!({ "amount": 9_007_199_254_740_991_u64 })), refused);
    assert_eq!(add_on_to(json!(10), "set", json!({ "amount": 10 })), []);
    assert_eq!(add_on_to(json!(10), "set", json!({ "amount": "unlimited" })), []);
    assert_eq!(add_on_to(json!("unlimited"), "set", json!({ "amount": "unlimited" })), []);
    assert_eq!(add_on_to(json!(10), "add", json!(1)), []);
}

/// A code that nothing produces is a rule that nobody checks.
#[test]
fn every_error_is_produced_by_some_test() {
    let mut produced: BTreeSet<String> = BTreeSet::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance");
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if !name.starts_with("build_") || !name.ends_with(".json") {
            continue;
        }
        let file: Value = serde_json::from_slice(&fs::read(entry.path()).unwrap()).unwrap();
        let cases = file["cases"].as_array().unwrap_or_else(|| panic!("{name} has no cases")).iter();
        for found in ["errors", "warnings"].iter().flat_map(|list| cases.clone().map(|case| &case["expect"][*list])) {
            produced
                .extend(found.as_array().into_iter().flatten().filter_map(|one| Some(one["code"].as_str()?.into())));
        }
    }
    assert!(produced.len() > 30, "the vectors were not found");
    // What only bulk or a file system makes is made here.
    produced.extend(unreadable().iter().map(|one| one.code.to_string()));
    produced.extend(build_directory(sparse_directory().path()).iter().map(|one| one.code.to_string()));
    produced.extend(too_many_definitions("add_ons", 65_536).into_iter().map(|(code, _)| code.into()));
    // Only who publishes compares: `workflow_snapshots.rs`.
    produced.insert(DiagnosticCode::PublishedVersionChanged.to_string());
    produced.extend(addon_below_default().into_iter().map(|(code, _)| code.into()));
    let missing: Vec<&str> =
        DiagnosticCode::ALL.iter().map(|code| code.as_str()).filter(|code| !produced.contains(*code)).collect();
    assert!(missing.is_empty(), "no test and no vector produces {}", missing.join(", "));
}

/// Features and a plan with these contributions; the plan is in force for tenant `t`.
fn with_plan(contributions: &Value, more: &Value) -> Value {
    let mut definitions = json!({
        "features": { "users": { "kind": "limit", "name": "Users", "name2": "م", "group": "limits", "unit": "user" } },
        "plans": { "p": { "name": "P", "name2": "خ", "rank": 1,
            "price": { "amount": "1.000", "currency": "OMR", "period": "month" },
            "versions": { "1": { "effective_from": "2026-01-01T00:00:00Z", "moves": "now",
                                 "contributions": contributions } } } },
        "tenants": { "t": tenant() },
    });
    definitions["tenants"]["t"]["phases"] =
        json!({ "p": { "kind": "paid", "plan": "p", "from": "2026-01-01T00:00:00Z" } });
    definitions.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    definitions
}

#[test]
fn prices_are_decimals_in_a_currency() {
    let price = |amount: &str, currency: &str| {
        let mut definitions = with_plan(&json!([]), &json!({}));
        definitions["plans"]["p"]["price"] = json!({ "amount": amount, "currency": currency, "period": "month" });
        check(&definitions)
    };
    for amount in ["0", "19.500", "999999999999999.999999", "7"] {
        assert_eq!(price(amount, "OMR"), []);
    }
    for amount in [".", "1.", ".5", "1.1234567", "1000000000000000", "1a", "1.a", "-1", "1,5", "١", "1.5.0"] {
        assert_eq!(price(amount, "OMR"), only("invalid_price", "/plans/p/price/amount"), "{amount}");
    }
    for currency in ["OM", "OMRR", "omr", "O1R"] {
        assert_eq!(price("1", currency), only("invalid_price", "/plans/p/price/currency"), "{currency}");
    }
}

#[test]
fn every_base_that_meets_one_that_reaches_further_is_named_with_it() {
    let set = |from: u32, until: u32| {
        json!({ "feature": "users", "op": "set", "value": { "amount": from }, "from": format!("2026-02-{from:02}T00:00:00Z"),
                "until": format!("2026-02-{until:02}T00:00:00Z") })
    };
    let named = |sets: [(u32, u32); 3]| {
        let contributions = sets.map(|(from, until)| set(from, until));
        let found = build(&[source(with_plan(&json!(contributions), &json!({})).to_string())]);
        let one = |one: Diagnostic| {
            assert_eq!(one.code.as_str(), "overlapping_contributions");
            let at = one.path.rsplit('/').next().unwrap().to_owned();
            let other = one.message.split("contribution ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
            format!("{at} meets {other}")
        };
        found.into_iter().map(one).collect::<Vec<_>>()
    };
    assert_eq!(named([(1, 2), (2, 3), (3, 4)]), [""; 0]);
    assert_eq!(named([(1, 10), (2, 3), (5, 6)]), ["1 meets 0", "2 meets 0"], "the first reaches over the second");
    assert_eq!(named([(1, 3), (2, 10), (5, 6)]), ["1 meets 0", "2 meets 1"]);
    assert_eq!(named([(1, 5), (2, 5), (3, 4)]), ["1 meets 0", "2 meets 0"]);
}

#[test]
fn sums_are_checked_with_what_plans_include_and_where_nothing_else_is_wrong() {
    const MOST: u64 = (1 << 53) - 1;
    let set = json!([{ "feature": "users", "op": "set", "value": { "amount": 1 } }]);
    let add_on = |included: bool, amount: u64| {
        let plans = if included { "included_in" } else { "compatible_with" };
        json!({ "add_ons": { "x": { "name": "X", "name2": "إ", plans: ["p"],
            "contributions": [{ "feature": "users", "op": "add", "value": amount }] } } })
    };
    let tenants = only("amount_overflow", "/tenants/t");
    assert_eq!(check(&with_plan(&set, &add_on(true, MOST))), tenants);
    assert_eq!(check(&with_plan(&set, &add_on(true, MOST - 1))), []);
    assert_eq!(check(&with_plan(&set, &add_on(false, MOST))), [], "nobody has it");
    // With another mistake the rules are not whole, and what sums come to is anybody's guess.
    let mut mistaken = with_plan(&set, &add_on(true, MOST));
    mistaken["features"]["users"]["default"] = json!({ "amount": 1, "thresholds": [0] });
    assert_eq!(check(&mistaken), only("threshold_out_of_range", "/features/users/default/thresholds/0"));
}

#[test]
fn so_many_circles_are_told() {
    let circles = |count: usize| {
        let features: Map<String, Value> = (0..count)
            .flat_map(|n| [(n, "a", "b"), (n, "b", "a")])
            .map(|(n, one, other)| (format!("f{n:03}{one}"), switch_requiring(&[format!("f{n:03}{other}")])))
            .collect();
        check(&json!({ "features": features })).len()
    };
    assert_eq!([circles(99), circles(100), circles(101), circles(150)], [99, 100, 100, 100]);
}

#[test]
fn a_checker_of_single_tenants_finds_what_compiling_finds() {
    let definitions = load(&[source(with_plan(&json!([]), &json!({})).to_string())]).unwrap();
    let checker = Checker::new(&definitions).unwrap();
    let (id, tenant) = definitions.tenants.first_key_value().unwrap();
    assert!(checker.check(id, tenant).is_ok());
    let mut mistaken = tenant.clone();
    for phase in mistaken.phases.values_mut() {
        phase.plan = "nothing".parse().unwrap();
    }
    let found = checker.check(id, &mistaken).unwrap_err();
    let mut definitions = definitions.clone();
    definitions.tenants.insert(id.clone(), mistaken);
    let compiled = Snapshot::compile(&definitions, stamp()).unwrap_err();
    assert_eq!(found.as_slice(), compiled.as_slice());
    assert_eq!(found.as_slice()[0].code.as_str(), "unknown_plan");
}
