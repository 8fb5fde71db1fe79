#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod formats;
mod layout;
mod snapshots;

use super::{Diagram, Direction, DrawnStage, DrawnTransition, Mark};

fn stage(order: i64, id: &str, label: &str) -> DrawnStage {
    DrawnStage { order, id: id.into(), label: label.into(), ..DrawnStage::default() }
}

fn transition(id: &str, from: &str, to: &str, label: &str) -> DrawnTransition {
    DrawnTransition {
        id: id.into(),
        from: from.into(),
        to: to.into(),
        label: label.into(),
        ..DrawnTransition::default()
    }
}

fn words(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// The laundry's order, in English or Arabic.
fn laundry(direction: Direction) -> Diagram {
    let say = |english: &'static str, arabic: &'static str| match direction {
        Direction::LeftToRight => english,
        Direction::RightToLeft => arabic,
    };
    let names = [
        ("intake", say("Intake", "استلام")),
        ("preparation", say("Preparation", "التحضير")),
        ("processing", say("Processing", "المعالجة")),
        ("assembly", say("Assembly", "التجميع")),
        ("quality", say("Quality check", "فحص الجودة")),
        ("packing", say("Packing", "التغليف")),
        ("ready", say("Ready", "جاهز")),
        ("delivery", say("Out for delivery", "قيد التوصيل")),
        ("closed", say("Closed", "مغلق")),
        ("cancelled", say("Cancelled", "ملغى")),
    ];
    let mut stages: Vec<DrawnStage> = (1..).zip(names).map(|(order, (id, label))| stage(order, id, label)).collect();
    for stage in &mut stages {
        stage.initial = stage.id == "intake";
        stage.is_final = stage.id == "closed" || stage.id == "cancelled";
    }
    type Move = (&'static str, &'static str, &'static str, &'static str, &'static [&'static str], &'static str);
    let moves: [Move; 11] = [
        ("prepare", "intake", "preparation", say("prepare", "تحضير"), &[], ""),
        ("process", "preparation", "processing", say("start", "بدء"), &["requires_scan_ok"], ""),
        ("assemble", "processing", "assembly", say("assemble", "تجميع"), &[], ""),
        ("inspect", "assembly", "quality", say("inspect", "فحص"), &["requires_scan_ok"], "inspector"),
        ("pass", "quality", "packing", say("pass", "قبول"), &[], "inspector"),
        ("rework", "quality", "processing", say("rework", "إعادة العمل"), &[], "inspector"),
        ("shelve", "packing", "ready", say("shelve", "وضع على الرف"), &["requires_scan_ok"], ""),
        ("dispatch", "ready", "delivery", say("dispatch", "إرسال"), &["requires_invoice"], "driver"),
        ("collect", "ready", "closed", say("collect", "استلام"), &["requires_invoice", "requires_pod"], "cashier"),
        ("deliver", "delivery", "closed", say("deliver", "تسليم"), &["requires_pod"], "driver"),
        ("failed", "delivery", "ready", say("delivery failed", "تعذر التوصيل"), &[], "driver"),
    ];
    let mut transitions: Vec<DrawnTransition> = moves
        .into_iter()
        .map(|(id, from, to, label, guards, role)| DrawnTransition {
            guards: words(guards),
            role: Some(role.to_owned()),
            ..transition(id, from, to, label)
        })
        .collect();
    for from in ["intake", "preparation", "processing", "assembly", "quality", "packing", "ready"] {
        transitions.push(DrawnTransition {
            guards: words(&["requires_manager_approval"]),
            role: Some("manager".to_owned()),
            ..transition(&format!("cancel_{from}"), from, "cancelled", say("cancel", "إلغاء"))
        });
    }
    Diagram {
        title: say("Laundry order", "طلب غسيل").to_owned(),
        stages,
        transitions,
        current: Some("packing".to_owned()),
        direction,
    }
}

/// Two versions of the laundry's order, with every mark.
fn laundry_difference() -> Diagram {
    let mut diagram = laundry(Direction::LeftToRight);
    diagram.title = "Laundry order: version 2 → 3".to_owned();
    diagram.current = None;
    diagram.stages.push(DrawnStage { mark: Mark::Removed, ..stage(4, "drying", "Drying") });
    for (id, from, to) in [("dry", "processing", "drying"), ("dried", "drying", "quality")] {
        diagram.transitions.push(DrawnTransition { mark: Mark::Removed, ..transition(id, from, to, id) });
    }
    for stage in &mut diagram.stages {
        match stage.id.as_str() {
            "assembly" => stage.mark = Mark::Added,
            "packing" => stage.mark = Mark::Changed,
            _ => {}
        }
    }
    for transition in &mut diagram.transitions {
        match transition.id.as_str() {
            "assemble" | "inspect" | "failed" => transition.mark = Mark::Added,
            "dispatch" => transition.mark = Mark::Changed,
            "cancel_ready" => transition.mark = Mark::Removed,
            _ => {}
        }
    }
    diagram
}

/// Texts that break out of something somewhere.
const HOSTILE: [&str; 22] = [
    "",
    " ",
    "end",
    "state",
    "[*]",
    "a --> b",
    "]]>",
    "<script>alert(1)</script>",
    "</text><rect/>",
    "\"quoted\" and 'single'",
    "back\\slash\\",
    "\\",
    "\\\"",
    "&amp; &#34; #34; #quot;",
    "line\nbreak\r\nand\ttab",
    "nul\0bell\u{7}escape\u{1b}",
    "\u{202E}reversed\u{2066}isolated",
    "%%{init: {\"theme\": \"dark\"}}%% %% comment",
    "style x:#y; classDef a fill:#fff;",
    "\u{FFFE}\u{FFFF}\u{FEFF}",
    "洗濯物 👩‍🔧 مرحبا שלום",
    "---\ntitle: other\n---",
];

fn hostile() -> Diagram {
    let long = "word ".repeat(100);
    let solid = "x".repeat(500);
    let texts: Vec<&str> = HOSTILE.into_iter().chain([long.as_str(), solid.as_str()]).collect();
    let id = |index: usize| format!("{}{}", texts.get(index % texts.len()).unwrap(), index / 10);
    let mut diagram = Diagram { title: texts.concat(), current: Some(id(3)), ..Diagram::default() };
    for (index, text) in texts.iter().enumerate() {
        diagram.stages.push(DrawnStage {
            initial: index % 9 == 0,
            is_final: index % 7 == 0,
            ..stage(0, &id(index), text)
        });
        diagram.transitions.push(DrawnTransition {
            guards: words(&texts),
            role: Some((*text).to_owned()),
            mark: if index % 2 == 0 { Mark::Same } else { Mark::Removed },
            ..transition(text, &id(index), &id(index * 5 + 1), text)
        });
    }
    diagram.transitions.push(transition("stub", "no\"where", "</g>", "--"));
    diagram
}

/// More than is drawn: twenty stages, what leads from them, and one transition that leads to the first of them.
fn large() -> Diagram {
    let mut diagram = Diagram::default();
    for index in 0..320 {
        diagram.stages.push(stage(index, &format!("s{index}"), ""));
        let to = format!("s{}", index % 7);
        diagram.transitions.push(transition(&format!("t{index}"), &format!("s{index}"), &to, "x"));
    }
    diagram.transitions.push(DrawnTransition { mark: Mark::Added, ..transition("over", "s1", "s300", "x") });
    diagram.transitions.push(DrawnTransition { mark: Mark::Added, ..transition("next", "s1", "s299", "x") });
    diagram
}

/// A small generator, so that a seed always gives the same diagram.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// Any diagram: a spine or none, jumps forward and back, loops, parallel transitions, stubs, parts that hang apart.
fn random(seed: u64, most_stages: usize) -> Diagram {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEE_CE66);
    let stages = 1 + random.below(most_stages);
    let transitions = random.below(stages * 2 + 2);
    let has_spine = random.below(3) > 0;
    let mark = |random: &mut Random| match random.below(12) {
        0 => Mark::Added,
        1 => Mark::Removed,
        2 => Mark::Changed,
        _ => Mark::Same,
    };
    let names = ["Intake", "Quality check", "Waiting for the customer's approval", "Ready", "استلام", "検品"];
    let events = ["next", "cancel", "return_to_the_previous_stage", "pay", "إلغاء"];
    let mut diagram = Diagram { title: format!("Seed {seed}"), ..Diagram::default() };
    if random.below(2) == 0 {
        diagram.direction = Direction::RightToLeft;
    }
    for index in 0..stages {
        let name = names.get(random.below(names.len())).unwrap();
        diagram.stages.push(DrawnStage {
            initial: index == 0 || random.below(30) == 0,
            is_final: random.below(9) == 0,
            mark: mark(&mut random),
            ..stage(i64::try_from(index).unwrap(), &format!("s{index}"), &format!("{name} {index}"))
        });
    }
    for index in 0..transitions {
        let (from, to) = match random.below(10) {
            _ if has_spine && index + 1 < stages => (index, index + 1),
            0 => (random.below(stages), stages + random.below(2)),
            1 => {
                let stage = random.below(stages);
                (stage, stage)
            }
            2..5 => (random.below(stages), random.below(stages)),
            5 => (random.below(stages), stages - 1),
            _ => {
                let from = random.below(stages);
                (from, (from + 1 + random.below(4)).min(stages - 1))
            }
        };
        let guards = ["requires_invoice", "requires_pod", "requires_manager_approval"];
        diagram.transitions.push(DrawnTransition {
            guards: words(guards.get(..random.below(6).saturating_sub(2)).unwrap_or_default()),
            role: (random.below(4) == 0).then(|| "manager".to_owned()),
            mark: mark(&mut random),
            ..transition(
                &format!("t{index}"),
                &format!("s{from}"),
                &format!("s{to}"),
                events.get(random.below(events.len())).unwrap(),
            )
        });
    }
    diagram.current = Some(format!("s{}", random.below(stages)));
    diagram
}

/// The same diagram with its vectors in another order.
fn shuffled(diagram: &Diagram, seed: u64) -> Diagram {
    let mut random = Random(seed);
    let mut diagram = diagram.clone();
    for index in (1..diagram.stages.len()).rev() {
        diagram.stages.swap(index, random.below(index + 1));
    }
    for index in (1..diagram.transitions.len()).rev() {
        diagram.transitions.swap(index, random.below(index + 1));
    }
    diagram
}
