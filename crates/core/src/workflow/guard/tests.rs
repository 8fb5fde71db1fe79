//! Tables of guards: how they read, what is refused and how, what they answer.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use super::bound::GuardFault;
use super::native::MAX_INPUTS;
use super::*;
use crate::workflow::BlockerCode;
use serde_json::{Value, json};

fn variables(declared: &[(&str, VariableType)]) -> Variables {
    declared.iter().map(|(name, kind)| (name.parse().unwrap(), *kind)).collect()
}

fn inputs() -> Variables {
    variables(&[
        ("paid", VariableType::Bool),
        ("photo", VariableType::Bool),
        ("total", VariableType::Integer),
        ("count", VariableType::Integer),
        ("kind", VariableType::String),
        ("note", VariableType::String),
        ("tags", VariableType::Strings),
        ("index", VariableType::Integer),
    ])
}

fn settings() -> Variables {
    variables(&[
        ("required", VariableType::Bool),
        ("above", VariableType::Integer),
        ("wanted", VariableType::String),
        ("allowed", VariableType::Strings),
        ("none", VariableType::Strings),
    ])
}

fn read(text: &str) -> Result<CheckedGuard, Vec<GuardMistake>> {
    compile(text, &inputs(), &settings())
}

fn good(text: &str) -> CheckedGuard {
    read(text).unwrap_or_else(|found| panic!("{text}: {found:?}"))
}

/// Binds with `required` true, `above` 500, `wanted` "silk", `allowed` "wool", "silk", and `none` empty.
fn bound(text: &str) -> BoundGuard {
    bound_with(text, "none", &json!([]))
}

/// The same with another value for one of the settings.
fn bound_with(text: &str, setting: &str, value: &Value) -> BoundGuard {
    let mut values =
        json!({ "required": true, "above": 500, "wanted": "silk", "allowed": ["wool", "silk"], "none": [] });
    values[setting] = value.clone();
    let settings = settings();
    good(text).bind(|name| Constant::read(settings[name.as_str()], &values[name.as_str()])).unwrap()
}

fn mistakes(text: &str) -> Vec<(&'static str, usize)> {
    let found = read(text).err().unwrap_or_default();
    for one in &found {
        assert!(!one.message.is_empty() && !one.hint.is_empty(), "{one:?}");
        assert!(one.message.starts_with(|c: char| !c.is_uppercase()) && !one.message.ends_with('.'), "{one:?}");
        assert!(text.is_char_boundary(one.at), "{text}: {one:?}");
    }
    found.iter().map(|one| (one.code.as_str(), one.at)).collect()
}

#[test]
fn one_spelling() {
    for (written, spelt) in [
        ("paid", "paid"),
        ("((paid))", "paid"),
        ("total<=above||paid", "(total <= above) || paid"),
        ("paid&&photo||required", "(paid && photo) || required"),
        ("paid && (photo && required)", "paid && photo && required"),
        ("!paid == photo", "!paid == photo"),
        ("!(paid == photo)", "!(paid == photo)"),
        ("paid == photo == required", "(paid == photo) == required"),
        ("paid == photo != (total < 5)", "(paid == photo) != (total < 5)"),
        ("kind in [\"a\", \"b\",] == paid", "(kind in [\"a\", \"b\"]) == paid"),
        ("paid == kind in tags", "paid == (kind in tags)"),
        ("total < count == paid", "(total < count) == paid"),
        ("kind !in tags", "kind !in tags"),
        ("!(kind in tags)", "kind !in tags"),
        ("!(kind !in tags)", "!(kind !in tags)"),
        ("!!paid", "!!paid"),
        ("total in []", "total in []"),
        (
            "total in [1, -2, 0x10, 0b101, 0o17, 1_000, 1__0_, 007, 0_x1f]",
            "total in [1, -2, 16, 5, 15, 1000, 10, 7, 31]",
        ),
        ("total == - 5", "total == -5"),
        ("total == - -5", "total == 5"),
        ("total == -(5)", "total == -5"),
        ("total -1 == 4", "(total - 1) == 4"),
        ("total - -1 == 4", "(total - -1) == 4"),
        ("-total*2+1 < 3", "(((-total) * 2) + 1) < 3"),
        ("-(total*2) < 3", "(-(total * 2)) < 3"),
        ("- - total < 3", "(- -total) < 3"),
        ("total - count - 1 > 3 * 2 % 4", "((total - count) - 1) > ((3 * 2) % 4)"),
        ("min(total, abs( count )) >= max(1,2)", "min(total, abs(count)) >= max(1, 2)"),
        ("kind.len() + tags . len() > 3", "(kind.len() + tags.len()) > 3"),
        ("kind.contains(\"x\") && note.starts_with(wanted)", "kind.contains(\"x\") && note.starts_with(wanted)"),
        ("!kind.ends_with(note)", "!kind.ends_with(note)"),
        ("\"abc\".contains(kind)", "\"abc\".contains(kind)"),
        ("(kind).len() == 1", "kind.len() == 1"),
        ("paid // a comment\n && photo", "paid && photo"),
        ("paid /* a /* nested */ one */ && /**/ photo", "paid && photo"),
        ("total /* */ -1 == 2", "(total - 1) == 2"),
        (r#"kind == "a\"b\\c\n\t\r\x41\u00e9\U0001F600""#, "kind == \"a\\\"b\\\\c\\n\\t\\rAé😀\""),
        (r#"kind == "say ""hi""""#, "kind == \"say \\\"hi\\\"\""),
        ("kind == `a\\n``b\r\n`", "kind == \"a\\\\n`b\\n\""),
        ("kind == `\nfirst`", "kind == \"first\""),
        ("kind == `\\${x} $ {`", "kind == \"${x} $ {\""),
        ("kind == \"${x}\"", "kind == \"${x}\""),
        ("kind == \"\u{1}\u{7f}\"", "kind == \"\\u0001\\u007f\""),
        ("index == 1", "index == 1"),
        ("!(index == 1) && !paid", "!(index == 1) && !paid"),
        ("index in[1]", "index in [1]"),
        ("true", "true"),
    ] {
        let guard = good(written);
        assert_eq!(guard.text(), spelt, "{written}");
        let again = good(spelt);
        assert_eq!((again.text(), again.predicate()), (guard.text(), guard.predicate()), "{written}");
        if let Some(predicate) = guard.predicate() {
            assert_eq!(predicate.to_string(), spelt);
        }
    }
}

#[test]
fn what_is_refused() {
    let not_allowed = "guard_not_allowed";
    for (text, code, at) in [
        // No expression at all.
        ("", "guard_syntax", 0),
        (" // nothing", "guard_syntax", 0),
        ("paid &&", "guard_syntax", 7),
        ("paid photo", "guard_syntax", 5),
        ("paid and photo", "guard_syntax", 5),
        ("not paid", "guard_syntax", 0),
        ("paid)", "guard_syntax", 4),
        ("(paid", "guard_syntax", 5),
        ("== paid", "guard_syntax", 0),
        ("in tags", "guard_syntax", 0),
        ("kind == \"a", "guard_syntax", 8),
        ("kind == \"a\nb\"", "guard_syntax", 8),
        ("kind == `a", "guard_syntax", 8),
        (r#"kind == "\q""#, "guard_syntax", 9),
        (r#"kind == "\xg1""#, "guard_syntax", 9),
        (r#"kind == "\ud800""#, "guard_syntax", 9),
        (r#"kind == "\x4"#, "guard_syntax", 9),
        (r#"kind == "\'""#, "guard_syntax", 9),
        ("paid /* open", "guard_syntax", 5),
        ("paid /*/ open", "guard_syntax", 5),
        ("paid === photo", "guard_syntax", 5),
        ("total <-5", "guard_syntax", 6),
        ("total == 5 --1", "guard_syntax", 11),
        ("total == 0x", "guard_syntax", 9),
        ("total == -0x10", "guard_syntax", 9),
        ("paid!", "guard_syntax", 4),
        ("kind == \"ä\" ä", "guard_syntax", 13),
        ("paid \u{a0}&& photo", "guard_syntax", 5),
        ("paid ? 1 : 2", "guard_syntax", 5),
        ("min(total,,1) > 0", "guard_syntax", 10),
        // Rhai, but no guard.
        ("let x = 1; x == 1", not_allowed, 0),
        ("if paid { true } else { false }", not_allowed, 0),
        ("while paid { }", not_allowed, 0),
        ("loop { }", not_allowed, 0),
        ("fn f() { true } f()", not_allowed, 0),
        ("paid; photo", not_allowed, 4),
        ("paid = true", not_allowed, 5),
        ("total += 1", not_allowed, 6),
        ("|x| x", not_allowed, 0),
        ("|| paid", not_allowed, 0),
        ("{ paid }", not_allowed, 0),
        ("#{ a: 1 }", not_allowed, 0),
        ("kind == #\"raw\"#", not_allowed, 8),
        ("kind == 'a'", not_allowed, 8),
        ("total == 1.5", not_allowed, 9),
        ("total == 1e3", not_allowed, 9),
        ("total == ()", not_allowed, 9),
        ("tags[0] == \"a\"", not_allowed, 4),
        ("kind.length == 3", not_allowed, 4),
        ("total ** 2 == 4", not_allowed, 6),
        ("total << 2 == 4", not_allowed, 6),
        ("paid | photo", not_allowed, 5),
        ("paid & photo", not_allowed, 5),
        ("paid ^ photo", not_allowed, 5),
        ("total in 1..5", not_allowed, 10),
        ("paid ?? photo", not_allowed, 5),
        ("kind?.len() == 1", not_allowed, 4),
        ("std::paid", not_allowed, 3),
        ("+total == 1", not_allowed, 0),
        ("kind == `a ${paid} b`", not_allowed, 11),
        ("kind == \"a\\\nb\"", not_allowed, 10),
        ("eval(\"paid\")", not_allowed, 0),
        ("print(kind)", not_allowed, 0),
        ("type_of(kind) == \"string\"", not_allowed, 0),
        ("this.paid", not_allowed, 0),
        ("kind in [note]", not_allowed, 9),
        ("paid == [1, 2]", not_allowed, 8),
        ("eval!(\"paid\")", not_allowed, 0),
        // Types.
        ("total", "guard_type_mismatch", 0),
        ("kind", "guard_type_mismatch", 0),
        ("1", "guard_type_mismatch", 0),
        ("kind < 5", "guard_type_mismatch", 5),
        ("kind == 5", "guard_type_mismatch", 5),
        ("total == \"5\"", "guard_type_mismatch", 6),
        ("paid == 1", "guard_type_mismatch", 5),
        ("paid < photo", "guard_type_mismatch", 5),
        ("tags == tags", "guard_type_mismatch", 5),
        ("tags == kind", "guard_type_mismatch", 5),
        ("paid && total", "guard_type_mismatch", 8),
        ("!total == 1", "guard_type_mismatch", 1),
        ("-kind == 1", "guard_type_mismatch", 1),
        ("kind + 1 == 2", "guard_type_mismatch", 0),
        ("total in tags", "guard_type_mismatch", 6),
        ("kind in note", "guard_type_mismatch", 5),
        ("kind in 5", "guard_type_mismatch", 5),
        ("paid in [1]", "guard_type_mismatch", 5),
        ("total in [\"a\"]", "guard_type_mismatch", 10),
        ("tags in []", "guard_type_mismatch", 5),
        ("total.len() == 1", "guard_type_mismatch", 6),
        ("tags.contains(\"a\")", "guard_type_mismatch", 5),
        ("kind.contains(5)", "guard_type_mismatch", 14),
        ("min(total, kind) > 1", "guard_type_mismatch", 11),
        // Names.
        ("cash", "unknown_input", 0),
        ("Paid", "unknown_input", 0),
        ("sleep(1000)", "unknown_function", 0),
        ("len(kind) == 1", "unknown_function", 0),
        ("kind.trim() == \"a\"", "unknown_function", 5),
        ("(-5).abs() == 5", "unknown_function", 5),
        ("min(total) == 5", "unknown_function", 0),
        ("kind.len(1) == 5", "unknown_function", 5),
        ("timestamp() == 0", "unknown_function", 0),
        // Sizes.
        ("total < 9007199254740992", "integer_out_of_range", 8),
        ("total < 99999999999999999999999999999999999999999", "integer_out_of_range", 8),
        ("total < 0xFFFFFFFFFFFFFFFF", "integer_out_of_range", 8),
    ] {
        assert_eq!(mistakes(text), [(code, at)], "{text}: {:?}", read(text).err());
    }
}

#[test]
fn all_mistakes_at_once() {
    for (text, codes) in [
        ("cash && card && total < kind", vec![("unknown_input", 0), ("unknown_input", 8), ("guard_type_mismatch", 22)]),
        (
            "cash < 5 && (tags[0] == cash) == 1",
            vec![("unknown_input", 0), ("guard_not_allowed", 17), ("unknown_input", 24)],
        ),
        (
            "1.5 < 'a' || eval(cash)",
            vec![("guard_not_allowed", 0), ("guard_not_allowed", 6), ("guard_not_allowed", 13), ("unknown_input", 18)],
        ),
        (
            "sleep(cash) || total.trim(card) || x",
            vec![
                ("unknown_function", 0),
                ("unknown_input", 6),
                ("unknown_function", 21),
                ("unknown_input", 26),
                ("unknown_input", 35),
            ],
        ),
        ("1.5 == total && ;", vec![("guard_not_allowed", 0), ("guard_not_allowed", 16)]),
        // A mistake is told once: what stands around it is not blamed.
        ("(cash + 1) * 2 < \"x\".len() || !cash", vec![("unknown_input", 1), ("unknown_input", 31)]),
        ("kind in [1, total, \"a\"]", vec![("guard_not_allowed", 12)]),
        ("kind in [1, 2, \"a\"]", vec![("guard_type_mismatch", 9), ("guard_type_mismatch", 12)]),
        ("(kind in [1]) == 5", vec![("guard_type_mismatch", 10)]),
    ] {
        assert_eq!(mistakes(text), codes, "{text}: {:?}", read(text).err());
    }
}

#[test]
fn sizes() {
    let long = format!("paid // {}", "x".repeat(MAX_TEXT_BYTES));
    assert_eq!(mistakes(&long), [("guard_too_long", 0)]);
    assert_eq!(mistakes(&"(".repeat(100_000)), [("guard_too_long", 0)]);
    let deep = |open: &str, levels: usize, close: &str| format!("{}paid{}", open.repeat(levels), close.repeat(levels));
    assert!(read(&deep("(", MAX_DEPTH, ")")).is_ok() && read(&deep("!", MAX_DEPTH, "")).is_ok());
    assert_eq!(mistakes(&deep("(", MAX_DEPTH + 1, ")")), [("guard_too_deep", MAX_DEPTH)]);
    assert_eq!(mistakes(&deep("!", MAX_DEPTH + 1, "")), [("guard_too_deep", MAX_DEPTH)]);
    assert_eq!(mistakes(&deep("(", 2_000, ")")), [("guard_too_deep", MAX_DEPTH)]);
    assert_eq!(mistakes(&"-".repeat(2).repeat(500)), [("guard_syntax", 0)]);
    assert_eq!(mistakes(&"- ".repeat(500)), [("guard_too_deep", 2 * MAX_DEPTH)]);
    assert_eq!(mistakes(&"[".repeat(500)), [("guard_too_deep", MAX_DEPTH)]);
    assert_eq!(mistakes(&"min(".repeat(500)), [("guard_too_deep", 4 * MAX_DEPTH)]);
    assert_eq!(mistakes(&format!("total{} < 1", " + 1".repeat(500)))[0].0, "guard_too_deep");
    assert_eq!(mistakes(&format!("paid{}", " == paid".repeat(500)))[0].0, "guard_too_deep");
    let chain = |terms: usize| vec!["paid"; terms].join(" && ");
    assert!(read(&chain(MAX_OPERATIONS + 1)).is_ok());
    assert_eq!(mistakes(&chain(300))[0].0, "guard_over_budget");
    assert_eq!(mistakes(&format!("total in [{}]", "1,".repeat(300)))[0].0, "guard_over_budget");
    let names: Vec<String> = (0..40).map(|number| format!("input_{number}")).collect();
    let many: Variables = names.iter().map(|name| (name.parse().unwrap(), VariableType::Bool)).collect();
    assert!(compile(&names[..32].join(" || "), &many, &Variables::new()).is_ok());
    let found = compile(&names[..33].join(" || "), &many, &Variables::new()).unwrap_err();
    assert_eq!(found[0].code.as_str(), "guard_over_budget");
}

#[test]
fn near_names_are_suggested() {
    let found = read("pald").unwrap_err();
    assert_eq!(found[0].hint, "did you mean `paid`?");
    assert!(is_reserved("in") && is_reserved("eval") && is_reserved("and") && !is_reserved("paid"));
}

#[test]
fn settings_are_filled_in() {
    for (text, simple, names) in [
        ("required && paid", "paid", "paid"),
        ("!required || paid", "paid", "paid"),
        ("!required && paid", "false", ""),
        ("required || paid", "true", ""),
        ("paid || required", "true", ""),
        ("paid && !required", "false", ""),
        ("required == paid", "paid", "paid"),
        ("required != (paid && photo)", "!(paid && photo)", "paid photo"),
        ("paid != photo != required", "!(paid != photo)", "paid photo"),
        ("total <= above || paid", "(total <= 500) || paid", "paid total"),
        ("above > 400 && paid", "paid", "paid"),
        ("kind in allowed", "kind in [\"wool\", \"silk\"]", "kind"),
        ("wanted in allowed", "true", ""),
        ("wanted in tags", "\"silk\" in tags", "tags"),
        ("kind in []", "kind in []", "kind"),
        ("kind !in []", "kind !in []", "kind"),
        ("kind in none", "false", ""),
        ("kind !in none", "true", ""),
        ("!!paid", "paid", "paid"),
        ("!(paid && required)", "!paid", "paid"),
        ("above == above && wanted <= wanted", "true", ""),
        // What nobody decides asks for its inputs, though it comes to the same whatever they are.
        ("total == total && kind <= kind", "(total == total) && (kind <= kind)", "kind total"),
        ("paid == paid", "paid == paid", "paid"),
        ("paid || true", "true", ""),
        ("paid || !!true", "paid || true", "paid"),
        ("paid && (1 > 2) && photo && 5 < 4", "paid && false && photo", "paid photo"),
        ("paid && true", "paid", "paid"),
        ("total <= above || above == above", "(total <= 500) || true", "total"),
        ("total <= above || (required || true) == true", "(total <= 500) || true", "total"),
        ("total <= above || above < 600", "true", ""),
        ("total <= above || required && (true || paid)", "true", ""),
        ("required || true", "true", ""),
        ("total < above + 100", "total < 600", "total"),
        ("total < above * 9007199254740991", "total < (500 * 9007199254740991)", "total"),
        ("wanted.len() == 4 && paid", "paid", "paid"),
        ("wanted.starts_with(\"si\") && paid", "paid", "paid"),
        ("(total + 1 > 2) && !required", "((total + 1) > 2) && false", "total"),
        ("(total + 1 > 2) || required", "((total + 1) > 2) || true", "total"),
        ("!required && total + 1 > 2", "false", ""),
        ("paid && required && !required && total + 1 > 2", "false", ""),
        ("(paid && photo || !required) && (total > 1)", "paid && photo && (total > 1)", "paid photo total"),
        ("total / 0 == 1 == required", "(total / 0) == 1", "total"),
        ("10 / 0 == 1", "(10 / 0) == 1", ""),
        ("allowed.len() == 2 && none.len() == 0 && paid", "paid", "paid"),
        ("required && (paid || photo) || total > 1", "paid || photo || (total > 1)", "paid photo total"),
        // What settings come to whatever they are is decided by nobody either.
        ("photo && !(above < 600 || 1 < 2)", "photo && false", "photo"),
        ("photo && required != required", "photo && false", "photo"),
    ] {
        let guard = bound(text);
        let found: Vec<&str> = guard.inputs().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((guard.text().as_str(), found.join(" ").as_str()), (simple, names), "{text}");
        assert_eq!(guard.predicate().is_none(), guard.needs_rhai(), "{text}");
    }
}

#[test]
fn settings_must_have_values() {
    let guard = good("required");
    let found = guard.bind(|_| None).unwrap_err();
    assert_eq!((found.setting.as_str(), found.expected), ("above", VariableType::Integer));
    assert!(guard.bind(|_| Some(Constant::Bool(true))).is_err());
    for (kind, value, fits) in [
        (VariableType::Bool, json!(true), true),
        (VariableType::Bool, json!(1), false),
        (VariableType::Integer, json!(9_007_199_254_740_991_i64), true),
        (VariableType::Integer, json!(9_007_199_254_740_992_i64), false),
        (VariableType::Integer, json!(1.5), false),
        (VariableType::String, json!("x".repeat(65_536)), true),
        (VariableType::String, json!("x".repeat(65_537)), false),
        (VariableType::Strings, json!(["a", "b"]), true),
        (VariableType::Strings, json!(["a", 1]), false),
        (VariableType::Strings, json!(vec!["a"; 1_025]), false),
        (VariableType::Strings, json!(null), false),
    ] {
        let read = Constant::read(kind, &value);
        assert_eq!(read.is_some(), fits, "{kind:?}");
        assert!(read.is_none_or(|read| serde_json::to_value(read).unwrap() == value));
    }
}

/// What stands in the way, as `code: expected {actual}`.
fn faults(text: &str, inputs: &[(&str, Input<'_>)]) -> Vec<String> {
    let guard = bound(text);
    let found = guard.examine(inputs);
    assert_eq!(guard.evaluate(inputs) == Ok(true), found.is_empty(), "{text}");
    let told = |fault: &GuardFault| {
        format!("{}: {} {}", fault.code.as_str(), fault.expected, Value::from_iter(fault.actual.clone()))
    };
    found.iter().map(told).collect()
}

#[test]
fn what_blocks() {
    let long = "x".repeat(70_000);
    let many = vec!["a"; 1_025];
    let twenty = vec!["a"; 20];
    let sixteen = Value::from(&twenty[..16]);
    let fine: &[(&str, Input<'_>)] = &[
        ("note", Input::String("gift")),
        ("kind", Input::String("silk")),
        ("total", Input::Integer(700)),
        ("total", Input::Integer(1)),
        ("paid", Input::Bool(false)),
        ("tags", Input::Strings(&twenty)),
        ("more", Input::Other("null")),
    ];
    for (text, inputs, expected) in [
        ("paid || total > 600", fine, vec![]),
        ("required && !paid", fine, vec![]),
        ("total <= above || paid", fine, vec!["guard_failed: (total <= 500) || paid {\"paid\":false,\"total\":700}"]),
        (
            "paid && kind == \"silk\" && total < 5",
            fine,
            vec!["guard_failed: paid && (total < 5) {\"paid\":false,\"total\":700}"],
        ),
        ("kind == \"silk\" && total < 5", fine, vec!["guard_failed: total < 5 {\"total\":700}"]),
        ("!required && paid", fine, vec!["guard_failed: false {}"]),
        // An input that the settings leave out may be absent; any other may not, even where it would not matter.
        ("!required && photo || kind == \"silk\"", fine, vec![]),
        ("kind == \"silk\" || photo", fine, vec!["input_missing: photo: true or false {}"]),
        (
            "kind == \"silk\" && total == 1",
            &[("kind", Input::Integer(5)), ("total", Input::Other("null"))],
            vec![
                "input_mistyped: kind: a string of at most 65,536 bytes {\"kind\":5}",
                "input_mistyped: total: an integer from −(2^53 − 1) to 2^53 − 1 {\"total\":null}",
            ],
        ),
        (
            "total == 1",
            &[("total", Input::Integer(1 << 53))],
            vec!["input_out_of_range: total: an integer from −(2^53 − 1) to 2^53 − 1 {\"total\":9007199254740992}"],
        ),
        ("total < 1", &[("total", Input::Integer(-(1 << 53) + 1))], vec![]),
        (
            "\"b\" in tags",
            &[("tags", Input::Strings(&many))],
            vec![concat!(
                "input_out_of_range: tags: a list of at most 1,024 strings {\"tags\":[\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",",
                "\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"… 1025 items\"]}"
            )],
        ),
        (
            "\"b\" in tags",
            &[("tags", Input::Strings(&twenty[..16]))],
            vec![&*format!("guard_failed: \"b\" in tags {{\"tags\":{sixteen}}}")],
        ),
        (
            "kind == \"\"",
            &[("kind", Input::String(&long))],
            vec![&*format!(
                "input_out_of_range: kind: a string of at most 65,536 bytes {{\"kind\":\"{}… (70000 bytes)\"}}",
                "x".repeat(128)
            )],
        ),
    ] {
        assert_eq!(faults(text, inputs), expected, "{text}");
    }
}

#[test]
fn guards_outside_the_subset() {
    let inputs: &[(&str, Input<'_>)] = &[
        ("total", Input::Integer(9_007_199_254_740_991)),
        ("count", Input::Integer(0)),
        ("kind", Input::String("äß")),
        ("tags", Input::Strings(&["a", "b"])),
        ("paid", Input::Bool(true)),
    ];
    for (text, answer) in [
        ("total + 1 > total", Ok(true)),
        ("total * total > 1", Err("guard_error")),
        ("total / count > 1", Err("guard_error")),
        ("total % count > 1", Err("guard_error")),
        ("count != 0 && total / count > 1", Ok(false)),
        ("count == 0 || total / count > 1", Ok(true)),
        ("(count - 7) / 2 == -3 && (count - 7) % 2 == -1", Ok(true)),
        ("kind.len() == 2", Ok(true)),
        ("tags.len() + 1 == 3", Ok(true)),
        ("kind.starts_with(\"ä\") && kind.ends_with(\"ß\") && kind.contains(\"\")", Ok(true)),
        ("min(total, count) == 0 && max(-3, count - 5) == -3 && abs(count - 5) == 5", Ok(true)),
        ("-total < 0 && paid && \"a\" in tags && kind in allowed == false", Ok(true)),
        ("(total - 1) in [1, 9007199254740990]", Ok(true)),
        ("paid != (kind.len() > 1)", Ok(false)),
        ("!(kind.len() == 2)", Ok(false)),
    ] {
        let guard = bound(text);
        assert!(guard.needs_rhai(), "{text}");
        let found = guard.evaluate(inputs).map_err(BlockerCode::as_str);
        assert_eq!(found, if cfg!(feature = "rhai") { answer } else { Err("guard_needs_rhai") }, "{text}");
        let faults = guard.examine(inputs);
        assert_eq!(
            faults.first().map(|fault| fault.code.as_str()),
            match found {
                Ok(true) => None,
                Ok(false) => Some("guard_failed"),
                Err(code) => Some(code),
            }
        );
    }
}

/// Neither our own recursion nor Rhai's needs more than a small thread has.
#[test]
fn the_deepest_guards_need_little_stack() {
    let around = |open: &str, inside: &str, close: &str, levels: usize| {
        format!("{}{inside}{}", open.repeat(levels), close.repeat(levels))
    };
    let guards = [
        format!("{} == count", around("min(", "count", ", 5)", MAX_DEPTH - 1)),
        format!("{} == count", around("- ", "count", "", MAX_DEPTH - 2)),
        format!("{} == count", around("(1 + ", "count", ")", MAX_DEPTH - 1)),
        format!("count{} == count", " + 1".repeat(MAX_DEPTH - 1)),
        format!("count.len() == 1 || {}", around("!(", "paid", ")", MAX_DEPTH / 2 - 1))
            .replace("count.len", "kind.len"),
        around("(paid && (kind.len() == 2 || ", "paid", "))", MAX_DEPTH / 2 - 1),
        format!("{} == paid", around("(paid == ", "(count + 1 == 1)", ")", MAX_DEPTH - 4)),
        vec!["count + 1 == 1"; 80].join(" && "),
    ];
    let inputs: &[(&str, Input<'_>)] =
        &[("count", Input::Integer(0)), ("paid", Input::Bool(true)), ("kind", Input::String("äß"))];
    let run = || {
        for text in &guards {
            let guard = bound(text);
            let answer = guard.evaluate(inputs);
            assert_eq!(answer.is_ok(), cfg!(feature = "rhai"), "{text}: {answer:?}");
            assert_eq!(guard.examine(inputs).is_empty(), answer == Ok(true), "{text}");
            assert!(good(&guard.text()).needs_rhai(), "{text}");
        }
    };
    std::thread::scope(|scope| {
        let small = std::thread::Builder::new().stack_size(512 << 10);
        small.spawn_scoped(scope, run).unwrap().join().unwrap();
    });
}

#[cfg(feature = "rhai")]
#[test]
fn what_takes_too_long_is_stopped() {
    let text = format!("kind.len() == 2{}", " || kind in allowed".repeat(20));
    let allowing = |items: &Value| bound_with(&text, "allowed", items);
    let long = allowing(&json!((0..1_024).map(|number| number.to_string()).collect::<Vec<_>>()));
    let short = allowing(&json!(["wool"]));
    let answer = |guard: &BoundGuard, kind| guard.evaluate(&[("kind", Input::String(kind))]);
    let longest = allowing(&json!(vec!["x".repeat(100); 1_024]));
    assert_eq!(answer(&long, "äß"), Ok(true));
    assert_eq!(answer(&long, "0"), Ok(true));
    assert_eq!(answer(&long, "linen"), Ok(false));
    assert_eq!(answer(&longest, "äß"), Err(BlockerCode::GuardBudgetExceeded));
    assert_eq!(longest.examine(&[("kind", Input::String("äß"))])[0].code, BlockerCode::GuardBudgetExceeded);
    assert_eq!(answer(&short, "linen"), Ok(false));
    // So is what is too large to hand over.
    let large = "x".repeat(65_536);
    let items = vec![large.as_str(); 5];
    let tags = bound("tags.len() > 1");
    assert_eq!(tags.evaluate(&[("tags", Input::Strings(&items))]), Err(BlockerCode::GuardBudgetExceeded));
    assert_eq!(tags.evaluate(&[("tags", Input::Strings(&items[..4]))]), Ok(true));
}

#[test]
fn truth_and_examples() {
    use Truth::{Always, Depends, Never};
    for (text, truth) in [
        ("paid", Depends),
        ("paid || !paid", Always),
        ("paid && !paid", Never),
        ("paid == !paid", Never),
        ("required", Always),
        ("!required", Never),
        ("total < 5 || total > 3", Always),
        ("total < 5 && total > 4", Never),
        ("total < 5 && total > 3", Depends),
        ("total <= 9007199254740991", Always),
        ("total > 9007199254740991", Never),
        ("total in [1, 2] && total != 1 && total != 2", Never),
        ("kind == \"a\" || kind != \"a\"", Always),
        ("kind < \"b\" || kind >= \"b\"", Always),
        ("kind < \"\"", Never),
        ("kind > \"a\" && kind < \"a\\x00\"", Never),
        ("kind > \"a\" && kind < \"b\"", Depends),
        ("kind > \"a\" && kind < \"a\\x01\"", Depends),
        ("kind in [\"a\", \"b\"] && kind > \"b\"", Never),
        ("\"a\" in tags && \"b\" !in tags", Depends),
        ("\"a\" in tags && \"a\" !in tags", Never),
        ("kind in tags", Depends),
        ("total <= count || total > count", Depends),
        ("paid || 1 / 0 == 1", Depends),
        ("total == total", Always),
        ("(total <= count) || above == above", Always),
        ("total < total && paid", Never),
        // A condition that is left out of account hides no others.
        ("kind.len() > 2 && total < 5 && total > 4", Never),
        ("total <= count && total < 5 && total > 4", Never),
        ("total + 1 < 9 && paid && (photo || paid) && !paid", Never),
        ("(paid && !paid && total < count) || (kind.len() > 2 && total < 5 && total > 4)", Never),
        ("(paid && !paid && total < count) || photo", Depends),
        ("paid == photo && paid != photo", Never),
        ("paid == (total < 5) && paid != (total < 5) && total <= count", Never),
        ("kind > \"x\" && kind < \"xa\"", Depends),
        ("(paid == photo) == (total < 5) && kind == \"x\" && !(count in [1, 2, 3])", Depends),
    ] {
        let guard = bound(text);
        assert_eq!(guard.truth(), truth, "{text}");
        for wanted in [true, false] {
            let example = guard.example(wanted);
            let possible = match truth {
                Always => wanted,
                Never => !wanted,
                // One among these cannot be false, which is not proven; one fails where it does not hold.
                Depends if text.contains('/') => wanted && cfg!(feature = "rhai"),
                Depends => wanted || text != "total <= count || total > count",
            };
            assert_eq!(example.is_some(), possible, "{text}: {wanted}");
        }
    }
    let example = |text: &str, wanted| serde_json::to_value(bound(text).example(wanted)).unwrap();
    assert_eq!(example("paid && total <= above", true), json!({ "paid": true, "total": 499 }));
    assert_eq!(example("paid && total <= above", false), json!({ "paid": true, "total": 501 }));
    assert_eq!(example("required", true), json!({}));
    assert_eq!(example("required", false), json!(null));
    assert_eq!(example("total >= 0", true), json!({ "total": 0 }));
    assert_eq!(example("kind < note && note < \"z\"", true), json!({ "kind": "", "note": "a" }));
    assert_eq!(example("\"a\" in tags || \"b\" in tags", true), json!({ "tags": ["a"] }));
    let all_but_d = ["a", "b", "c", "e", "f", "g"].map(|item| format!("\"{item}\" in tags")).join(" && ");
    let all_but_d = format!("{all_but_d} && \"d\" !in tags");
    assert_eq!(example(&all_but_d, true), json!({ "tags": ["a", "b", "c", "e", "f", "g"] }));
    if cfg!(feature = "rhai") {
        assert_eq!(example("total + 1 == 500", true), json!({ "total": 499 }));
        for (text, length) in [("tags.len() == 3", 3), ("tags.len() + 1 == 9", 8), ("tags.len() - 1 == 9", 10)] {
            assert_eq!(example(text, true), json!({ "tags": vec!["a"; length] }), "{text}");
        }
        assert!(bound("kind.len() > 2").example(false).is_some());
    }
}

/// What candidates cannot stand for is no proof, and neither is a search that was given up.
#[test]
fn what_is_not_proven_is_not_said() {
    // No text of the guard lies between two that lie between these.
    let text = "!(kind > \"a\" && kind < note && note < \"ab\")";
    assert_eq!(bound(text).truth(), Truth::Depends);
    assert_eq!(bound(text).example(false), None);

    // Whether an even number of inputs fails, and whether not: all of their values have to be tried to see that both cannot be.
    let parity = |group: usize, count: usize| {
        let names: Vec<String> = (0..count).map(|number| format!("g{group}_{number}")).collect();
        let types: Variables = names.iter().map(|name| (name.parse().unwrap(), VariableType::Bool)).collect();
        let even = names.join(" == ");
        let text = format!("({even}) && !({even})");
        compile(&text, &types, &Variables::new()).unwrap().bind(|_| None).unwrap()
    };
    // Behind the longest text there is no longer one that could be tried.
    let longest =
        |bytes: usize| bound_with("kind == wanted && kind != wanted", "wanted", &json!("x".repeat(bytes))).truth();
    assert_eq!((longest(65_535), longest(65_536)), (Truth::Never, Truth::Depends));

    assert_eq!(parity(0, 3).truth(), Truth::Never);
    assert_eq!(parity(0, 13).truth(), Truth::Depends);
    // Nor are many of them, of which each takes as much as one may.
    let many: Vec<BoundGuard> = (0..17).map(|group| parity(group, 13)).collect();
    assert!(!BoundGuard::never_hold_together(&many.iter().collect::<Vec<_>>()));
}

/// As many inputs as a guard may have are judged together; more are not, whatever they come to.
#[test]
fn so_many_inputs_are_judged_together() {
    let ring = |from: usize, to: usize, closed: bool| {
        let names: Vec<String> = (from..=to).map(|number| format!("i{number}")).collect();
        let types: Variables = names.iter().map(|name| (name.parse().unwrap(), VariableType::Bool)).collect();
        let mut text = names.windows(2).map(|pair| pair.join(" == ")).collect::<Vec<_>>().join(" && ");
        if closed {
            text += &format!(" && i{from} != i{to}");
        }
        compile(&text, &types, &Variables::new()).unwrap().bind(|_| None).unwrap()
    };
    assert_eq!(ring(1, MAX_INPUTS, true).truth(), Truth::Never);
    assert_eq!(ring(1, MAX_INPUTS, false).truth(), Truth::Depends);
    let (first, second, closing) = (ring(1, 30, false), ring(30, 50, false), bound("paid"));
    assert!(!BoundGuard::never_hold_together(&[&first, &second, &closing]));
}

#[test]
fn as_json() {
    let predicate =
        serde_json::to_value(good("!(kind in allowed) || total <= above && paid == true").predicate()).unwrap();
    assert_eq!(
        predicate,
        json!({ "or": [
            { "not": { "in": { "item": { "input": "kind" }, "list": { "setting": "allowed" } } } },
            { "and": [
                { "compare": { "operator": "<=", "left": { "input": "total" }, "right": { "setting": "above" } } },
                { "same": [{ "input": "paid" }, { "constant": true }] },
            ] },
        ] })
    );
}

#[test]
fn many_threads_may_share_a_guard() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&bound("paid"));
    shared(&good("paid"));
}

#[test]
fn mistakes_are_told_in_these_words() {
    let told = |text: &str| {
        let found = read(text).err().unwrap_or_default();
        found.iter().map(|one| format!("{}: {}; {}", one.at, one.message, one.hint)).collect::<Vec<_>>()
    };
    for (text, expected) in [
        ("count ===", "6: `===` is no operator; write `==`"),
        ("count === 1", "6: `===` is no operator; write `==`"),
        ("note !== \"a\"", "5: `!==` is no operator; write `!=`"),
        ("paid and photo", "5: `and` is no operator; write `&&`"),
        ("paid or photo", "5: `or` is no operator; write `||`"),
        (
            "paid if photo",
            "5: `if` is not allowed in a guard; a guard is one condition over inputs, settings and constants",
        ),
        ("paid photo", "5: `photo` is not expected here; join two values by an operator"),
        ("paid 5", "5: `5` is not expected here; join two values by an operator"),
        ("paid \"a\"", "5: a string is not expected here; join two values by an operator"),
        ("paid )", "5: `)` is not expected here; join two values by an operator"),
        ("(paid", "5: the expression ends too early; complete it, or close what is open"),
        ("count = 1", "6: `=` is not allowed in a guard; to compare, write `==`"),
        ("count += 1", "6: an assignment is not allowed in a guard; a guard is one condition"),
        ("paid; photo", "4: `;` is not allowed in a guard; a guard is one condition; join conditions with `&&`"),
        ("abs() == 1", "0: this function does not take 0 arguments here; write `abs(a)`"),
        ("abs(count, 1) == 1", "0: this function does not take 2 arguments here; write `abs(a)`"),
        ("min(count) == 1", "0: this function does not take 1 argument here; write `min(a, b)`"),
        ("note.len == 1", "4: the property `len` is not allowed in a guard; write `len()`"),
        (
            "note.contains",
            "4: the property `contains` is not allowed in a guard; write what is to be looked for behind it, in parentheses",
        ),
        ("مبلغ > 2", "0: `م` means nothing here; leave it out, or put text into double quotes"),
        ("x \u{202e}> 2", "2: `\\u{202e}` means nothing here; leave it out, or put text into double quotes"),
        ("len(note) == 1", "0: guards have no function `len`; write `text.len()`"),
        ("starts_with(note, \"a\")", "0: guards have no function `starts_with`; write `text.starts_with(part)`"),
        ("contains(note, \"a\")", "0: guards have no function `contains`; write `text.contains(part)`"),
        (
            "sum(note) == 1",
            "0: guards have no function `sum`; the functions are `min(a, b)`, `max(a, b)`, `abs(a)`, `text.len()`, `list.len()`, `text.contains(part)`, `text.starts_with(part)` and `text.ends_with(part)`",
        ),
        ("note.len(1) == 1", "5: this function does not take 1 argument here; write `text.len()`"),
        ("note.ends_with()", "5: this function does not take 0 arguments here; write `text.ends_with(part)`"),
        ("tags.contains(\"a\")", "5: `contains` looks inside a string; write `item in list`"),
        ("tags.starts_with(\"a\")", "5: `starts_with` looks inside a string, not a list; give it a string"),
        ("count.contains(\"a\")", "6: `contains` looks inside a string, not an integer; give it a string"),
        ("count.len() == 1", "6: an integer has no length; strings and lists have one"),
        (
            "count in [1, \"a\"]",
            "13: the list holds an item of another type than an integer; let all items have the type that is looked for",
        ),
        (
            "note in [1]",
            "9: the list holds an item of another type than a string; let all items have the type that is looked for",
        ),
        ("tags in [\"a\"]", "5: `in` does not look for a list; look for an integer or a string"),
        ("paid in [\"a\", 1]", "5: `in` does not look for a condition; look for an integer or a string"),
        (
            "total == 1.25e+10",
            "9: a number with a fraction or exponent is not allowed in a guard; count in a smaller unit: money in minor units, shares in permille",
        ),
        (
            "total == 1e-5 || paid",
            "9: a number with a fraction or exponent is not allowed in a guard; count in a smaller unit: money in minor units, shares in permille",
        ),
        (
            "total == 1_0.5_0E1_0",
            "9: a number with a fraction or exponent is not allowed in a guard; count in a smaller unit: money in minor units, shares in permille",
        ),
        (
            "total == 1.5",
            "9: a number with a fraction or exponent is not allowed in a guard; count in a smaller unit: money in minor units, shares in permille",
        ),
        ("total == 1x1", "10: `x1` is not expected here; join two values by an operator"),
        ("total == 0x0x1", "12: `x1` is not expected here; join two values by an operator"),
        ("total == 0x", "9: a number without digits; write its digits"),
        (
            "total == 9007199254740992",
            "9: a number beyond ±(2^53 − 1); not every language can hold it exactly; use a larger unit",
        ),
    ] {
        assert_eq!(told(text), [expected], "{text}");
    }
}

#[test]
fn what_settings_decide_is_known_beforehand() {
    let decided = ["required", "above > 501", "wanted == \"silk\" && \"wool\" in allowed", "paid", "paid && !required"];
    assert_eq!(decided.map(|text| bound(text).constant()), [Some(true), Some(false), Some(true), None, Some(false)]);
}

/// Texts and lists count for what they hold together; numbers do not, however many there are.
#[cfg(feature = "rhai")]
#[test]
fn what_rhai_is_given_is_counted_to_the_byte() {
    let guard = bound("note.len() > 0 && kind.len() >= 0 && tags.len() >= 0 && count * 2 > 1");
    let answer = |sizes: [usize; 2], items: &[&str]| {
        let [note, kind] = sizes.map(|size| "a".repeat(size));
        let (note, kind) = (Input::String(&note), Input::String(&kind));
        guard.evaluate(&[("note", note), ("kind", kind), ("tags", Input::Strings(items)), ("count", Input::Integer(7))])
    };
    let over = Err(BlockerCode::GuardBudgetExceeded);
    let tenth = &*"b".repeat(MAX_BYTES / 10);
    let most = MAX_BYTES - 8 * tenth.len();
    let (half, rest) = (most / 2, most - most / 2);
    assert_eq!(answer([half, rest], &[tenth; 8]), Ok(true));
    assert_eq!(answer([half + 1, rest], &[tenth; 8]), over);
    assert_eq!(answer([half, rest], &[tenth; 9]), over);
}

/// A text that is as long as Rhai is given is given to it; one byte more is not.
#[cfg(feature = "rhai")]
#[test]
fn the_text_for_rhai_is_counted_to_the_byte() {
    let filled = |last: usize| {
        let items = [60_000, 60_000, 60_000, 60_000, last].map(|bytes| "x".repeat(bytes));
        bound_with("note.len() == 1 || kind in allowed", "allowed", &json!(items))
    };
    let most = MAX_BYTES - filled(0).text().len();
    for (last, answer) in [(most, Ok(true)), (most + 1, Err(BlockerCode::GuardBudgetExceeded))] {
        let guard = filled(last);
        assert_eq!(guard.is_over_budget(), answer.is_err());
        let inputs = [("kind", Input::String("silk")), ("note", Input::String("a"))];
        assert_eq!(guard.evaluate(&inputs), answer, "{last}");
    }
}

/// The limits of Rhai are a second line of defence: no guard that passes the build comes to them.
#[cfg(feature = "rhai")]
#[test]
fn limits_of_rhai_are_no_errors_of_the_guard() {
    use rhai::{EvalAltResult, Position};
    let none = Position::NONE;
    for limit in [
        EvalAltResult::ErrorTooManyOperations(none),
        EvalAltResult::ErrorDataTooLarge(String::new(), none),
        EvalAltResult::ErrorStackOverflow(none),
        EvalAltResult::ErrorTooManyVariables(none),
    ] {
        assert_eq!(super::script::code(&limit), BlockerCode::GuardBudgetExceeded, "{limit}");
    }
    assert_eq!(super::script::code(&EvalAltResult::ErrorTooManyModules(none)), BlockerCode::GuardError);
}

/// The longest guards that there may be, with the deepest part at their end.
#[cfg(feature = "rhai")]
#[test]
fn rhai_reads_the_longest_and_deepest_guards() {
    let levels = MAX_DEPTH - 2;
    let least = |levels: usize| format!("{}count{}", "min(".repeat(levels), ", 5)".repeat(levels));
    for deepest in [format!("{} == count", least(levels)), format!("!({} != count)", least(levels - 1))] {
        let longer = (0..MAX_OPERATIONS).rev().map(|parts| format!("{}{deepest}", "paid && ".repeat(parts)));
        let longest = longer.into_iter().find(|text| read(text).is_ok()).unwrap();
        let guard = bound(&longest);
        assert!(guard.needs_rhai());
        let inputs = [("count", Input::Integer(0)), ("paid", Input::Bool(true))];
        assert_eq!(guard.evaluate(&inputs), Ok(true), "{longest}");
    }
}

#[test]
fn a_division_that_cannot_be_done_never_holds() {
    for text in [
        "count / 0 > 1",
        "count % 0 == 1",
        "paid && total / 0 > 1",
        "count / 0 > 1 || count % 0 > 1",
        "paid && count / 0 > 1 || count % 0 > 1",
    ] {
        assert!(bound(text).formula().never_holds(), "{text}");
    }
    for text in ["count * 0 > 1", "count - 0 > 1", "paid || count / 0 > 1", "0 / count > 1"] {
        assert!(!bound(text).formula().never_holds(), "{text}");
    }
}
