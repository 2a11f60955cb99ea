//! An audit as a table for terminals.

use super::AuditReport;
use super::markdown::{interval, signed};

impl AuditReport {
    /// Returns the verdicts, at most 80 columns wide if names are short.
    pub fn text(&self) -> String {
        let mut rows = vec![["statement", "§", "difference", "adjusted", "verdict"].map(str::to_owned)];
        for statement in &self.statements {
            let found = statement.comparison.as_ref();
            let seeds = found
                .filter(|found| !found.complete)
                .map_or(String::new(), |found| format!(": {} of {} seeds", found.seeds, found.registered));
            rows.push([
                statement.id.clone(),
                statement.section.clone(),
                found.map_or(String::new(), |found| signed(found.difference)),
                found.map_or(String::new(), |found| interval(found.adjusted_interval)),
                statement.verdict().to_owned() + &seeds,
            ]);
        }
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..4).map(width).collect();
        let mut text = format!("\n{}\n\n", self.about);
        for row in &rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}  "));
            text += (cells.collect::<String>() + &row[4]).trim_end();
            text.push('\n');
        }
        let counts: Vec<String> =
            self.counts().into_iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
        text + &format!("\n{} statements: {}", self.statements.len(), counts.join(", "))
    }
}
