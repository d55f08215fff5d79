//! `RESULTS.md` and `results.svg`, of what all benchmarks left.

use std::{fmt::Write as _, fs, path::Path};

use crate::{
    Failure,
    results::{Results, Row, Table},
};

mod machine;
mod svg;

/// Writes both files into a folder.
///
/// # Errors
/// When there are no results, or the files can't be written.
pub fn write(folder: &Path) -> Result<(), Failure> {
    let all = Results::all()?;
    if all.is_empty() {
        return Err("there are no results: run cargo bench -p benches --bench sockets first".into());
    }
    fs::write(folder.join("RESULTS.md"), markdown(&all))?;
    let charts: Vec<_> = all.iter().flat_map(|results| &results.charts).collect();
    if !charts.is_empty() {
        fs::write(folder.join("results.svg"), svg::draw(&charts, &machine::short()))?;
    }
    println!("\nwritten: {0}/RESULTS.md, {0}/results.svg", folder.display());
    Ok(())
}

fn markdown(all: &[Results]) -> String {
    let mut text =
        "# Results\n\n<!-- Written by `benches/results`: run that instead of changing this. -->\n\n".to_owned();
    text += "How each figure is taken, and how to read it: [README.md](README.md). Where time goes and what was tried: \
             [docs/performance.md](../docs/performance.md). Ratios hold from machine to machine, times do not.\n\n";
    text += "![Calls a second of each server](results.svg)\n\n## Where it was measured\n\n";
    let mut machine = machine::rows();
    machine.push(("measured".to_owned(), measured(all)));
    text +=
        &markdown_table(&["what", "which"].map(str::to_owned), machine.iter().map(|(a, b)| vec![a.clone(), b.clone()]));

    let rows: Vec<&Row> = all.iter().flat_map(|results| &results.rows).collect();
    let (bars, others): (Vec<&Row>, Vec<&Row>) = rows.into_iter().partition(|row| row.bar.is_some());
    let count = |verdict: &str| bars.iter().filter(|row| row.verdict() == verdict).count();
    let _ = write!(
        text,
        "\n## The bars\n\nOurs divided by theirs; in brackets the quartiles of the turns. {} reached, {} missed, {} failed.\n\n",
        count("reached"),
        count("MISSED"),
        count("FAILED")
    );
    let columns = ["what", "against", "figure", "bar", "", "measured in", "note"].map(str::to_owned);
    text += &markdown_table(&columns, bars.into_iter().map(cells));
    if !others.is_empty() {
        text += "\n## Without a bar\n\n";
        let columns = ["what", "against", "figure", "measured in", "note"].map(str::to_owned);
        let without = |row: &Row| {
            let mut cells = cells(row);
            cells.drain(3..5);
            cells
        };
        text += &markdown_table(&columns, others.into_iter().map(without));
    }
    text += "\n## What stands behind the ratios\n";
    for table in all.iter().flat_map(|results| &results.tables) {
        let Table { title, columns, rows } = table;
        let _ = write!(text, "\n### {title}\n\n{}", markdown_table(columns, rows.iter().cloned()));
    }
    text
}

fn cells(row: &Row) -> Vec<String> {
    let shown = |value| row.unit.show(value);
    let spread = row.spread.map(|(low, high)| format!(" ({} to {})", shown(low), shown(high))).unwrap_or_default();
    vec![
        row.name.clone(),
        row.against.clone(),
        format!("{}{spread}", shown(row.value)),
        row.bar.map(|bar| bar.show(row.unit)).unwrap_or_default(),
        if row.verdict() == "reached" { "reached".to_owned() } else { format!("**{}**", row.verdict().to_lowercase()) },
        row.configuration.clone(),
        row.note.clone(),
    ]
}

fn measured(all: &[Results]) -> String {
    let mut commits: Vec<&str> = all.iter().map(|results| results.commit.as_str()).collect();
    commits.sort_unstable();
    commits.dedup();
    let (first, last) = (all.iter().map(|r| r.taken).min(), all.iter().map(|r| r.taken).max());
    let days: Vec<String> = [first, last].into_iter().flatten().map(machine::day).collect();
    let days = match days.as_slice() {
        [first, last] if first != last => format!("{first} to {last}"),
        [first, ..] => first.clone(),
        [] => String::new(),
    };
    let changed = if commits.iter().any(|commit| commit.ends_with('+')) { " (+: with changes)" } else { "" };
    format!("{days}, commit {}{changed}", commits.join(", "))
}

fn markdown_table(columns: &[String], rows: impl Iterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut text = line(columns) + &format!("|{}\n", "---|".repeat(columns.len()));
    rows.for_each(|row| text += &line(&row));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Unit;

    #[test]
    fn a_missed_bar_is_told_loudly() {
        let mut results = Results::of("x");
        results.rows.push(Row::new("a | b", "c", 0.5, Unit::Ratio).at_least(0.97).measured_in("here"));
        results.rows.push(Row::new("no bar", "c", 0.5, Unit::Ratio));
        let text = markdown(&[results]);
        assert!(text.contains("| a \\| b | c | 0.500 | ≥ 0.970 | **missed** | here |  |"), "{text}");
        assert!(
            text.contains("0 reached, 1 missed, 0 failed") && text.contains("| no bar | c | 0.500 |  |  |"),
            "{text}"
        );
    }
}
