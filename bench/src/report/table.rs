//! The figures as Markdown.

use super::{Figure, Report};
use std::fmt::Write;

/// A heading and a table for each scenario.
pub fn table(report: &Report) -> String {
    let mut text = String::new();
    let machine = &report.machine;
    let _ = writeln!(
        text,
        "{} cores ({}), {} GiB, kernel {}, {}, {}\n",
        machine.cores,
        machine.cpu,
        machine.memory_gib,
        machine.kernel,
        machine.postgres,
        machine.rustc
    );
    for (name, scenario) in &report.scenarios {
        let _ = writeln!(text, "### {name}\n");
        let _ = writeln!(
            text,
            "`{}`, commit {}, {}, load average before: {:.1}\n",
            scenario.command, scenario.commit, scenario.taken_at, scenario.load_before
        );
        let _ = writeln!(
            text,
            "| case | measure | median | lowest to highest | runs |"
        );
        let _ = writeln!(text, "|---|---|---:|---:|---:|");
        let mut before = "";
        for figure in &scenario.figures {
            let case = if figure.case == before {
                ""
            } else {
                &figure.case
            };
            let _ = writeln!(text, "{}", row(case, figure));
            before = &figure.case;
        }
        text.push('\n');
    }
    text
}

fn row(case: &str, figure: &Figure) -> String {
    format!(
        "| {case} | {} | {} {} | {} to {} | {} |",
        figure.measure,
        number(figure.median),
        figure.unit,
        number(figure.low),
        number(figure.high),
        figure.runs.len()
    )
}

/// As few digits as tell it apart, thousands set off.
pub fn number(value: f64) -> String {
    let decimals = match value.abs() {
        it if it >= 100.0 => 0,
        it if it >= 10.0 => 1,
        it if it >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digits = whole.trim_start_matches('-');
    let mut grouped = String::from(if whole.starts_with('-') { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if !fraction.is_empty() {
        grouped.push('.');
        grouped.push_str(fraction);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_read_at_a_glance() {
        let numbers = [0.1234, 1.234, 12.34, 123.4, 12_345.6, 1_234_567.0, -0.5];
        let shown = numbers.map(number);
        assert_eq!(
            shown,
            [
                "0.123",
                "1.23",
                "12.3",
                "123",
                "12,346",
                "1,234,567",
                "-0.500"
            ]
        );
    }
}
