//! Workflows: what their answers look like, and that they are the engine's.

use crate::run::{REFERENCE, ask, copy, edit, engine, repository, run, typed};
use leasehold::merge::Side;
use leasehold::model::load;
use leasehold::workflow::{Context, Input, Language};
use leasehold::{Snapshot, read_directory};
use serde_json::{Value, json};

/// What is known of a blocked order, and of one that may be handed over.
const BLOCKED: &str = "--role counter --input invoice_issued=false --input balance_due_minor=7250 --input \
                       customer_type=individual";
const PAID: &str = "--role counter --input invoice_issued=true --input balance_due_minor=0 --input \
                    customer_type=individual";

/// Every question here, its exit code and the name of its picture.
fn asked() -> Vec<(&'static str, String, i32)> {
    let sparkle = "om-muscat-sparkle order";
    [
        ("show", "show om-muscat-sparkle order".to_owned(), 0),
        ("show_category", "show om-muscat-crown order --category DRY_CLEAN".to_owned(), 0),
        ("show_current", "show sa-riyadh-najd pickup_request".to_owned(), 0),
        ("transitions", format!("transitions {sparkle} ready {PAID}"), 0),
        ("transitions_nothing_known", format!("transitions {sparkle} ready"), 0),
        ("transitions_all", format!("transitions {sparkle} intake --category IRON_ONLY --role counter --all"), 0),
        ("transitions_final", format!("transitions {sparkle} closed"), 0),
        ("check_allowed", format!("check {sparkle} ready closed {PAID}"), 0),
        ("check_blocked", format!("check {sparkle} ready closed --category DRY_CLEAN {BLOCKED}"), 1),
        ("check_illegal", format!("check {sparkle} intake closed"), 1),
        ("check_illegal_from_final", format!("check {sparkle} closed intake"), 1),
        ("check_mistyped", format!("check {sparkle} ready closed {PAID} --input invoice_isued=1 --role manager"), 0),
        ("check_unknown_category", format!("check {sparkle} intake cancelled --category DRY_CLAEN --role counter"), 0),
        ("explain_allowed", format!("check {sparkle} ready closed {PAID} --explain"), 0),
        (
            "explain_blocked",
            format!("check {sparkle} ready closed --input balance_due_minor=much --input custmer_type=x --explain"),
            1,
        ),
        ("explain_illegal", format!("check {sparkle} intake closed --explain"), 1),
        ("compare_additive", "compare order 1 2".to_owned(), 0),
        ("compare_breaking", "compare order 2 3".to_owned(), 1),
        ("compare_mapping", "compare pickup_request 1 2".to_owned(), 1),
        ("compare_same", "compare order 2 2".to_owned(), 0),
        ("upgrade", "upgrade sa-khobar-bay order --to 3".to_owned(), 0),
        ("upgrade_conflicts", "upgrade sa-makkah-pilgrim order --to 3".to_owned(), 1),
        ("upgrade_taken", "upgrade sa-makkah-pilgrim order --to 3 --take template".to_owned(), 0),
        ("upgrade_broken", "upgrade eu-berlin-waschwerk order --to 3 --take tenant".to_owned(), 1),
        ("paths", "paths om-muscat-sparkle pickup_request".to_owned(), 0),
        ("replay", "replay crates/hq-server/demo/moves.csv order --version 3".to_owned(), 1),
        ("replay_current", "replay crates/hq-server/demo/moves.csv order --version 2".to_owned(), 1),
    ]
    .map(|(name, line, exit)| (name, format!("workflow {line}"), exit))
    .into()
}

#[test]
fn answers_read_well() {
    for (name, line, exit) in asked() {
        let ran = ask(&line);
        assert_eq!((ran.code, ran.err.as_str()), (exit, ""), "{line}: {}", ran.out);
        insta::assert_snapshot!(name, ran.out, &line);
    }
}

#[test]
fn every_answer_can_be_had_as_json() {
    for (_, line, exit) in asked() {
        let ran = ask(&format!("{line} --json"));
        assert_eq!((ran.code, ran.err.as_str()), (exit, ""), "{line}");
        assert!(ran.json().is_object(), "{line}");
    }
}

#[test]
fn json_is_what_the_engine_says() {
    let says = |line: &str| ask(&format!("workflow {line} --json")).json();
    let engine = engine();
    let sparkle = engine.tenant("om-muscat-sparkle").unwrap();
    let machine = sparkle.machine("order", Some("DRY_CLEAN")).unwrap();
    let inputs = [
        ("invoice_issued", Input::Bool(false)),
        ("balance_due_minor", Input::Integer(7250)),
        ("customer_type", Input::String("individual")),
    ];
    let known = Context { inputs: &inputs, roles: &["counter"] };

    let order = "om-muscat-sparkle order";
    let listed = says(&format!("transitions {order} ready --category DRY_CLEAN {BLOCKED}"));
    assert_eq!(listed["transitions"], json!(machine.transitions("ready", &known).unwrap()));
    let error = machine.check("ready", "closed", &known).unwrap_err();
    let leasehold::Error::GuardFailed { blockers, .. } = &error else { panic!("{error}") };
    let blocked = says(&format!("check {order} ready closed --category DRY_CLEAN {BLOCKED}"));
    let expected = json!({ "code": "guard_failed", "message": error.to_string(), "blockers": blockers });
    assert_eq!(blocked, json!({ "allowed": false, "error": expected }));
    // As JSON, the same inputs are the same.
    let object = r#"{"invoice_issued":false,"balance_due_minor":7250,"customer_type":"individual"}"#;
    let line = format!("check {order} ready closed --category DRY_CLEAN --role counter --inputs {object}");
    assert_eq!(says(&line), blocked);
    let explained = machine.explain("ready", "closed", &known).unwrap();
    assert_eq!(says(&format!("{line} --explain")), json!(explained));

    let allowed = says(&format!("check {order} ready closed {PAID}"));
    assert_eq!(allowed, json!({ "allowed": true, "transition": "pick_up", "event": "pick_up" }));
    let illegal = says(&format!("check {order} intake closed"));
    assert_eq!((&illegal["allowed"], &illegal["error"]["code"]), (&json!(false), &json!("illegal_transition")));
    assert_eq!(says("compare order 2 3"), json!(engine.compare_versions("order", 2, 3).unwrap()));
    let makkah = engine.tenant("sa-makkah-pilgrim").unwrap();
    for (take, side) in [
        ("", Side::Ours),
        (" --take tenant", Side::Ours),
        (" --take template", Side::Theirs),
        (" --take base", Side::Base),
    ] {
        let upgrade = makkah.upgrade("order", 3, side).unwrap();
        assert_eq!(says(&format!("upgrade sa-makkah-pilgrim order --to 3{take}")), json!(upgrade), "{take}");
    }
    let paths = machine.covering_paths();
    assert_eq!(says(&format!("paths {order} --category DRY_CLEAN")), json!(paths));
}

/// What `show` lists is what explanations and answers say, part by part.
#[test]
fn all_of_a_machine_is_shown() {
    let engine = engine();
    let machine = engine.tenant("om-muscat-crown").unwrap().machine("order", Some("DRY_CLEAN")).unwrap();
    let shown = ask("workflow show om-muscat-crown order --category DRY_CLEAN --json").json();
    assert_eq!(shown["stages"], json!(machine.stages().collect::<Vec<_>>()));
    assert_eq!((&shown["version"], &shown["pinned"], &shown["needs_rhai"]), (&json!(3), &json!(true), &json!(true)));
    let answers = machine.transitions("intake", &Context::default()).unwrap();
    let transitions = shown["transitions"].as_array().unwrap();
    let id = |transition: &Value| transition["transition"].clone();
    assert_eq!(
        transitions.iter().map(id).collect::<Vec<_>>(),
        answers.iter().map(|it| json!(it.transition)).collect::<Vec<_>>()
    );
    let rework = transitions.iter().find(|it| it["transition"] == "rework").unwrap();
    assert_eq!(rework["guards"][0]["settings"]["max_rework_percent"], json!({ "value": 10, "source": "tenant" }));
    let by_manager = transitions.iter().find(|it| it["transition"] == "pick_up_by_manager").unwrap();
    assert_eq!(by_manager["role"], json!({ "role": "area_manager", "layer": "tenant" }));
}

#[test]
fn pictures_are_the_engines() {
    let engine = engine();
    let machine = engine.tenant("om-muscat-sparkle").unwrap().machine("order", None).unwrap();
    let line = |rest: &str| format!("workflow draw om-muscat-sparkle order{rest}");
    let draws = |rest: &str| {
        let ran = ask(&line(rest));
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{rest}");
        ran.out
    };
    let diagram = machine.diagram(Language::English);
    assert_eq!(draws("").trim_end(), diagram.svg().trim_end());
    assert_eq!(draws(" --format dot").trim_end(), diagram.dot().trim_end());
    assert_eq!(draws(" --format mermaid").trim_end(), diagram.mermaid().trim_end());
    let mut arabic = machine.diagram(Language::Arabic);
    arabic.current = Some("ready".to_owned());
    assert_eq!(draws(" --language ar --current ready").trim_end(), arabic.svg().trim_end());

    // Against another version: the tenant's patch is carried over, so that it is in both.
    let mut definitions = load(&read_directory(&repository().join(REFERENCE)).unwrap()).unwrap();
    let carried = engine.tenant("om-muscat-sparkle").unwrap().upgrade("order", 1, Side::Ours).unwrap();
    let (key, tenant) = (machine.workflow().clone(), definitions.tenants.get_mut("om-muscat-sparkle").unwrap());
    tenant.workflows.insert(key, carried.laid);
    let older = Snapshot::compile(&definitions, engine.stamp()).unwrap();
    let older = older.tenant("om-muscat-sparkle").unwrap().machine("order", None).unwrap();
    assert_eq!((older.version(), older.stages().len()), (1, 11));
    let against = machine.diagram_against(&older, Language::English);
    assert_eq!(draws(" --against 1").trim_end(), against.svg().trim_end());
    let same = machine.diagram_against(&machine, Language::English);
    assert_eq!(draws(" --against 2 --format dot").trim_end(), same.dot().trim_end());
    let json = ask(&line(" --against 1 --format mermaid --json")).json();
    let expected = json!({
        "format": "mermaid", "title": against.title, "stages": 13, "transitions": 24, "file": null,
        "picture": against.mermaid(),
    });
    assert_eq!(json, expected);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("order.svg");
    let wrote = ask(&line(&format!(" -o {}", file.display())));
    assert_eq!(wrote.out, format!("order v2 in {}: 13 stages, 24 transitions\n", file.display()));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), diagram.svg());
    let wrote = ask(&line(&format!(" -o {} --json", file.display()))).json();
    assert_eq!((&wrote["file"], &wrote["picture"]), (&json!(file.display().to_string()), &Value::Null));
}

/// A line, its exit code, its stable code and what else it says.
#[test]
fn failures_have_codes_and_hints() {
    let cases = [
        ("show om-muscat-sparkel order", 4, "unknown_tenant", "did you mean `om-muscat-sparkle`?"),
        ("show om-muscat-sparkle orders", 4, "unknown_workflow", "did you mean `order`?"),
        ("show om-muscat-sparkle zzz", 4, "unknown_workflow", "is not known"),
        ("show om-muscat-sparkle complaint", 1, "inactive_template", "the template is switched off, for everybody"),
        ("draw sa-tabuk-north pickup_request", 1, "inactive_template", "the tenant's use of it is switched off"),
        ("transitions om-muscat-sparkle order redy", 4, "unknown_stage", "did you mean `ready`?"),
        (
            "check om-muscat-sparkle order nowhere closed",
            4,
            "unknown_stage",
            "its stages are intake, photo_documentation",
        ),
        ("check om-muscat-sparkle order ready clsed", 4, "unknown_stage", "did you mean `closed`?"),
        ("check om-muscat-sparkle order redy closed --explain", 4, "unknown_stage", "did you mean `ready`?"),
        ("check sa-tabuk-north complaint open closed", 1, "inactive_template", "is not active"),
        ("draw om-muscat-sparkle order --current redy", 4, "unknown_stage", "did you mean `ready`?"),
        ("draw om-muscat-sparkle order --against 9", 4, "unknown_workflow_version", "its versions are 1, 2, 3"),
        ("compare order 1 4", 4, "unknown_workflow_version", "its versions are 1, 2, 3"),
        ("compare ordr 1 2", 4, "unknown_workflow", "did you mean `order`?"),
        ("upgrade om-muscat-sparkle order --to 4", 4, "unknown_workflow_version", "its versions are 1, 2, 3"),
        ("paths nobody order", 4, "unknown_tenant", "is not known"),
        ("replay crates/hq-server/demo/moves.csv order --version 4", 4, "unknown_workflow_version", "1, 2, 3"),
        ("replay /nowhere.csv order --version 3", 5, "io", "cannot read `/nowhere.csv`"),
        (
            "check om-muscat-sparkle order ready closed --input items_total=1 --inputs {\"items_total\":2}",
            2,
            "usage",
            "input `items_total` is given twice",
        ),
    ];
    for (line, exit, code, says) in cases {
        let line = format!("workflow {line}");
        let ran = ask(&line);
        assert_eq!((ran.code, ran.out.as_str()), (exit, ""), "{line}: {}", ran.err);
        assert!(ran.err.starts_with("error: ") && ran.err.contains(&format!("[{code}]")), "{line}: {}", ran.err);
        assert!(ran.err.contains(says), "{line}: {}", ran.err);
        let json = ask(&format!("{line} --json"));
        assert_eq!((json.code, &json.json()["error"]["code"]), (exit, &json!(code)), "{line}");
    }
}

#[test]
fn a_wrong_line_is_a_failure_too() {
    let cases = [
        ("", "Usage: leasehold workflow"),
        ("bogus", "unrecognized subcommand"),
        ("check om-muscat-sparkle order ready", "<TO>"),
        ("show om-muscat-sparkle order --category bad!", "`bad!` is not a"),
        ("check t order a b --input items_total", "expected NAME=VALUE"),
        ("check t order a b --input Total=1", "`Total` is not a"),
        ("check t order a b --inputs [1]", "expected a JSON object"),
        ("check t order a b --inputs {\"a\":1,\"a\":2}", "key `a` stands twice"),
        ("check t order a b --inputs {", "it is not JSON"),
        ("compare order one 2", "invalid value"),
        ("upgrade t order", "--to <VERSION>"),
        ("upgrade t order --to 2 --take mine", "tenant, template, base"),
        ("draw t order --format png", "svg, dot, mermaid"),
    ];
    for (line, says) in cases {
        let words = || ["workflow"].into_iter().chain(line.split(' ').filter(|word| !word.is_empty()));
        let ran = run(words());
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{line}");
        assert!(ran.err.contains(says), "{line}: {}", ran.err);
        let json = run(words().chain(["--json"]));
        assert_eq!((json.code, &json.json()["error"]["code"]), (2, &json!("usage")), "{line}");
    }
}

/// The line that says why can be typed, and says more.
#[test]
fn why_can_be_typed() {
    let ran = ask(&format!("workflow check om-muscat-sparkle order ready closed {BLOCKED}"));
    let why = ran.out.lines().find_map(|line| line.strip_prefix("why: leasehold ")).unwrap();
    let explained = typed(why);
    assert_eq!((explained.code, explained.err.as_str()), (1, ""), "{why}");
    assert!(explained.out.contains("credit_limit_minor = 5000 (tenant)"), "{}", explained.out);
}

#[test]
fn lint_lists_what_is_wrong_with_workflows() {
    let broken = copy();
    edit(&broken, "guards.json", "quality_result in accepted_results", "quality_result + 1 in accepted_results");
    edit(&broken, "workflows/pickup_request.json", r#""to": "collected""#, r#""to": "colected""#);
    edit(&broken, "tenants/gcc-sa.json", r#""guard": "requires_storage_location""#, r#""guard": "requires_storage""#);
    let root = broken.path().display();
    let ran = typed(&format!("lint -d {root}"));
    assert_eq!((ran.code, ran.err.as_str()), (1, ""));
    insta::assert_snapshot!("lint_errors", ran.out);
    let refused = typed(&format!("workflow show om-muscat-sparkle order -d {root}"));
    assert_eq!(refused.code, 3);
    assert!(refused.err.contains("[definitions_refused]"), "{}", refused.err);
}

#[test]
fn lint_warns_about_workflows() {
    let odd = copy();
    edit(&odd, "workflows/complaint.json", r#""to": "rejected""#, r#""to": "resolved""#);
    let ran = typed(&format!("lint -d {}", odd.path().display()));
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    let own: String = ran.out.split_inclusive("\n\n").filter(|part| part.contains("workflows/")).collect();
    insta::assert_snapshot!("lint_warnings", own);
}

/// Without a category, with one of its own, and with one that nothing is said of.
#[test]
fn the_category_decides() {
    let next = |category: &str| {
        let line = format!("workflow transitions om-muscat-sparkle order preparation --role operator{category} --json");
        let listed = ask(&line).json();
        let here = listed["transitions"].as_array().unwrap().iter().filter(|it| it["state"] != "not_from_here");
        here.map(|it| it["transition"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let without = next("");
    assert!(without.contains(&"start_processing".to_owned()) && !without.contains(&"pretreat".to_owned()));
    let dry = next(" --category DRY_CLEAN");
    assert!(!dry.contains(&"start_processing".to_owned()) && dry.contains(&"pretreat".to_owned()));
    assert_eq!(next(" --category LAUNDRY"), without);
}

#[test]
fn the_reference_is_named_as_it_is_typed() {
    assert!(ask("workflow check om-muscat-sparkle order ready closed").out.contains(&format!("-d {REFERENCE}")));
}
