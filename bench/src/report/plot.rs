//! The plots of the docs, as SVG.

use super::{Figure, Report, ScenarioReport};
use crate::scenario::TREND;
use anyhow::{Result, anyhow};
use plotters::prelude::*;
use std::path::Path;

const SIZE: (u32, u32) = (760, 420);
const FONT: (&str, u32) = ("sans-serif", 15);
const TITLE: (&str, u32) = ("sans-serif", 19);
const COLOURS: [RGBColor; 6] = [
    RGBColor(0x1f, 0x77, 0xb4),
    RGBColor(0xd6, 0x60, 0x1d),
    RGBColor(0x2c, 0xa0, 0x2c),
    RGBColor(0x94, 0x67, 0xbd),
    RGBColor(0x8c, 0x56, 0x4b),
    RGBColor(0x55, 0x55, 0x55),
];

/// A line of a plot.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

/// What stands beside the axes.
struct Labels<'a> {
    title: &'a str,
    across: &'a str,
    up: &'a str,
}

/// Draws what the report holds into a folder. What was not measured is not drawn.
///
/// # Errors
/// A file can't be written.
pub fn draw(report: &Report, folder: &Path) -> Result<()> {
    if let Some(factors) = report.scenarios.get("factors") {
        throughput(factors, &folder.join("throughput_by_request.svg"))?;
    }
    if let Some(latency) = report.scenarios.get("latency") {
        percentiles(latency, "logged", &folder.join("latency_logged.svg"))?;
        percentiles(latency, "final and told", &folder.join("latency_final.svg"))?;
    }
    if let Some(growth) = report.scenarios.get("growth") {
        by_log_rows(growth, &folder.join("growth.svg"))?;
    }
    if let Some(base) = report.scenarios.get("end_to_end") {
        steps(base, &folder.join("batch_time.svg"))?;
        spent(base, &folder.join("cpu.svg"))?;
        for (measure, title) in [
            ("rate", "Events made final, over time"),
            ("lag", "Events logged and not final yet, over time"),
        ] {
            over_time(base, measure, title, &folder.join(format!("{measure}.svg")))?;
        }
    }
    Ok(())
}

fn throughput(factors: &ScenarioReport, path: &Path) -> Result<()> {
    let sizes = [
        ("requests of 1", 1.0),
        ("requests of 10", 10.0),
        ("base", 50.0),
        ("requests of 100", 100.0),
    ];
    let lines = ["final", "logged"].map(|measure| Line {
        name: measure.to_owned(),
        points: sizes
            .iter()
            .filter_map(|(case, size)| {
                let found = factors
                    .figures
                    .iter()
                    .find(|it| it.measure == measure && it.case.split(':').next() == Some(*case))?;
                Some((*size, found.median))
            })
            .collect(),
    });
    let labels = Labels {
        title: "Throughput by events of a request, 16 callers",
        across: "events of a request",
        up: "events/s",
    };
    lines_plot(path, &labels, &lines)
}

fn percentiles(latency: &ScenarioReport, what: &str, path: &Path) -> Result<()> {
    let lines = ["p50", "p99", "p99.9"].map(|percentile| Line {
        name: percentile.to_owned(),
        points: latency
            .figures
            .iter()
            .filter(|it| it.measure == format!("{what}, {percentile}"))
            .filter_map(|it| Some((share(&it.case)?, it.median)))
            .collect(),
    });
    let title = format!("Submit → {what}, open loop");
    let labels = Labels {
        title: &title,
        across: "% of the sustained rate",
        up: "ms",
    };
    lines_plot(path, &labels, &lines)
}

fn by_log_rows(growth: &ScenarioReport, path: &Path) -> Result<()> {
    let trends = growth.series.iter().filter(|it| it.measure == TREND);
    let lines: Vec<Line> = trends
        .map(|series| Line {
            name: series.case.clone(),
            points: series.points.clone(),
        })
        .collect();
    let labels = Labels {
        title: "Throughput by log rows, measured in turn",
        across: "million log rows filled into the larger deployment",
        up: "events/s",
    };
    lines_plot(path, &labels, &lines)
}

/// The number before the `%` in a case's name.
fn share(case: &str) -> Option<f64> {
    case.split_once(" %")?.0.parse().ok()
}

fn steps(base: &ScenarioReport, path: &Path) -> Result<()> {
    let mut bars: Vec<(String, f64)> = base.figures.iter().filter_map(step).collect();
    bars.sort_by(|one, other| other.1.total_cmp(&one.1));
    bars_plot(path, "Where the time of a batch goes, ms", &bars)
}

fn step(figure: &Figure) -> Option<(String, f64)> {
    let name = figure.measure.strip_prefix("step, ")?;
    Some((name.to_owned(), figure.median))
}

fn spent(base: &ScenarioReport, path: &Path) -> Result<()> {
    let mut bars: Vec<(String, f64)> = base
        .figures
        .iter()
        .filter_map(|it| Some((it.measure.strip_prefix("cpu, ")?, it.median)))
        .filter(|(name, _)| !name.starts_with("others") && !name.starts_with("the load"))
        .map(|(name, seconds)| (name.to_owned(), seconds))
        .collect();
    bars.sort_by(|one, other| other.1.total_cmp(&one.1));
    bars_plot(
        path,
        "CPU by process, core-seconds for 100,000 events",
        &bars,
    )
}

fn over_time(base: &ScenarioReport, measure: &str, title: &str, path: &Path) -> Result<()> {
    let Some(series) = base.series.iter().find(|it| it.measure == measure) else {
        return Ok(());
    };
    let labels = Labels {
        title,
        across: "s since the first submit",
        up: &series.unit,
    };
    let line = Line {
        name: measure.to_owned(),
        points: series.points.clone(),
    };
    lines_plot(path, &labels, &[line])
}

fn lines_plot(path: &Path, labels: &Labels<'_>, lines: &[Line]) -> Result<()> {
    let all = || lines.iter().flat_map(|line| line.points.iter());
    let right = all().map(|point| point.0).fold(0.0, f64::max);
    let top = all().map(|point| point.1).fold(0.0, f64::max);
    if right <= 0.0 || top <= 0.0 {
        return Ok(());
    }
    let failed = |error: &dyn std::fmt::Display| anyhow!("{}: {error}", path.display());
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    let mut chart = ChartBuilder::on(&area)
        .caption(labels.title, TITLE)
        .margin(14)
        .x_label_area_size(42)
        .y_label_area_size(72)
        .build_cartesian_2d(0.0..right * 1.03, 0.0..top * 1.08)
        .map_err(|error| failed(&error))?;
    chart
        .configure_mesh()
        .x_desc(labels.across)
        .y_desc(labels.up)
        .label_style(FONT)
        .max_light_lines(1)
        .draw()
        .map_err(|error| failed(&error))?;
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let style = colour.stroke_width(2);
        chart
            .draw_series(LineSeries::new(line.points.iter().copied(), style))
            .map_err(|error| failed(&error))?
            .label(line.name.clone())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .label_font(FONT)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()
        .map_err(|error| failed(&error))?;
    area.present().map_err(|error| failed(&error))
}

fn bars_plot(path: &Path, title: &str, bars: &[(String, f64)]) -> Result<()> {
    let longest = bars.iter().map(|bar| bar.1).fold(0.0, f64::max);
    if longest <= 0.0 {
        return Ok(());
    }
    let failed = |error: &dyn std::fmt::Display| anyhow!("{}: {error}", path.display());
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    let area = area.titled(title, TITLE).map_err(|error| failed(&error))?;
    let (width, height) = area.dim_in_pixel();
    let row = i32::try_from(height)? / i32::try_from(bars.len())?;
    // Names stand left of the bars, figures right of them.
    let (left, room) = (210, f64::from(width) - 210.0 - 90.0);
    for (nth, (name, value)) in (0i32..).zip(bars) {
        let top = nth * row + row / 6;
        #[expect(clippy::cast_possible_truncation, reason = "pixels of a small picture")]
        let length = (value / longest * room) as i32;
        let shape = [(left, top), (left + length, top + row * 2 / 3)];
        area.draw(&Rectangle::new(shape, COLOURS[0].filled()))
            .map_err(|error| failed(&error))?;
        let middle = top + row / 3 - 7;
        let texts = [
            (name.clone(), 14),
            (super::number(*value), left + length + 8),
        ];
        for (text, x) in texts {
            area.draw(&Text::new(text, (x, middle), FONT.into_font()))
                .map_err(|error| failed(&error))?;
        }
    }
    area.present().map_err(|error| failed(&error))
}
