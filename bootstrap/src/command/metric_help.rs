//! The `# HELP` lines of `/metrics`: what `docs/metrics.md` tells of each metric. A test of the
//! workspace holds that list against the sources.

use metrics::{describe_counter, describe_gauge, describe_histogram};

/// The list of the metrics, for people.
const LIST: &str = include_str!("../../../docs/metrics.md");

/// How a row of the list begins.
const ROW: &str = "| `axs_";

/// Tells the installed recorder what every metric is.
pub fn describe_all() {
    for (name, kind, help) in listed() {
        match kind {
            "counter" => describe_counter!(name, help),
            "gauge" => describe_gauge!(name, help),
            _ => describe_histogram!(name, help),
        }
    }
}

/// Name, type and help of every row: name, type, labels, unit, what it tells.
fn listed() -> impl Iterator<Item = (&'static str, &'static str, String)> {
    let rows = LIST.lines().filter(|line| line.starts_with(ROW));
    rows.filter_map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, name, kind, _, unit, tells, _] = cells.as_slice() else {
            return None;
        };
        let help = format!("{}: {}", unit, tells.replace('`', ""));
        Some((name.trim_matches('`'), *kind, help))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics_exporter_prometheus::PrometheusBuilder;

    #[test]
    fn every_row_of_the_list_is_a_help_line() {
        let rows = LIST.lines().filter(|line| line.starts_with(ROW)).count();
        assert!(rows > 50, "{rows}");
        assert_eq!(listed().count(), rows);
        let kinds = ["counter", "gauge", "histogram"];
        assert!(listed().all(|(_, kind, _)| kinds.contains(&kind)));
    }

    #[test]
    fn a_metric_is_rendered_with_its_help() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let rendering = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            describe_all();
            metrics::gauge!("axs_partitions_led").set(1.0);
        });
        let text = rendering.render();
        let help = "# HELP axs_partitions_led partitions: led by this process\n";
        assert!(text.contains(help), "{text}");
    }
}
