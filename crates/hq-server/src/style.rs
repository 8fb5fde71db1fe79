//! Colour and width, where there is a terminal.

use clap::ValueEnum;
use clap::builder::styling::{AnsiColor, Style as Ansi};
use comfy_table::{Cell, Color};
use std::ffi::OsStr;
use std::io::{IsTerminal, stderr, stdout};

/// When to use colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    // Not documented one by one, which would make every help text twice as long.
    #[default]
    Auto,
    Always,
    Never,
}

impl ColorWhen {
    fn holds(self, terminal: bool) -> bool {
        self.holds_in(terminal, std::env::var_os("NO_COLOR").as_deref(), std::env::var_os("TERM").as_deref())
    }

    /// See <https://no-color.org>: an empty value counts as absent.
    fn holds_in(self, terminal: bool, no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => terminal && no_color.is_none_or(OsStr::is_empty) && term.is_none_or(|term| term != "dumb"),
        }
    }
}

/// What a piece of text says, from which its colour follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Bad,
    Notice,
    Faint,
    Strong,
}

/// How answers look here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    color: bool,
    errors: bool,
    /// Columns of the terminal; nothing where the output goes elsewhere and lines may be as long as they like.
    pub(crate) width: Option<u16>,
}

impl Style {
    /// As the terminal and the environment want it.
    pub(crate) fn detect(when: ColorWhen) -> Self {
        let width = stdout().is_terminal().then(|| comfy_table::Table::new().width()).flatten();
        Self { color: when.holds(stdout().is_terminal()), errors: when.holds(stderr().is_terminal()), width }
    }

    /// Without colour.
    pub(crate) fn plain(width: Option<u16>) -> Self {
        Self { color: false, errors: false, width }
    }

    /// The same for what goes to standard error.
    pub(crate) fn errors(self) -> Self {
        Self { color: self.errors, ..self }
    }

    pub(crate) fn color(self) -> bool {
        self.color
    }

    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        let style = match tone {
            Tone::Plain => Ansi::new(),
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Bad => AnsiColor::Red.on_default().bold(),
            Tone::Notice => AnsiColor::Yellow.on_default(),
            Tone::Faint => Ansi::new().dimmed(),
            Tone::Strong => Ansi::new().bold(),
        };
        if self.color && tone != Tone::Plain { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// A cell of a table in this tone.
    pub(crate) fn cell(self, tone: Tone, text: impl Into<String>) -> Cell {
        let cell = Cell::new_owned(text.into());
        match tone {
            _ if !self.color => cell,
            Tone::Plain => cell,
            Tone::Good => cell.fg(Color::DarkGreen),
            Tone::Bad => cell.fg(Color::DarkRed),
            Tone::Notice => cell.fg(Color::DarkYellow),
            Tone::Faint => cell.add_attribute(comfy_table::Attribute::Dim),
            Tone::Strong => cell.add_attribute(comfy_table::Attribute::Bold),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_follows_the_terminal_and_the_environment() {
        let cases = [
            (ColorWhen::Auto, true, None, Some("xterm"), true),
            (ColorWhen::Auto, true, None, None, true),
            (ColorWhen::Auto, false, None, Some("xterm"), false),
            (ColorWhen::Auto, true, Some("1"), Some("xterm"), false),
            (ColorWhen::Auto, true, Some(""), Some("xterm"), true),
            (ColorWhen::Auto, true, None, Some("dumb"), false),
            (ColorWhen::Always, false, Some("1"), Some("dumb"), true),
            (ColorWhen::Never, true, None, Some("xterm"), false),
        ];
        for (when, terminal, no_color, term, expected) in cases {
            let holds = when.holds_in(terminal, no_color.map(OsStr::new), term.map(OsStr::new));
            assert_eq!(holds, expected, "{when:?} {terminal} {no_color:?} {term:?}");
        }
    }
}
