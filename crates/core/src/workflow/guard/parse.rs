//! Tokens into an expression, by Rhai's grammar and precedences.
//!
//! What is of Rhai but not of guards is noted and passed over where the rest can still be read, so that one mistake does
//! not hide the next. The depth of nesting is checked before it is entered: nothing here or later goes deeper.

use super::mistake::{GuardMistake, mistake, not_allowed, syntax};
use super::token::{Lexer, Token};
use super::{MAX_DEPTH, MAX_OPERATIONS};
use crate::model::DiagnosticCode;

/// An expression as it was written, types not looked at.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expression<'t> {
    /// Where it begins; for operators, where the operator stands.
    pub(super) at: usize,
    /// How deep it is nested. A chain of `&&` or of `||` counts once.
    height: usize,
    pub(super) form: Form<'t>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Form<'t> {
    Bool(bool),
    Integer(i64),
    String(Box<str>),
    List(Vec<Expression<'t>>),
    Name(&'t str),
    /// `!`
    Not(Box<Expression<'t>>),
    /// `-`, of anything but a number.
    Negative(Box<Expression<'t>>),
    /// Parts joined by `&&`, or by `||`.
    And(Vec<Expression<'t>>),
    Or(Vec<Expression<'t>>),
    /// Any other operator, by its symbol.
    Binary(&'static str, Box<[Expression<'t>; 2]>),
    Call(&'t str, Vec<Expression<'t>>),
    /// A function written behind what it is about.
    Method(&'t str, Box<Expression<'t>>, Vec<Expression<'t>>),
    /// Something that guards do not have. It has been noted; what is inside is still checked.
    Refused(Vec<Expression<'t>>),
}

/// Words that mean something to Rhai, so that nothing may be named by them.
pub(super) const WORDS: [&str; 66] = [
    "Fn",
    "as",
    "async",
    "await",
    "break",
    "call",
    "case",
    "catch",
    "const",
    "continue",
    "curry",
    "debug",
    "default",
    "do",
    "else",
    "eval",
    "exit",
    "export",
    "false",
    "fn",
    "for",
    "global",
    "go",
    "goto",
    "if",
    "import",
    "in",
    "is",
    "is_def_fn",
    "is_def_var",
    "is_shared",
    "let",
    "loop",
    "match",
    "module",
    "new",
    "nil",
    "null",
    "package",
    "print",
    "private",
    "protected",
    "public",
    "return",
    "shared",
    "spawn",
    "static",
    "super",
    "switch",
    "sync",
    "this",
    "thread",
    "throw",
    "true",
    "try",
    "type_of",
    "until",
    "use",
    "var",
    "void",
    "while",
    "with",
    "yield",
    "and",
    "or",
    "not",
];

/// How strongly an operator binds, and whether guards have it; nothing for what is no operator.
fn operator(token: &Token<'_>) -> Option<(&'static str, u8)> {
    let symbol = match token {
        Token::Symbol(symbol) => *symbol,
        Token::Word("in") => "in",
        _ => return None,
    };
    let precedence = match symbol {
        "||" | "|" | "^" => 30,
        "&&" | "&" => 60,
        "==" | "!=" => 90,
        "in" | "!in" => 110,
        "<" | "<=" | ">" | ">=" => 130,
        "??" => 135,
        ".." | "..=" => 140,
        "+" | "-" => 150,
        "*" | "/" | "%" => 180,
        "**" => 190,
        "<<" | ">>" => 210,
        _ => return None,
    };
    Some((symbol, precedence))
}

/// What to write instead of an operator that guards do not have.
fn instead(symbol: &str) -> Option<&'static str> {
    match symbol {
        "|" => Some("write `||`"),
        "&" => Some("write `&&`"),
        "^" => Some("write `!=` between the two conditions"),
        "??" => Some("every declared input is there when a guard is answered"),
        ".." | "..=" => Some("compare with both ends: `x >= 1 && x <= 9`"),
        "**" | "<<" | ">>" => Some("write the number itself"),
        _ => None,
    }
}

/// Reads the text of a guard. Nothing where it cannot be read to its end; the mistakes say why.
pub(super) fn parse(text: &str) -> (Option<Expression<'_>>, Vec<GuardMistake>) {
    let lexer = Lexer::new(text);
    let mut parser = Parser { lexer, token: Token::End, at: 0, found: Vec::new(), depth: 0, operations: 0 };
    let read = parser.whole();
    let mut found = parser.found;
    found.append(&mut parser.lexer.found);
    let expression = read.map_err(|fatal| found.push(fatal)).ok();
    (expression, found)
}

type Parsed<T> = Result<T, GuardMistake>;

struct Parser<'t> {
    lexer: Lexer<'t>,
    /// The token that is looked at, and where it begins.
    token: Token<'t>,
    at: usize,
    found: Vec<GuardMistake>,
    depth: usize,
    operations: usize,
}

impl<'t> Parser<'t> {
    fn whole(&mut self) -> Parsed<Expression<'t>> {
        self.advance()?;
        if self.token == Token::End {
            return Err(syntax(0, "the expression is empty", "write a condition, or `true`"));
        }
        let expression = self.expression(0)?;
        if self.token == Token::End { Ok(expression) } else { Err(self.unexpected()) }
    }

    /// Goes to the next token and gives the one before.
    fn advance(&mut self) -> Parsed<Token<'t>> {
        let (token, at) = self.lexer.next()?;
        self.at = at;
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self.token, Token::Symbol(this) if this == symbol)
    }

    fn expect(&mut self, symbol: &str) -> Parsed<()> {
        if !self.is(symbol) {
            return Err(self.unexpected());
        }
        self.advance().map(|_| ())
    }

    /// Counts an operation of the guard.
    fn spend(&mut self, at: usize) -> Parsed<()> {
        self.operations += 1;
        if self.operations <= MAX_OPERATIONS {
            return Ok(());
        }
        let message = format!("the guard needs more than {MAX_OPERATIONS} operations");
        let hint = "operators, calls and items of lists count; give long lists as a setting, or split the guard";
        Err(mistake(DiagnosticCode::GuardOverBudget, at, message, hint))
    }

    fn too_deep(at: usize) -> GuardMistake {
        let message = format!("the guard is nested more than {MAX_DEPTH} deep");
        let hint = "leave out parentheses that are not needed; a chain of `&&` or of `||` counts once";
        mistake(DiagnosticCode::GuardTooDeep, at, message, hint)
    }

    /// Reads something one level further down.
    fn nested<T>(&mut self, at: usize, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == MAX_DEPTH {
            return Err(Self::too_deep(at));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn make(&self, at: usize, form: Form<'t>) -> Parsed<Expression<'t>> {
        let height = form.parts().map(|part| part.height + 1).max().unwrap_or(0);
        if height > MAX_DEPTH { Err(Self::too_deep(at)) } else { Ok(Expression { at, height, form }) }
    }

    /// An expression whose operators bind more strongly than this.
    fn expression(&mut self, above: u8) -> Parsed<Expression<'t>> {
        let mut left = self.prefixed()?;
        while let Some((symbol, precedence)) = operator(&self.token) {
            if precedence <= above {
                break;
            }
            let at = self.at;
            self.advance()?;
            self.spend(at)?;
            // All of them bind to the left but powers, which are refused however they bind.
            let right = self.expression(precedence)?;
            left = self.join(at, symbol, left, right)?;
        }
        Ok(left)
    }

    fn join(
        &mut self,
        at: usize,
        symbol: &'static str,
        left: Expression<'t>,
        right: Expression<'t>,
    ) -> Parsed<Expression<'t>> {
        let form = match symbol {
            "&&" => Form::And(chain(left, right, |form| match form {
                Form::And(parts) => Ok(parts),
                other => Err(other),
            })),
            "||" => Form::Or(chain(left, right, |form| match form {
                Form::Or(parts) => Ok(parts),
                other => Err(other),
            })),
            _ => match instead(symbol) {
                Some(hint) => {
                    self.found.push(not_allowed(at, &format!("`{symbol}`"), hint));
                    Form::Refused(vec![left, right])
                }
                None => Form::Binary(symbol, Box::new([left, right])),
            },
        };
        self.make(at, form)
    }

    /// An expression with the operators before it.
    fn prefixed(&mut self) -> Parsed<Expression<'t>> {
        let at = self.at;
        match self.token {
            Token::Symbol("!") => {
                self.advance()?;
                self.spend(at)?;
                let inner = self.nested(at, Self::prefixed)?;
                self.make(at, Form::Not(Box::new(inner)))
            }
            Token::Symbol("-") => {
                self.advance()?;
                // Rhai cannot read `-0x10`, only `- 0x10`.
                if matches!(self.token, Token::Integer(_)) && self.at == at + 1 && self.lexer.has_radix(self.at) {
                    return Err(syntax(at, "a negative number in another base than ten", "write it in decimal"));
                }
                let inner = self.nested(at, Self::prefixed)?;
                if let Form::Integer(value) = inner.form {
                    return self.make(at, Form::Integer(-value));
                }
                self.spend(at)?;
                self.make(at, Form::Negative(Box::new(inner)))
            }
            Token::Symbol("+") => {
                self.advance()?;
                self.found.push(not_allowed(at, "a leading `+`", "leave it out"));
                self.nested(at, Self::prefixed)
            }
            _ => self.postfixed(),
        }
    }

    /// A value and the functions written behind it.
    fn postfixed(&mut self) -> Parsed<Expression<'t>> {
        let mut value = self.value()?;
        loop {
            let at = self.at;
            if self.is(".") {
                self.advance()?;
                let (name_at, Token::Word(name)) = (self.at, self.token.clone()) else {
                    return Err(self.unexpected());
                };
                self.advance()?;
                if self.is("(") {
                    let arguments = self.arguments(name_at)?;
                    value = self.make(name_at, Form::Method(name, Box::new(value), arguments))?;
                } else {
                    let hint = match name {
                        "len" => "write `len()`",
                        "contains" | "starts_with" | "ends_with" => {
                            "write what is to be looked for behind it, in parentheses"
                        }
                        _ => "inputs have no fields: declare what is needed as an input of its own",
                    };
                    self.found.push(not_allowed(at, &format!("the property `{name}`"), hint));
                    value = self.make(at, Form::Refused(vec![value]))?;
                }
            } else if self.is("[") {
                self.advance()?;
                let index = self.nested(at, |parser| parser.expression(0))?;
                self.expect("]")?;
                let hint = "ask whether a list holds something: `\"x\" in list`";
                self.found.push(not_allowed(at, "an index", hint));
                value = self.make(at, Form::Refused(vec![value, index]))?;
            } else {
                return Ok(value);
            }
        }
    }

    fn value(&mut self) -> Parsed<Expression<'t>> {
        let at = self.at;
        let form = match self.token.clone() {
            Token::Word("true") => Form::Bool(true),
            Token::Word("false") => Form::Bool(false),
            Token::Word(word) => return self.word(word),
            Token::Integer(value) => Form::Integer(value),
            Token::String(text) => Form::String(text),
            Token::Refused => Form::Refused(Vec::new()),
            Token::Symbol("(") => {
                self.advance()?;
                if self.is(")") {
                    self.advance()?;
                    self.found.push(not_allowed(at, "the empty value `()`", "every input has a value"));
                    return self.make(at, Form::Refused(Vec::new()));
                }
                let inner = self.nested(at, |parser| parser.expression(0))?;
                self.expect(")")?;
                return Ok(inner);
            }
            Token::Symbol("[") => {
                self.advance()?;
                let items = self.nested(at, |parser| parser.items("]"))?;
                return self.make(at, Form::List(items));
            }
            Token::Symbol("#{") => return Err(not_allowed(at, "an object", "compare single values")),
            Token::Symbol("{") => return Err(not_allowed(at, "a block", "use parentheses to group conditions")),
            Token::Symbol("|" | "||") => return Err(not_allowed(at, "a closure", "a guard is one condition")),
            Token::Symbol(_) | Token::End => return Err(self.unexpected()),
        };
        self.advance()?;
        self.make(at, form)
    }

    /// A name or a call.
    fn word(&mut self, word: &'t str) -> Parsed<Expression<'t>> {
        let at = self.at;
        self.advance()?;
        let called = self.is("(");
        if WORDS.contains(&word) {
            if !called || matches!(word, "if" | "while" | "for" | "switch" | "return" | "throw" | "fn" | "in") {
                return Err(reserved(at, word));
            }
            self.found.push(reserved(at, word));
            let arguments = self.arguments(at)?;
            return self.make(at, Form::Refused(arguments));
        }
        if called {
            let arguments = self.arguments(at)?;
            return self.make(at, Form::Call(word, arguments));
        }
        if self.is("!") {
            return Err(syntax(self.at, "`!` cannot stand behind a name", "write `!` before what is denied"));
        }
        self.make(at, Form::Name(word))
    }

    /// The arguments of a call, from its opening parenthesis.
    fn arguments(&mut self, at: usize) -> Parsed<Vec<Expression<'t>>> {
        self.spend(at)?;
        self.advance()?;
        self.nested(at, |parser| parser.items(")"))
    }

    /// Expressions between commas, up to and with what closes them. A last comma is allowed.
    fn items(&mut self, close: &str) -> Parsed<Vec<Expression<'t>>> {
        let mut items = Vec::new();
        while !self.is(close) {
            self.spend(self.at)?;
            items.push(self.expression(0)?);
            if !self.is(close) {
                self.expect(",")?;
            }
        }
        self.advance()?;
        Ok(items)
    }

    /// What is wrong with the token that is looked at.
    fn unexpected(&self) -> GuardMistake {
        let at = self.at;
        match &self.token {
            Token::End => syntax(at, "the expression ends too early", "complete it, or close what is open"),
            Token::Symbol(";") => not_allowed(at, "`;`", "a guard is one condition; join conditions with `&&`"),
            Token::Symbol("=") => not_allowed(at, "`=`", "to compare, write `==`"),
            Token::Symbol("+=" | "-=" | "*=" | "/=" | "%=" | "&=" | "|=" | "^=" | "**=" | "<<=" | ">>=") => {
                not_allowed(at, "an assignment", "a guard is one condition")
            }
            Token::Symbol("::" | "?." | "?[" | "{" | "=>" | "#{") => {
                not_allowed(at, &self.describe(), "a guard compares inputs, settings and constants")
            }
            Token::Symbol(symbol @ ("===" | "!==")) => {
                syntax(at, format!("`{symbol}` is no operator"), format!("write `{}`", symbol.get(..2).unwrap_or("==")))
            }
            Token::Word(word @ ("and" | "or")) => {
                let meant = if *word == "and" { "&&" } else { "||" };
                syntax(at, format!("`{word}` is no operator"), format!("write `{meant}`"))
            }
            Token::Word(word) if WORDS.contains(word) => reserved(at, word),
            _ => syntax(at, format!("{} is not expected here", self.describe()), "join two values by an operator"),
        }
    }

    fn describe(&self) -> String {
        match &self.token {
            Token::Word(word) => format!("`{word}`"),
            Token::Integer(value) => format!("`{value}`"),
            Token::String(_) => "a string".into(),
            Token::Refused => "a value".into(),
            Token::Symbol(symbol) => format!("`{symbol}`"),
            Token::End => "the end".into(),
        }
    }
}

impl<'t> Form<'t> {
    /// What it is made of.
    fn parts(&self) -> impl Iterator<Item = &Expression<'t>> {
        let (one, many): (Option<&Expression<'t>>, &[Expression<'t>]) = match self {
            Self::Bool(_) | Self::Integer(_) | Self::String(_) | Self::Name(_) => (None, &[]),
            Self::Not(inner) | Self::Negative(inner) => (Some(inner), &[]),
            Self::List(parts) | Self::And(parts) | Self::Or(parts) | Self::Call(_, parts) | Self::Refused(parts) => {
                (None, parts)
            }
            Self::Binary(_, sides) => (None, sides.as_slice()),
            Self::Method(_, receiver, arguments) => (Some(receiver), arguments),
        };
        one.into_iter().chain(many)
    }
}

/// Two sides as the parts of one chain, where they are chains of the same operator already.
fn chain<'t>(
    left: Expression<'t>,
    right: Expression<'t>,
    parts: impl Fn(Form<'t>) -> Result<Vec<Expression<'t>>, Form<'t>>,
) -> Vec<Expression<'t>> {
    let open = |side: Expression<'t>| {
        let Expression { at, height, form } = side;
        parts(form).unwrap_or_else(|form| vec![Expression { at, height, form }])
    };
    let mut all = open(left);
    all.append(&mut open(right));
    all
}

fn reserved(at: usize, word: &str) -> GuardMistake {
    match word {
        "in" => syntax(at, "`in` is not expected here", "write `item in list`"),
        "not" => syntax(at, "`not` is no operator", "write `!`"),
        _ => not_allowed(at, &format!("`{word}`"), "a guard is one condition over inputs, settings and constants"),
    }
}
