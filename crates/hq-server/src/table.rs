//! Tables without lines, as wide as the terminal at most.
//!
//! Text that people write may be Arabic. Terminals disagree about the width of some of it (a ligature counts as one or
//! two) and turn it around, so it stands in the last column only, where neither moves another column.

use crate::style::{Style, Tone};
use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Row, Table, Width, presets};

/// Every line starts with this many spaces.
const INDENT: u16 = 2;
/// Spaces after each column.
const GUTTER: usize = 2;

/// A table under construction.
#[derive(Debug)]
pub(crate) struct Grid {
    table: Table,
    style: Style,
    /// The longest word of each column. A column without any is left out, heading and all.
    longest: Vec<usize>,
    headings: Vec<usize>,
}

impl Grid {
    /// A table with these headings; without any, it has no heading line.
    pub(crate) fn new(style: Style, headings: &[&str]) -> Self {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        if style.color() {
            table.enforce_styling();
            table.style_text_only();
        } else {
            table.force_no_tty();
        }
        match style.width {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic);
                table.set_width(width.saturating_sub(INDENT).max(40));
            }
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        if !headings.is_empty() {
            table.set_header(headings.iter().map(|heading| style.cell(Tone::Faint, *heading)).collect::<Vec<Cell>>());
        }
        Self {
            table,
            style,
            longest: Vec::new(),
            headings: headings.iter().map(|heading| longest_word(heading)).collect(),
        }
    }

    /// Adds a line of plain text.
    pub(crate) fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.toned(cells.into_iter().map(|cell| (Tone::Plain, cell)));
    }

    /// Adds a line of text with tones.
    pub(crate) fn toned<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = (Tone, T)>) {
        let mut row = Row::new();
        for (at, (tone, text)) in cells.into_iter().enumerate() {
            let text = text.into();
            if self.longest.len() == at {
                self.longest.push(0);
            }
            if let Some(longest) = self.longest.get_mut(at) {
                *longest = longest_word(&text).max(*longest);
            }
            row.add_cell(self.style.cell(tone, text));
        }
        self.table.add_row(row);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The table as text, with numbers in these columns set to the right.
    pub(crate) fn render(mut self, numbers: &[usize]) -> String {
        self.table.discover_columns();
        let mut words = self.longest;
        for (word, heading) in words.iter_mut().zip(self.headings) {
            *word = if *word == 0 { 0 } else { heading.max(*word) };
        }
        if let Some(width) = self.table.width() {
            narrow(&mut words, usize::from(width));
        }
        for (column, word) in self.table.column_iter_mut().zip(words) {
            column.set_padding((0, GUTTER as u16));
            column.set_constraint(match u16::try_from(word + GUTTER) {
                Ok(_) if word == 0 => ColumnConstraint::Hidden,
                Ok(width) => ColumnConstraint::LowerBoundary(Width::Fixed(width)),
                Err(_) => continue,
            });
        }
        for number in numbers {
            if let Some(column) = self.table.column_mut(*number) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut text = String::new();
        for line in self.table.lines() {
            text.push_str(&" ".repeat(INDENT.into()));
            text.push_str(&line);
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        text
    }
}

/// The width of the longest word, which is better not broken.
fn longest_word(text: &str) -> usize {
    text.split_whitespace().map(|word| word.chars().count()).max().unwrap_or(0)
}

/// Takes from the widest columns until all fit: keys and times stay whole as long as they can.
fn narrow(words: &mut [usize], width: usize) {
    let gutters = GUTTER * words.iter().filter(|word| **word > 0).count();
    while words.iter().sum::<usize>() + gutters > width {
        let Some(widest) = words.iter_mut().max().filter(|widest| **widest > 8) else { return };
        *widest -= 1;
    }
}

/// A paragraph broken at the terminal's width, and at 100 columns at most.
pub(crate) fn paragraph(style: Style, text: &str) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).force_no_tty();
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(style.width.unwrap_or(100).clamp(40, 100));
    table.add_row([text]);
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, 0));
    });
    table.lines().fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arabic_in_the_last_column_moves_nothing() {
        let mut grid = Grid::new(Style::plain(None), &["KEY", "AMOUNT", "NAME"]);
        grid.row(["orders", "1", "الطلبات"]);
        grid.row(["max_users", "20", "لافوار"]);
        let expected = "  KEY        AMOUNT  NAME\n  orders          1  الطلبات\n  max_users      20  لافوار\n";
        assert_eq!(grid.render(&[1]), expected);
    }

    #[test]
    fn columns_without_text_are_left_out() {
        let mut grid = Grid::new(Style::plain(None), &["ID", "WHY", "BY"]);
        grid.row(["one", "", "me"]);
        assert_eq!(grid.render(&[]), "  ID   BY\n  one  me\n");
    }

    #[test]
    fn narrow_terminals_break_between_words() {
        let mut grid = Grid::new(Style::plain(Some(64)), &["KEY", "WHEN", "WHY"]);
        let key = "whatsapp_messages_per_month";
        grid.row([key, "2026-11-15T12:00:00Z", "a reason in words"]);
        let text = grid.render(&[]);
        assert!(text.contains(key) && text.contains("2026-11-15T12:00:00Z"), "{text}");
    }

    #[test]
    fn narrow_terminals_wrap_cells() {
        let mut grid = Grid::new(Style::plain(Some(42)), &["ID", "WHY"]);
        grid.row(["one", "a reason that is much longer than the terminal is wide"]);
        let text = grid.render(&[]);
        assert!(text.lines().count() > 2 && text.lines().all(|line| line.chars().count() <= 42), "{text}");
    }
}
