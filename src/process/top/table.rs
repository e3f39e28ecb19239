//! Lines of coloured pieces, and tables of them that fit a width.

/// How a piece of a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    #[default]
    Plain,
    Title,
    Good,
    Warn,
    Bad,
    Mute,
}

/// A part of a line that looks the same throughout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub text: String,
    pub tone: Tone,
}

/// One line; each letter takes one column.
pub type Line = Vec<Piece>;

/// A line that looks the same throughout.
pub fn line(tone: Tone, text: impl Into<String>) -> Line {
    let text = text.into();
    vec![Piece { text, tone }]
}

/// Cuts a line off where the width ends.
pub fn clip(line: Line, width: usize) -> Line {
    let mut left = width;
    let mut clipped = Vec::new();
    for mut piece in line {
        let n = piece.text.chars().count();
        if n > left {
            piece.text = piece.text.chars().take(left).collect();
        }
        left -= n.min(left);
        if !piece.text.is_empty() {
            clipped.push(piece);
        }
    }
    clipped
}

/// A column of a table. Its cells are as many as those of each other one.
pub struct Column {
    pub title: &'static str,
    /// Numbers stand to the right.
    pub is_number: bool,
    /// It may be cut to so many letters; none: it is shown whole, or not at all.
    pub least: Option<usize>,
    /// Where not all fit, that with the highest rank goes first.
    pub rank: u8,
    pub cells: Vec<(String, Tone)>,
}

impl Column {
    fn full_width(&self) -> usize {
        let cells = self.cells.iter().map(|(text, _)| text.chars().count());
        let longest = cells.chain([self.title.len()]).max();
        longest.unwrap_or_default().min(MAX_CELL)
    }

    fn least_width(&self) -> usize {
        let full = self.full_width();
        self.least
            .map_or(full, |least| full.min(least.max(self.title.len())))
    }
}

/// The longest cell, in letters, however wide the window is.
const MAX_CELL: usize = 400;
/// Before each column.
const GAP: usize = 2;

/// The line of the titles, and one for each row.
pub fn table(mut columns: Vec<Column>, width: usize) -> Vec<Line> {
    let least = |columns: &[Column]| -> usize {
        let widths = columns.iter().map(|column| GAP + column.least_width());
        widths.sum()
    };
    while columns.len() > 1 && least(&columns) > width {
        let worst = (0..columns.len()).max_by_key(|&idx| columns[idx].rank);
        columns.remove(worst.unwrap_or_default());
    }
    let mut spare = width.saturating_sub(least(&columns));
    let mut widths = Vec::new();
    for column in &columns {
        let more = (column.full_width() - column.least_width()).min(spare);
        spare -= more;
        widths.push(column.least_width() + more);
    }
    let n_rows = columns.first().map_or(0, |column| column.cells.len());
    let mut lines = vec![Line::new(); n_rows + 1];
    for (column, &width) in columns.iter().zip(&widths) {
        let title = (column.title.to_owned(), Tone::Title);
        let cells = [&title].into_iter().chain(&column.cells);
        for (line, (text, tone)) in lines.iter_mut().zip(cells) {
            let text: String = text.chars().take(width).collect();
            let text = if column.is_number {
                format!("{:GAP$}{text:>width$}", "")
            } else {
                format!("{:GAP$}{text:<width$}", "")
            };
            line.push(Piece { text, tone: *tone });
        }
    }
    for line in &mut lines {
        if let Some(last) = line.last_mut() {
            last.text.truncate(last.text.trim_end().len());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(title: &'static str, rank: u8, least: Option<usize>, cells: [&str; 2]) -> Column {
        Column {
            title,
            is_number: title == "N",
            least,
            rank,
            cells: cells.map(|text| (text.to_owned(), Tone::Plain)).into(),
        }
    }

    fn shown(width: usize) -> Vec<String> {
        let columns = vec![
            column("NAME", 0, Some(4), ["web-one", "b"]),
            column("N", 2, None, ["7", "100"]),
            column("WHY", 1, Some(5), ["it takes connections", ""]),
        ];
        let text = |line: Line| line.into_iter().map(|piece| piece.text).collect();
        table(columns, width).into_iter().map(text).collect()
    }

    #[test]
    fn a_table_gives_way_cell_by_cell_and_then_column_by_column() {
        let wide = [
            "  NAME       N  WHY",
            "  web-one    7  it takes connections",
            "  b        100",
        ];
        assert_eq!(shown(usize::MAX), wide);
        assert_eq!(shown(38)[1], wide[1]);
        assert_eq!(shown(30)[1], "  web-one    7  it takes conne");
        assert_eq!(
            shown(18),
            ["  NAME    N  WHY", "  web-    7  it ta", "  b     100"]
        );
        assert_eq!(shown(17)[1], "  web-one  it tak");
        assert_eq!(shown(12)[1], "  web-one");
        assert_eq!(shown(1)[1], "  web-");
        assert_eq!(table(Vec::new(), 10), [Line::new()]);
    }

    #[test]
    fn a_line_is_clipped_within_a_piece_and_between_two() {
        let whole = [line(Tone::Good, "äbc"), line(Tone::Bad, "def")].concat();
        let clipped = |width| -> Vec<String> {
            let line = clip(whole.clone(), width);
            line.into_iter().map(|piece| piece.text).collect()
        };
        assert_eq!(clipped(9), ["äbc", "def"]);
        assert_eq!(clipped(4), ["äbc", "d"]);
        assert_eq!(clipped(3), ["äbc"]);
        assert_eq!(clipped(2), ["äb"]);
        assert!(clipped(0).is_empty());
    }
}
