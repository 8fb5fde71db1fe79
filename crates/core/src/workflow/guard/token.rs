//! The text of a guard cut into tokens, by Rhai's lexical rules.
//!
//! Whatever is accepted here reads exactly as Rhai reads it; Rhai's oddities (a doubled quote inside a string, digits
//! separated by `_` anywhere, comments within comments) are kept for that reason. What guards do not need is refused
//! rather than imitated.

use super::mistake::{GuardMistake, not_allowed, syntax};
use crate::model::{DiagnosticCode, MAX_INTEGER};

/// One token of a guard's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token<'t> {
    /// A word of letters, digits and `_`, keywords included.
    Word(&'t str),
    /// A number in the safe range.
    Integer(i64),
    /// A string with its escapes resolved.
    String(Box<str>),
    /// Something that stands where a value may stand but that guards may not use. It has been noted.
    Refused,
    /// An operator or a mark.
    Symbol(&'static str),
    /// The end of the text.
    End,
}

/// Everything that Rhai reads as one symbol, longer ones before their beginnings.
const SYMBOLS: [&str; 64] = [
    "===", "!==", "...", "..=", "**=", "<<=", ">>=", "::<", "&&", "||", "==", "!=", "<=", ">=", "<<", ">>", "**", "??",
    "?.", "?[", "..", "::", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "=>", "->", "<-", "<|", "|>", "++", "--",
    "!.", ":=", ":;", "(*", "*)", "#{", "#!", "+", "-", "*", "/", "%", "<", ">", "!", "(", ")", "[", "]", "{", "}",
    ",", ";", ".", "=", "&", "|",
];
/// Symbols of one byte that are no beginning of another.
const SINGLES: [&str; 7] = [":", "^", "~", "@", "$", "?", "#"];

/// Reads tokens one by one, and notes what is refused.
#[derive(Debug)]
pub(super) struct Lexer<'t> {
    text: &'t str,
    /// Where the next token is looked for.
    at: usize,
    /// Mistakes after which reading went on.
    pub(super) found: Vec<GuardMistake>,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0, found: Vec::new() }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// Whether the number at this place is written in another base than ten.
    pub(super) fn has_radix(&self, at: usize) -> bool {
        let digits = self.text.get(at..).and_then(|text| text.strip_prefix('0')).unwrap_or_default();
        digits.trim_start_matches('_').starts_with(['x', 'X', 'o', 'O', 'b', 'B'])
    }

    /// The next token and where it begins. An error ends the text: what follows cannot be told apart.
    pub(super) fn next(&mut self) -> Result<(Token<'t>, usize), GuardMistake> {
        self.skip()?;
        let at = self.at;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok((Token::End, at)) };
        let token = match first {
            '0'..='9' => self.number()?,
            'a'..='z' | 'A'..='Z' | '_' => self.word(),
            '"' => Token::String(self.quoted('"')?),
            '`' => self.back_ticks()?,
            '\'' => {
                self.quoted('\'')?;
                self.found.push(not_allowed(at, "a single character", "write it as a string, in double quotes"));
                Token::Refused
            }
            '#' if rest.starts_with("#\"") || rest.starts_with("##") => {
                return Err(not_allowed(at, "a raw string", "write it in double quotes"));
            }
            _ => {
                // `!in` is one operator, unless the word goes on.
                let not_in = rest.strip_prefix("!in").is_some_and(|after| !after.starts_with(is_word));
                let all = SYMBOLS.iter().chain(&SINGLES).copied();
                let found = if not_in { Some("!in") } else { all.into_iter().find(|symbol| rest.starts_with(symbol)) };
                let Some(symbol) = found else {
                    let message = format!("`{}` means nothing here", readable(first));
                    return Err(syntax(at, message, "leave it out, or put text into double quotes"));
                };
                self.at += symbol.len();
                Token::Symbol(symbol)
            }
        };
        Ok((token, at))
    }

    /// Passes over white space and comments.
    fn skip(&mut self) -> Result<(), GuardMistake> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
            self.at += rest.len() - trimmed.len();
            if trimmed.starts_with("//") {
                self.at += trimmed.find(['\n', '\r']).unwrap_or(trimmed.len());
            } else if let Some(inside) = trimmed.strip_prefix("/*") {
                let Some(length) = comment(inside) else {
                    return Err(syntax(self.at, "a comment is not closed", "end it with `*/`"));
                };
                self.at += "/*".len() + length;
            } else {
                return Ok(());
            }
        }
    }

    fn word(&mut self) -> Token<'t> {
        let rest = self.rest();
        let word = rest.split(|c| !is_word(c)).next().unwrap_or_default();
        self.at += word.len();
        Token::Word(word)
    }

    /// A number: digits of one base, with `_` anywhere between and behind them.
    fn number(&mut self) -> Result<Token<'t>, GuardMistake> {
        let start = self.at;
        let (mut radix, mut digits) = (10, String::new());
        for c in self.rest().chars() {
            match c {
                '_' => {}
                _ if c.is_digit(radix) => digits.push(c),
                'x' | 'X' | 'o' | 'O' | 'b' | 'B' if radix == 10 && digits == "0" => {
                    radix = match c {
                        'x' | 'X' => 16,
                        'o' | 'O' => 8,
                        _ => 2,
                    };
                    digits.clear();
                }
                _ => break,
            }
            self.at += c.len_utf8();
        }
        if radix == 10 && self.fraction() {
            let hint = "count in a smaller unit: money in minor units, shares in permille";
            self.found.push(not_allowed(start, "a number with a fraction or exponent", hint));
            return Ok(Token::Refused);
        }
        if digits.is_empty() {
            return Err(syntax(start, "a number without digits", "write its digits"));
        }
        let value = u64::from_str_radix(&digits, radix).ok().filter(|value| *value <= MAX_INTEGER);
        Ok(match value.and_then(|value| i64::try_from(value).ok()) {
            Some(value) => Token::Integer(value),
            None => {
                self.found.push(GuardMistake {
                    code: DiagnosticCode::IntegerOutOfRange,
                    at: start,
                    message: "a number beyond ±(2^53 − 1)".into(),
                    hint: "not every language can hold it exactly; use a larger unit".into(),
                });
                Token::Refused
            }
        })
    }

    /// Passes over what makes a number a float, if there is any.
    fn fraction(&mut self) -> bool {
        let start = self.at;
        let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_').len();
        if let Some(after) =
            self.rest().strip_prefix('.').filter(|after| after.starts_with(|c: char| c.is_ascii_digit()))
        {
            self.at += 1 + digits(after);
        }
        if let Some(after) = self.rest().strip_prefix(['e', 'E']) {
            let unsigned = after.strip_prefix(['+', '-']).unwrap_or(after);
            if unsigned.starts_with(|c: char| c.is_ascii_digit()) {
                self.at += 1 + (after.len() - unsigned.len()) + digits(unsigned);
            }
        }
        self.at > start
    }

    /// What stands between two quotes, with its escapes resolved.
    fn quoted(&mut self, quote: char) -> Result<Box<str>, GuardMistake> {
        let start = self.at;
        self.at += quote.len_utf8();
        let mut text = String::new();
        loop {
            let at = self.at;
            match self.bump() {
                Some(c) if c == quote => {
                    // A doubled quote stands for one.
                    if !self.rest().starts_with(quote) {
                        return Ok(text.into());
                    }
                    self.at += quote.len_utf8();
                    text.push(quote);
                }
                None | Some('\n') => {
                    let hint = format!("end it with `{quote}` on the same line");
                    return Err(syntax(start, "a string is not closed", hint));
                }
                Some('\\') => text.push(self.escape(at, quote)?),
                Some(c) => text.push(c),
            }
        }
    }

    /// The character that an escape stands for, after its backslash.
    fn escape(&mut self, at: usize, quote: char) -> Result<char, GuardMistake> {
        let c = self.bump();
        let digits = match c {
            Some('\n' | '\r') => {
                let hint = "write the string on one line, with `\\n` for a new line";
                return Err(not_allowed(at, "a string that goes on in the next line", hint));
            }
            Some('n') => return Ok('\n'),
            Some('r') => return Ok('\r'),
            Some('t') => return Ok('\t'),
            Some(c) if c == '\\' || c == quote => return Ok(c),
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            _ => 0,
        };
        let hexadecimal = self.rest().get(..digits).filter(|code| code.bytes().all(|b| b.is_ascii_hexdigit()));
        let meant = hexadecimal.and_then(|code| u32::from_str_radix(code, 16).ok()).and_then(char::from_u32);
        self.at += digits;
        meant.ok_or_else(|| {
            let hint = "the escapes are `\\\\`, `\\\"`, `\\n`, `\\r`, `\\t`, `\\x41`, `\\u0041` and `\\U00000041`";
            syntax(at, "an escape that is not known", hint)
        })
    }

    /// A string in back-ticks: no escapes but `\${`, and lines as they stand.
    fn back_ticks(&mut self) -> Result<Token<'t>, GuardMistake> {
        let start = self.at;
        self.at += 1;
        let opened = self.rest();
        // A line end right after the opening one does not count.
        let body = opened.strip_prefix("\r\n").or(opened.strip_prefix(['\r', '\n'])).unwrap_or(opened);
        self.at += opened.len() - body.len();
        let mut text = String::new();
        loop {
            let rest = self.rest();
            let (written, meant) = match rest {
                _ if rest.starts_with("${") => {
                    return Err(not_allowed(self.at, "an expression within a string", "compare whole strings"));
                }
                _ if rest.starts_with("\\${") => ("\\${", "${"),
                _ if rest.starts_with("\r\n") => ("\r\n", "\n"),
                _ if rest.starts_with("``") => ("``", "`"),
                _ if rest.starts_with('`') => {
                    self.at += 1;
                    return Ok(Token::String(text.into()));
                }
                _ => {
                    let Some(c) = rest.chars().next() else {
                        return Err(syntax(start, "a string is not closed", "end it with a back-tick"));
                    };
                    text.push(c);
                    self.at += c.len_utf8();
                    continue;
                }
            };
            text.push_str(meant);
            self.at += written.len();
        }
    }
}

/// A character as it is; its number, where nothing is to be seen of it. The standard library tells that by tables, which are
/// more than pages load for a message.
fn readable(character: char) -> String {
    let is_unseen = matches!(character, '\0'..=' ' | '\u{7F}'..='\u{A0}' | '\u{AD}' | '\u{61C}' | '\u{180E}')
        || matches!(character, '\u{2000}'..='\u{200F}' | '\u{2028}'..='\u{202F}' | '\u{205F}'..='\u{206F}' | '\u{3000}')
        || matches!(character, '\u{E000}'..='\u{F8FF}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFF0}'..='\u{FFFF}')
        || character >= '\u{E0000}';
    if is_unseen { character.escape_unicode().to_string() } else { character.to_string() }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The length of a comment after its opening `/*`, with the comments inside it.
fn comment(inside: &str) -> Option<usize> {
    let (mut level, mut at) = (1_usize, 0);
    while let Some(rest) = inside.get(at..) {
        if rest.starts_with("/*") {
            (level, at) = (level + 1, at + 2);
        } else if rest.starts_with("*/") {
            (level, at) = (level - 1, at + 2);
            if level == 0 {
                return Some(at);
            }
        } else {
            at += rest.chars().next()?.len_utf8();
        }
    }
    None
}
