//! Aligned columns for a terminal.

/// On which side a column's cells line up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A table whose first row is its heading. Columns are two spaces apart; lines carry no trailing space.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(heading: [(&str, Align); N]) -> Self {
        let columns = heading.iter().map(|(_, align)| *align).collect();
        let rows = vec![heading.iter().map(|(title, _)| (*title).to_owned()).collect()];
        Self { columns, rows }
    }

    /// Adds a row; cells beyond the heading's are left out.
    pub(crate) fn push(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().take(self.columns.len()).collect());
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let columns: Vec<_> = self.columns.iter().enumerate().map(|(column, align)| (*align, width(column))).collect();
        for row in &self.rows {
            let cells = row.iter().zip(&columns).map(|(cell, (align, width))| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            });
            writeln!(formatter, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_by_characters() {
        let mut table = Table::new([("what", Align::Left), ("time", Align::Right), ("note", Align::Left)]);
        table.push(["a check".to_owned(), "1.50 µs".to_owned(), String::new()]);
        table.push(["b".to_owned(), "12 ns".to_owned(), "fast".to_owned()]);
        let expected = ["what        time  note", "a check  1.50 µs", "b          12 ns  fast", ""].join("\n");
        assert_eq!(table.to_string(), expected);
    }
}
