//! Tables as kubectl prints them: upper-case headers, columns aligned, two spaces or more between them.

use anstyle::Style;

use super::output::{FAINT, paint};

/// One cell: its text, and its style on a terminal.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A cell in a style.
    pub fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(text, Style::new())
    }
}

/// Rows below headers.
pub struct Table {
    headers: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub fn new(headers: &[&'static str]) -> Self {
        Self { headers: headers.to_vec(), rows: Vec::new() }
    }

    /// Adds a row of as many cells as there are headers.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The lines, headers first.
    pub fn render(&self, color: bool) -> String {
        let widths = self.widths();
        let headers: Vec<Cell> = self.headers.iter().map(|header| Cell::styled(*header, FAINT)).collect();
        std::iter::once(&headers).chain(&self.rows).map(|row| line(row, &widths, color)).collect()
    }

    fn widths(&self) -> Vec<usize> {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.chars().count());
            cells.chain([self.headers[column].chars().count()]).max().unwrap_or(0)
        };
        (0..self.headers.len()).map(width).collect()
    }
}

/// The last cell that is not empty ends the line: no trailing blanks.
fn line(row: &[Cell], widths: &[usize], color: bool) -> String {
    let last = row.iter().rposition(|cell| !cell.text.is_empty()).unwrap_or(0);
    let mut out = String::new();
    for (index, (cell, width)) in row.iter().zip(widths).enumerate().take(last + 1) {
        out.push_str(&paint(&cell.text, cell.style, color && cell.style != Style::new()));
        if index < last {
            out.push_str(&" ".repeat(width - cell.text.chars().count() + 3));
        }
    }
    out.push('\n');
    out
}
