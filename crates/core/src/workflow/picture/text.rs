//! Texts: cleaned of what no format may carry, measured by estimate, wrapped, escaped.

/// No text is longer than this, in characters; the rest becomes an ellipsis.
const LONGEST: usize = 1_000;

/// A text without control characters, without marks that reorder the text around it, and with single spaces.
///
/// Joiners stay, because Arabic and Persian need them; bidirectional overrides go, because they would show a reader
/// something else than what is there.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::new();
    let mut length = 0;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        for (position, character) in word.chars().filter(|c| !is_refused(*c)).enumerate() {
            if position == 0 && !out.is_empty() {
                out.push(' ');
            }
            if length == LONGEST {
                out.push('…');
                return out;
            }
            out.push(character);
            length += 1;
        }
    }
    out
}

fn is_refused(character: char) -> bool {
    matches!(character, '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
        || matches!(character, '\u{FDD0}'..='\u{FDEF}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}')
        || u32::from(character) & 0xFFFE == 0xFFFE
}

/// The text with the five characters escaped that XML takes for itself.
pub(super) fn escape_xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(character),
        }
    }
    out
}

/// Whether a text is read from the right: its first letter decides, as it does for readers.
pub(super) fn is_right_to_left(text: &str) -> bool {
    text.chars().find(|character| character.is_alphabetic()).is_some_and(is_from_the_right)
}

/// Hebrew, Arabic and the scripts between them, and their presentation forms.
fn is_from_the_right(character: char) -> bool {
    matches!(character, '\u{0590}'..='\u{08FF}' | '\u{FB1D}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFF}')
}

/// An estimate of how wide a text is, in pixels. It errs on the wide side for the usual sans-serif fonts.
pub(super) fn width(text: &str, size: i64) -> i64 {
    let hundredths: i64 = text.chars().map(advance).sum();
    (hundredths * size + 99) / 100
}

/// How far a character moves the pen, in hundredths of the font's size.
fn advance(character: char) -> i64 {
    match character {
        'i' | 'j' | 'l' | 'I' | '\'' | '.' | ',' | ':' | ';' | '|' | '!' => 32,
        ' ' | '\u{A0}' => 30,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '{' | '}' | '/' | '\\' | '-' | '"' | '`' | '*' => 42,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '—' | '…' => 92,
        '0'..='9' | 'a'..='z' | '_' => 59,
        'A'..='Z' => 70,
        _ if is_mark(character) => 0,
        _ if is_from_the_right(character) => 58,
        // Hangul, kana, ideographs, full-width forms: square.
        '\u{1100}'..='\u{115F}'
        | '\u{2E80}'..='\u{A4CF}'
        | '\u{AC00}'..='\u{D7A3}'
        | '\u{F900}'..='\u{FAFF}'
        | '\u{FF00}'..='\u{FF60}'
        | '\u{20000}'..='\u{3FFFF}' => 102,
        // Pictographs.
        '\u{2600}'..='\u{27BF}' | '\u{1F000}'..='\u{1FAFF}' => 135,
        _ => 68,
    }
}

/// Whether a character sits on the one before it.
fn is_mark(character: char) -> bool {
    matches!(character,
        '\u{0300}'..='\u{036F}' | '\u{0483}'..='\u{0489}' | '\u{0591}'..='\u{05BD}' | '\u{0610}'..='\u{061A}'
        | '\u{064B}'..='\u{065F}' | '\u{0670}' | '\u{06D6}'..='\u{06DC}' | '\u{06DF}'..='\u{06E4}'
        | '\u{200B}'..='\u{200D}' | '\u{20D0}'..='\u{20FF}' | '\u{FE00}'..='\u{FE0F}' | '\u{1F3FB}'..='\u{1F3FF}')
}

/// The text in at most `lines` lines, each at most `widest` pixels; an ellipsis ends one that was cut.
pub(super) fn wrap(text: &str, size: i64, widest: i64, lines: usize) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split(' ').flat_map(|word| pieces(word, size, widest)) {
        let glue = if line.is_empty() || !word.starts_word { "" } else { " " };
        if width(&line, size) + width(glue, size) + width(&word.text, size) > widest && !line.is_empty() {
            out.push(std::mem::take(&mut line));
            line.push_str(&word.text);
        } else {
            line.push_str(glue);
            line.push_str(&word.text);
        }
    }
    out.push(line);
    if out.len() > lines {
        out.truncate(lines);
        if let Some(last) = out.last_mut() {
            while width(last, size) + width("…", size) > widest && last.pop().is_some() {}
            last.truncate(last.trim_end().len());
            last.push('…');
        }
    }
    out
}

struct Piece {
    text: String,
    starts_word: bool,
}

/// A word that fits on a line is one piece. A longer one is cut, after punctuation where there is some.
fn pieces(word: &str, size: i64, widest: i64) -> Vec<Piece> {
    if width(word, size) <= widest {
        return vec![Piece { text: word.to_owned(), starts_word: true }];
    }
    let mut out = Vec::new();
    let mut piece = String::new();
    for character in word.chars() {
        let full = width(&piece, size) + advance(character) * size / 100 > widest;
        let after_punctuation = piece.ends_with(['_', '-', '.', ':', '/']);
        if (full || after_punctuation) && !piece.is_empty() && !is_mark(character) {
            out.push(Piece { text: std::mem::take(&mut piece), starts_word: out.is_empty() });
        }
        piece.push(character);
    }
    out.push(Piece { text: piece, starts_word: out.is_empty() });
    out
}
