//! All mutants of a file in one text: each is a branch, taken where its number is the active one.
//!
//! What is woven into `a < b` for two mutants is `(if on(1) { a == b } else if on(2) { a > b } else { a < b })`; in the last
//! branch, and only there, stand the mutants of `a` and of `b`. A branch is marked by comments with its number, so that what
//! the compiler refuses is known for the mutant's.

use std::fmt::Write as _;
use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::list::{Genre, Mutant, Position};
use crate::Result;

/// Asked in every branch; [`RUNTIME`] answers.
const ON: &str = "crate::mutation::on";

/// The module that a mutated crate gets: which mutant is active, and which ones a test comes upon.
pub(super) const RUNTIME: &str = include_str!("runtime.rs.txt");

/// A file with its mutants in it.
pub(super) struct Woven {
    pub(super) text: String,
    /// Those that no compiler would take.
    pub(super) unviable: Vec<u32>,
    /// Those that cannot be in one build with others.
    pub(super) left_out: Vec<u32>,
}

/// Weaves mutants into the file that they were listed for.
pub(super) fn weave(source: &str, mutants: &[&Mutant]) -> Result<Woven> {
    let file = syn::parse_file(source)?;
    let lines = line_starts(source);
    let wanted = mutants.iter().map(|mutant| Wanted {
        mutant,
        start: offset(source, &lines, mutant.span.start),
        end: offset(source, &lines, mutant.span.end),
        placed: false,
    });
    let mut weaver = Weaver { source, wanted: wanted.collect(), edits: Vec::new(), unviable: Vec::new() };
    weaver.visit_file(&file);
    // Whatever holds another comes before it; of equal ranges the outer one was met first, and stays so.
    weaver.edits.sort_by_key(|edit| (edit.range.start, !edit.range.is_empty(), std::cmp::Reverse(edit.range.end)));
    let text = weaver.render(0..source.len(), 0);
    let left_out = weaver.wanted.iter().filter(|wanted| !wanted.placed).map(|wanted| wanted.mutant.number).collect();
    Ok(Woven { text, unviable: weaver.unviable, left_out })
}

struct Wanted<'a> {
    mutant: &'a Mutant,
    start: usize,
    end: usize,
    placed: bool,
}

/// A place of the source, and what stands there instead. A place that is empty is an insertion.
struct Edit {
    range: Range<usize>,
    what: What,
}

enum What {
    /// An expression: what each mutant has in its stead.
    Expression(Vec<(u32, String)>),
    /// At the beginning of a body: what each mutant returns.
    Body(Vec<(u32, String)>),
    /// Behind the pattern of an arm without a guard, whose arm a mutant deletes.
    NoGuard(u32),
    /// The guard of an arm, whose arm mutants delete, always take and never take.
    Guard { deleted: Option<u32>, always: Option<u32>, never: Option<u32>, binds: bool },
}

struct Weaver<'a> {
    source: &'a str,
    wanted: Vec<Wanted<'a>>,
    edits: Vec<Edit>,
    unviable: Vec<u32>,
}

impl Weaver<'_> {
    /// Takes the mutants of a genre at a place.
    fn take(&mut self, genre: Genre, is_there: impl Fn(&Wanted<'_>) -> bool) -> Vec<(u32, String)> {
        let mut taken = Vec::new();
        for wanted in &mut self.wanted {
            if !wanted.placed && wanted.mutant.genre == genre && is_there(wanted) {
                wanted.placed = true;
                taken.push((wanted.mutant.number, wanted.mutant.replacement.clone()));
            }
        }
        taken
    }

    /// Takes what no compiler would take.
    fn refuse(&mut self, genre: Genre, is_there: impl Fn(&Wanted<'_>) -> bool) {
        let taken = self.take(genre, is_there);
        self.unviable.extend(taken.into_iter().map(|(number, _)| number));
    }

    fn text(&self, range: Range<usize>) -> &str {
        self.source.get(range).unwrap_or_default()
    }

    fn expression(&mut self, range: Range<usize>, mutants: Vec<(u32, String)>) {
        if !mutants.is_empty() {
            self.edits.push(Edit { range, what: What::Expression(mutants) });
        }
    }

    /// For a function whose inside was visited: a function within it has taken its own.
    fn body(&mut self, signature: &syn::Signature, block: &syn::Block) {
        // A type without a name is that of the body: a branch has none but its own. And what runs in the compiler reads no
        // environment.
        let unnamed = self.text(signature.output.span().byte_range()).contains("impl ");
        if unnamed || signature.constness.is_some() {
            return;
        }
        let braces = block.span().byte_range();
        let mutants = self.take(Genre::FnValue, |wanted| braces.start < wanted.start && wanted.end <= braces.end);
        if !mutants.is_empty() {
            self.edits.push(Edit { range: braces.start + 1..braces.start + 1, what: What::Body(mutants) });
        }
    }

    /// The source of a range, with those edits in it that come not before `from`.
    fn render(&self, range: Range<usize>, from: usize) -> String {
        let mut text = String::new();
        let mut at = range.start;
        let first = self.edits.partition_point(|edit| edit.range.start < range.start).max(from);
        for (index, edit) in self.edits.iter().enumerate().skip(first) {
            if edit.range.start > range.end {
                break;
            }
            if edit.range.start < at || edit.range.end > range.end {
                continue;
            }
            text.push_str(self.text(at..edit.range.start));
            at = edit.range.end;
            self.render_edit(index, edit, &mut text);
        }
        text.push_str(self.text(at..range.end));
        text
    }

    fn render_edit(&self, index: usize, edit: &Edit, text: &mut String) {
        let on = |number: u32| format!("/*<{number}*/{ON}({number})/*{number}>*/");
        // Writing to a string cannot fail.
        match &edit.what {
            What::Expression(mutants) => {
                text.push('(');
                for (number, instead) in mutants {
                    let _ = write!(text, "if /*<{number}*/{ON}({number}) {{ {instead} }}/*{number}>*/ else ");
                }
                let _ = write!(text, "{{ {} }})", self.render(edit.range.clone(), index + 1));
            }
            What::Body(mutants) => {
                for (number, value) in mutants {
                    let _ = write!(text, " /*<{number}*/if {ON}({number}) {{ return {value}; }}/*{number}>*/ ");
                }
            }
            What::NoGuard(number) => {
                let _ = write!(text, " if !{}", on(*number));
            }
            What::Guard { deleted, always, never, binds } => {
                if let Some(number) = deleted {
                    let _ = write!(text, "!{} && ", on(*number));
                }
                let guard = self.render(edit.range.clone(), index + 1);
                if *binds {
                    // What it binds has to stay bound: it cannot stand within another expression.
                    text.push_str(&guard);
                    return;
                }
                let always = always.map(|number| format!("{} || ", on(number))).unwrap_or_default();
                let never = never.map(|number| format!("!{} && ", on(number))).unwrap_or_default();
                let _ = write!(text, "({always}({never}({guard})))");
            }
        }
    }
}

impl<'ast> Visit<'ast> for Weaver<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        visit::visit_item_fn(self, function);
        self.body(&function.sig, &function.block);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        visit::visit_impl_item_fn(self, function);
        self.body(&function.sig, &function.block);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        visit::visit_trait_item_fn(self, function);
        if let Some(block) = &function.default {
            self.body(&function.sig, block);
        }
    }

    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        let [left, op, right] =
            [binary.left.span(), binary.op.span(), binary.right.span()].map(|span| span.byte_range());
        if matches!(binary.op, syn::BinOp::And(_)) && (binds(&binary.left) || binds(&binary.right)) {
            // `||` and a pattern do not go together.
            self.refuse(Genre::BinaryOperator, |wanted| wanted.start == op.start);
        }
        let mutants = self.take(Genre::BinaryOperator, |wanted| wanted.start == op.start);
        let between = |(number, operator): (u32, String)| {
            (number, format!("{} {operator} {}", self.text(left.clone()), self.text(right.clone())))
        };
        let mutants = mutants.into_iter().map(between).collect();
        self.expression(left.start..right.end, mutants);
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_unary(&mut self, unary: &'ast syn::ExprUnary) {
        let [op, operand] = [unary.op.span(), unary.expr.span()].map(|span| span.byte_range());
        let mutants = self.take(Genre::UnaryOperator, |wanted| wanted.start == op.start);
        let mutants = mutants.into_iter().map(|(number, _)| (number, self.text(operand.clone()).to_owned())).collect();
        self.expression(op.start..operand.end, mutants);
        visit::visit_expr_unary(self, unary);
    }

    fn visit_expr_struct(&mut self, expression: &'ast syn::ExprStruct) {
        let range = expression.span().byte_range();
        let mut mutants = Vec::new();
        for field in expression.fields.pairs() {
            let place = field.span().byte_range();
            for (number, _) in self.take(Genre::StructField, |wanted| wanted.start == place.start) {
                let without = format!("{}{}", self.text(range.start..place.start), self.text(place.end..range.end));
                mutants.push((number, without));
            }
        }
        self.expression(range, mutants);
        visit::visit_expr_struct(self, expression);
    }

    fn visit_expr_match(&mut self, expression: &'ast syn::ExprMatch) {
        let catches_all = |arm: &syn::Arm| arm.guard.is_none() && matches!(arm.pat, syn::Pat::Wild(_));
        let open = expression.arms.iter().any(catches_all);
        for arm in &expression.arms {
            self.arm(arm, open);
        }
        visit::visit_expr_match(self, expression);
    }
}

impl Weaver<'_> {
    /// An arm of a match; `open` where another one takes whatever this one leaves.
    fn arm(&mut self, arm: &syn::Arm, open: bool) {
        let one = |taken: Vec<(u32, String)>| taken.first().map(|(number, _)| *number);
        let start = arm.span().byte_range().start;
        if !open {
            self.refuse(Genre::MatchArm, |wanted| wanted.start == start);
        }
        let deleted = one(self.take(Genre::MatchArm, |wanted| wanted.start == start));
        if let Some((_, guard)) = &arm.guard {
            let range = guard.span().byte_range();
            let binds = binds(guard);
            if binds {
                self.refuse(Genre::MatchArmGuard, |wanted| wanted.start == range.start);
            }
            let mut of = |value: &str| {
                one(self.take(Genre::MatchArmGuard, |wanted| {
                    wanted.start == range.start && wanted.mutant.replacement == value
                }))
            };
            let (always, never) = (of("true"), of("false"));
            if deleted.or(always).or(never).is_some() {
                self.edits.push(Edit { range, what: What::Guard { deleted, always, never, binds } });
            }
        } else if let Some(number) = deleted {
            let end = arm.pat.span().byte_range().end;
            self.edits.push(Edit { range: end..end, what: What::NoGuard(number) });
        }
    }
}

/// Whether a condition binds names by patterns (`if let`).
fn binds(condition: &syn::Expr) -> bool {
    match condition {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) => binds(&binary.left) || binds(&binary.right),
        _ => false,
    }
}

fn line_starts(source: &str) -> Vec<usize> {
    std::iter::once(0).chain(source.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

/// The byte of a position, whose line and column, in characters, count from one.
fn offset(source: &str, lines: &[usize], position: Position) -> usize {
    let start = lines.get(position.line - 1).copied().unwrap_or(source.len());
    let line = source.get(start..).unwrap_or_default();
    start + line.chars().take(position.column - 1).map(char::len_utf8).sum::<usize>()
}

/// The mutant in whose branch a byte of a woven text is: the innermost one.
pub(super) fn mark_around(text: &str, at: usize) -> Option<u32> {
    let mut open = Vec::new();
    let mut rest = 0;
    while let Some(found) = text.get(rest..at)?.find("/*<").map(|found| rest + found) {
        let (number, after) = marked(text, found + 3)?;
        open.push((number, after));
        rest = found + 3;
    }
    open.into_iter()
        .rev()
        .find(|(number, after)| {
            text.get(*after..).and_then(|tail| tail.find(&format!("/*{number}>*/"))).is_some_and(|end| after + end > at)
        })
        .map(|(number, _)| number)
}

/// The number of a mark, and where it ends.
fn marked(text: &str, start: usize) -> Option<(u32, usize)> {
    let digits = text.get(start..)?.split('*').next()?;
    Some((digits.parse().ok()?, start + digits.len() + 2))
}

#[cfg(test)]
mod tests {
    use super::super::list::Span;
    use super::*;

    /// A mutant of the text between two others, which occur once.
    fn mutant(number: u32, genre: Genre, source: &str, at: &str, replacement: &str) -> Mutant {
        let start = source.find(at).unwrap();
        let position = |byte: usize| {
            let before = &source[..byte];
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
            Position { line, column }
        };
        let [start, end] = [start, start + at.len()].map(position);
        Mutant {
            number,
            name: String::new(),
            file: String::new(),
            genre,
            replacement: replacement.into(),
            span: Span { start, end },
        }
    }

    fn woven(source: &str, mutants: &[(Genre, &str, &str)]) -> Woven {
        let mutants: Vec<Mutant> = (1..)
            .zip(mutants)
            .map(|(number, (genre, at, replacement))| mutant(number, *genre, source, at, replacement))
            .collect();
        let woven = weave(source, &mutants.iter().collect::<Vec<_>>()).unwrap();
        syn::parse_file(&woven.text).unwrap();
        woven
    }

    /// Without marks, and with a short name of what is asked.
    fn short(text: &str) -> String {
        let mut short = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("/*") {
            short.push_str(before);
            rest = after.split_once("*/").unwrap().1;
        }
        (short + rest).replace(ON, "on")
    }

    #[test]
    fn an_operator_within_an_operand_is_woven_into_the_last_branch_alone() {
        let source = "fn f() -> bool { \"é\".len() + 1 < 2 }";
        let found = woven(
            source,
            &[(Genre::BinaryOperator, "<", "=="), (Genre::BinaryOperator, "<", ">"), (Genre::BinaryOperator, "+", "-")],
        );
        let sum = "(if on(3) { \"é\".len() - 1 } else { \"é\".len() + 1 })";
        let expected = format!(
            "fn f() -> bool {{ (if on(1) {{ \"é\".len() + 1 == 2 }} else if on(2) {{ \"é\".len() + 1 > 2 }} \
             else {{ {sum} < 2 }}) }}"
        );
        assert_eq!(short(&found.text), expected);
        assert!(found.left_out.is_empty() && found.unviable.is_empty());
    }

    #[test]
    fn a_body_begins_with_what_its_mutants_return() {
        let source =
            "impl S { fn f() -> bool { !g() } fn h() -> impl Iterator<Item = u8> { i() } const fn j() { k() } }";
        let found = woven(
            source,
            &[
                (Genre::FnValue, "!g()", "true"),
                (Genre::UnaryOperator, "!", ""),
                (Genre::FnValue, "i()", "::std::iter::empty()"),
                (Genre::FnValue, "k()", "()"),
            ],
        );
        assert!(
            short(&found.text)
                .contains("fn f() -> bool { if on(1) { return true; }  (if on(2) { g() } else { !g() }) }"),
            "{}",
            found.text
        );
        assert_eq!(found.left_out, [3, 4]);
    }

    #[test]
    fn an_arm_is_passed_by_and_its_guard_is_overruled() {
        let source = "fn f(x: u8) -> u8 { match x { 1 => 1, y if y < 2 => 2, _ => 3 } }";
        let found = woven(
            source,
            &[
                (Genre::MatchArm, "1 => 1,", ""),
                (Genre::MatchArm, "y if y < 2 => 2,", ""),
                (Genre::MatchArmGuard, "y < 2", "true"),
                (Genre::MatchArmGuard, "y < 2", "false"),
                (Genre::BinaryOperator, "<", "=="),
            ],
        );
        let expected = "fn f(x: u8) -> u8 { match x { 1 if !on(1) => 1, y if !on(2) && (on(3) || \
                        (!on(4) && ((if on(5) { y == 2 } else { y < 2 })))) => 2, _ => 3 } }";
        assert_eq!(short(&found.text), expected);
    }

    #[test]
    fn what_no_compiler_takes_is_not_woven() {
        let source = "fn f(x: Option<u8>) { if let Some(y) = x && y > 2 { } match x { None => 1, Some(_) => 2 } }";
        let found = woven(source, &[(Genre::BinaryOperator, "&&", "||"), (Genre::MatchArm, "None => 1,", "")]);
        assert_eq!(found.text, source);
        assert_eq!(found.unviable, [1, 2]);
    }

    #[test]
    fn a_field_is_left_to_the_rest_and_other_fields_keep_their_mutants() {
        let source = "fn f() -> S { S { a: 1 + 2, b: 3, ..g() } }";
        let found = woven(source, &[(Genre::StructField, "b: 3,", ""), (Genre::BinaryOperator, "+", "*")]);
        let expected = "fn f() -> S { (if on(1) { S { a: 1 + 2,  ..g() } } else { S { a: (if on(2) { 1 * 2 } \
                        else { 1 + 2 }), b: 3, ..g() } }) }";
        assert_eq!(short(&found.text), expected);
    }

    #[test]
    fn an_error_is_blamed_on_the_innermost_mutant() {
        let source = "fn f() -> bool { 1 < 2 }";
        let found =
            woven(source, &[(Genre::FnValue, "1 < 2", "Default::default()"), (Genre::BinaryOperator, "<", "==")]);
        let at = |what: &str| mark_around(&found.text, found.text.find(what).unwrap());
        assert_eq!(at("Default"), Some(1));
        assert_eq!(at("1 == 2"), Some(2));
        assert_eq!(at("1 < 2"), None);
        assert_eq!(at("fn f"), None);
    }
}
