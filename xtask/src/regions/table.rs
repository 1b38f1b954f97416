//! The table: a line a region.

use super::load::{Done, Seen};

/// What is told of a region.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    /// `None` for the leader.
    pub(super) distance_ms: Option<u64>,
    pub(super) offset: i64,
    /// Bytes that it has yet to apply.
    pub(super) behind: i64,
    /// How old its data is at most; `None` for the leader, below 0 while nothing is known.
    pub(super) staleness_ms: Option<i64>,
    pub(super) link: Option<String>,
    pub(super) seen: Seen,
}

const HEAD: [&str; 12] = [
    "region", "role", "away", "link", "offset", "behind", "stale", "reads/s", "median", "writes/s",
    "median", "own read",
];

/// The lines.
pub(super) fn text(rows: &[Row]) -> String {
    let mut lines = vec![HEAD.map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    let width = |column: usize| lines.iter().map(|cells| cells[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let mut text = String::new();
    for cells in &lines {
        let line: Vec<String> = cells
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| match column {
                // Words to the left, numbers to the right.
                0 | 1 | 3 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        text += line.join("  ").trim_end();
        text.push('\n');
    }
    text
}

fn cells(row: &Row) -> [String; 12] {
    let role = if row.distance_ms.is_none() { "leader" } else { "replica" };
    let Seen { reads, writes, own } = row.seen;
    [
        row.name.to_owned(),
        role.to_owned(),
        row.distance_ms.map(|ms| format!("{ms} ms")).unwrap_or_default(),
        row.link.clone().unwrap_or_default(),
        row.offset.to_string(),
        format!("{} B", row.behind),
        match row.staleness_ms {
            None => String::new(),
            Some(..0) => "?".to_owned(),
            Some(ms) => format!("{ms} ms"),
        },
        reads.count.to_string(),
        median(reads),
        writes.count.to_string(),
        median(writes),
        median(own),
    ]
}

fn median(done: Done) -> String {
    match done {
        Done { count: 0, .. } => String::new(),
        Done { median_us, .. } => format!("{}.{} ms", median_us / 1000, median_us % 1000 / 100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let done = Done { count: 20, median_us: 90_480 };
        let row = |name, distance_ms, staleness_ms| Row {
            name,
            distance_ms,
            offset: 1234,
            behind: 0,
            staleness_ms,
            link: distance_ms.map(|_| "up".to_owned()),
            seen: Seen { writes: done, ..Seen::default() },
        };
        let text = text(&[row("fra", None, None), row("sin", Some(160), Some(-1))]);
        assert_eq!(
            text,
            "region  role       away  link  offset  behind  stale  reads/s  median  writes/s   median  own read\n\
             fra     leader                   1234     0 B               0                20  90.4 ms\n\
             sin     replica  160 ms  up      1234     0 B      ?        0                20  90.4 ms\n"
        );
    }
}
