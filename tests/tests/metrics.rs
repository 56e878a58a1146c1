//! `docs/metrics.md` holds what the processes count, no more and no less.

use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Crates whose code runs in a process with `/metrics`.
const CRATES: [&str; 5] = [
    "application",
    "bootstrap",
    "domain",
    "infrastructure",
    "interfaces",
];

/// The macros that make a metric, each its own type.
const TYPES: [&str; 3] = ["counter", "gauge", "histogram"];

/// A metric's type and labels.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shape {
    kind: String,
    labels: BTreeSet<String>,
}

type Metrics = BTreeMap<String, Shape>;

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn the_list_of_metrics_is_what_the_code_counts() -> Result<()> {
    let mut counted = Metrics::new();
    for name in CRATES {
        read_folder(&checkout().join(name).join("src"), &mut counted)?;
    }
    let listed = listed(&fs::read_to_string(checkout().join("docs/metrics.md"))?)?;
    ensure!(!counted.is_empty(), "no metric was found in the sources");
    for (name, shape) in &counted {
        let found = listed.get(name);
        ensure!(
            found == Some(shape),
            "docs/metrics.md has {found:?} for {name}, the code {shape:?}"
        );
    }
    for name in listed.keys() {
        ensure!(
            counted.contains_key(name),
            "docs/metrics.md has {name}, which nothing counts"
        );
    }
    Ok(())
}

#[test]
fn names_end_with_what_they_are() -> Result<()> {
    let listed = listed(&fs::read_to_string(checkout().join("docs/metrics.md"))?)?;
    for (name, shape) in listed {
        let fits = match shape.kind.as_str() {
            "counter" => name.ends_with("_total"),
            // The suffix chooses the buckets.
            "histogram" => ["_seconds", "_events", "_batches"]
                .iter()
                .any(|unit| name.ends_with(unit)),
            _ => !name.ends_with("_total"),
        };
        ensure!(fits, "{name} is a {}", shape.kind);
    }
    Ok(())
}

/// Pages that name metrics, as alerts or in passing.
const PAGES: [&str; 7] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "README.md",
    "docs/faults.md",
    "docs/metrics.md",
    "docs/performance.md",
    "docs/promises.md",
];

#[test]
fn every_metric_and_label_that_a_page_names_is_one_that_is_counted() -> Result<()> {
    let listed = listed(&fs::read_to_string(checkout().join("docs/metrics.md"))?)?;
    let mut seen = 0;
    for page in PAGES {
        for (name, labels) in named(&fs::read_to_string(checkout().join(page))?) {
            let metric = counted_as(&name, &listed);
            let shape = metric.with_context(|| format!("{page} names {name}"))?;
            for label in labels {
                let known = shape.labels.contains(&label);
                ensure!(known, "{page} names {name} with the label {label}");
            }
            seen += 1;
        }
    }
    ensure!(seen > listed.len(), "the names on the pages were not found");
    Ok(())
}

#[test]
fn a_metric_in_an_expression_is_read_with_its_labels() {
    let text = r#"`rate(axs_a_total{reason!~"x\|y",task="z"}[5m]) > max(axs_b_seconds_bucket)`"#;
    let found = named(text);
    let labels = ["reason", "task"].map(str::to_owned).into();
    assert_eq!(
        found,
        [
            ("axs_a_total".to_owned(), labels),
            ("axs_b_seconds_bucket".to_owned(), BTreeSet::new()),
        ]
    );
    let histogram = Shape {
        kind: "histogram".to_owned(),
        labels: BTreeSet::new(),
    };
    let listed = Metrics::from([("axs_b_seconds".to_owned(), histogram)]);
    assert!(counted_as("axs_b_seconds_bucket", &listed).is_some());
    assert!(counted_as("axs_b_seconds_total", &listed).is_none());
}

/// What a histogram is scraped as, besides.
const SERIES_OF_HISTOGRAM: [&str; 3] = ["_bucket", "_count", "_sum"];

fn counted_as<'m>(name: &str, listed: &'m Metrics) -> Option<&'m Shape> {
    listed.get(name).or_else(|| {
        let series = |suffix| listed.get(name.strip_suffix(suffix)?);
        let found = SERIES_OF_HISTOGRAM.iter().find_map(series)?;
        (found.kind == "histogram").then_some(found)
    })
}

/// The metrics in a text, each with the labels in braces behind it.
fn named(text: &str) -> Vec<(String, BTreeSet<String>)> {
    let letter = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_';
    let mut found = Vec::new();
    for (at, _) in text.match_indices("axs_") {
        // A part of another name, such as a database's.
        if text[..at].ends_with(|before: char| letter(before) || before == '/') {
            continue;
        }
        let end = text[at..]
            .find(|it| !letter(it))
            .map_or(text.len(), |end| at + end);
        let matchers = text[end..]
            .strip_prefix('{')
            .and_then(|rest| rest.split_once('}'))
            .map_or("", |(inside, _)| inside);
        let labels = matchers.split(',').filter_map(|matcher| {
            let end = matcher.find(|it| !letter(it))?;
            Some(matcher[..end].to_owned())
        });
        found.push((text[at..end].to_owned(), labels.collect()));
    }
    found
}

/// The sources are read well enough: a constant as name, several lines, several labels.
#[test]
fn a_metric_is_found_however_its_macro_is_written() -> Result<()> {
    let mut counted = Metrics::new();
    let text = r#"
        pub const NAME: &str = "axs_named_total";
        metrics::counter!(
            NAME, "method" => self.method, "code" => code_label(self.code)
        )
        .increment(1);
        let lag = gauge!("axs_lag", "partition" => partition.to_string());
        histogram!("axs_x_seconds").record(1.0);
        describe_counter!(name, help);
    "#;
    read_source(text, &mut counted)?;
    let labels = |name: &str| counted[name].labels.iter().cloned().collect::<Vec<_>>();
    assert_eq!(counted.len(), 3);
    assert_eq!(labels("axs_named_total"), ["code", "method"]);
    assert_eq!(labels("axs_lag"), ["partition"]);
    assert_eq!(counted["axs_x_seconds"].kind, "histogram");
    Ok(())
}

fn read_folder(folder: &Path, metrics: &mut Metrics) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            read_folder(&path, metrics)?;
        } else if path.extension().is_some_and(|it| it == "rs") {
            let text = fs::read_to_string(&path)?;
            read_source(&text, metrics).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

/// Notes every metric that a source makes.
fn read_source(text: &str, metrics: &mut Metrics) -> Result<()> {
    for kind in TYPES {
        let start = format!("{kind}!(");
        for (at, _) in text.match_indices(&start) {
            // `describe_counter!` and its like make none.
            if text[..at].ends_with('_') {
                continue;
            }
            let arguments = in_parentheses(&text[at + start.len()..])
                .with_context(|| format!("{kind}! at byte {at} has no end"))?;
            let (first, rest) = arguments.split_once(',').unwrap_or((arguments, ""));
            let name = literal(first)
                .or_else(|| constant(first.trim(), text))
                .with_context(|| format!("{kind}!({first}): the name can't be read"))?;
            let shape = Shape {
                kind: kind.to_owned(),
                labels: labels(rest),
            };
            let known = metrics.entry(name.clone()).or_insert_with(|| shape.clone());
            ensure!(*known == shape, "{name} is {known:?} and {shape:?}");
        }
    }
    Ok(())
}

/// The text up to the parenthesis that closes it.
fn in_parentheses(text: &str) -> Option<&str> {
    let mut open = 1_usize;
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => open += 1,
            ')' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(&text[..at]);
        }
    }
    None
}

fn literal(text: &str) -> Option<String> {
    let inside = text.trim().strip_prefix('"')?.strip_suffix('"')?;
    Some(inside.to_owned())
}

fn constant(name: &str, text: &str) -> Option<String> {
    let start = format!("const {name}: &str = ");
    let (_, value) = text.split_once(&start)?;
    literal(value.split_once(';')?.0)
}

/// The names before `=>`.
fn labels(text: &str) -> BTreeSet<String> {
    let before_arrows = text.split("=>").collect::<Vec<_>>();
    let names = before_arrows
        .split_last()
        .map_or(&[][..], |(_, names)| names);
    names
        .iter()
        .filter_map(|text| text.rsplit(',').next().and_then(literal))
        .collect()
}

/// The rows of the tables: name, type, labels, unit, what it tells.
fn listed(text: &str) -> Result<Metrics> {
    let mut metrics = Metrics::new();
    for row in text.lines().filter(|line| line.starts_with("| `axs_")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, name, kind, labels, unit, tells, _] = cells.as_slice() else {
            anyhow::bail!("not five cells: {row}");
        };
        ensure!(
            !unit.is_empty() && !tells.is_empty(),
            "an empty cell: {row}"
        );
        let plain = |text: &str| text.trim().trim_matches('`').to_owned();
        let shape = Shape {
            kind: (*kind).to_owned(),
            labels: labels
                .split(',')
                .map(plain)
                .filter(|label| !label.is_empty())
                .collect(),
        };
        ensure!(
            metrics.insert(plain(name), shape).is_none(),
            "listed twice: {row}"
        );
    }
    Ok(metrics)
}
