use super::{Case, Runner, Samples, Spread, Turn};
use crate::results::{Bar, Chart, ChartBar, Results, Row, Table, Unit};

/// A figure of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Calls a second.
    Rate,
    /// Messages of streams a second.
    Messages,
    /// How long 99 of 100 calls took at most.
    P99,
    /// The processor time of the server for a call.
    Processor,
}

impl Figure {
    fn of(self, turn: &Turn) -> f64 {
        match self {
            Self::Rate => turn.report.rate,
            Self::Messages => turn.report.messages as f64 / turn.report.seconds,
            Self::P99 => turn.report.latency_us.p99,
            Self::Processor => turn.processor_nanos(),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Rate => "calls/s",
            Self::Messages => "messages/s",
            Self::P99 => "p99",
            Self::Processor => "processor time of a call",
        }
    }
}

/// What is compared: a figure of one case, divided by that of another.
#[derive(Clone, Debug)]
struct Comparison {
    ours: String,
    theirs: String,
    figure: Figure,
    bar: Option<Bar>,
}

/// Cases that are measured together, and the bars that they are held to.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// In a file name and as a filter: `grpc-50x10`.
    pub key: &'static str,
    title: &'static str,
    cases: Vec<Case>,
    comparisons: Vec<Comparison>,
    chart: Vec<&'static str>,
}

impl Scenario {
    /// Without cases.
    pub fn new(key: &'static str, title: &'static str) -> Self {
        Self { key, title, cases: Vec::new(), comparisons: Vec::new(), chart: Vec::new() }
    }

    /// With another case.
    #[must_use]
    pub fn case(mut self, case: impl Into<Option<Case>>) -> Self {
        self.cases.extend(case.into());
        self
    }

    /// Divides a figure of the case `ours` by that of `theirs`. Left out where one of them was.
    #[must_use]
    pub fn compare(mut self, figure: Figure, ours: &str, theirs: &str, bar: impl Into<Option<Bar>>) -> Self {
        let bar = bar.into();
        self.comparisons.push(Comparison { ours: ours.to_owned(), theirs: theirs.to_owned(), figure, bar });
        self
    }

    /// Shows these in the picture, the first of them as what the others are compared with.
    #[must_use]
    pub fn shown(mut self, cases: &[&'static str]) -> Self {
        self.chart = cases.to_vec();
        self
    }

    /// Measures everything, prints it, and says what failed.
    pub fn run(&self, runner: &Runner) -> (Results, Vec<String>) {
        println!("\n{}: {} in turns", self.title, self.cases.len());
        let samples = runner.run(&self.cases);
        let mut results = Results::of(format!("sockets-{}", self.key));
        let table = self.table(&samples);
        print_table(&table);
        results.table(table);
        for comparison in &self.comparisons {
            if let Some(row) = self.row(comparison, &samples) {
                results.record(row);
            }
        }
        results.charts.extend(self.chart(&samples));
        let failures = samples.iter().filter_map(|samples| {
            let failure = samples.failure.as_ref()?;
            println!("FAILED: {}, {}: {failure}", self.title, samples.case.name);
            Some(format!("{}, {}: {failure}", self.title, samples.case.name))
        });
        let failures = failures.collect();
        (results, failures)
    }

    fn row(&self, comparison: &Comparison, samples: &[Samples]) -> Option<Row> {
        let find = |name: &str| samples.iter().find(|samples| samples.case.name == name);
        let (ours, theirs) = (find(&comparison.ours)?, find(&comparison.theirs)?);
        // As fast as it goes, what counts is the server. Where the driver was the limit, its rate says nothing of the server, but
        // the processor time of a call does: so many calls would fit into a second.
        let limited = comparison.figure == Figure::Rate && !(ours.is_saturated() && theirs.is_saturated());
        let figure = |turn: &Turn| match limited {
            true => 1e9 / turn.processor_nanos(),
            false => comparison.figure.of(turn),
        };
        let failed = ours.failure.is_some() || theirs.failure.is_some();
        let spread = Spread::of_ratios(&ours.each(figure), &theirs.each(figure));
        let value = if failed { f64::NAN } else { spread.median };
        let mut notes = Vec::new();
        if limited && !failed {
            notes.push("the driver was the limit: calls for each second of the server's processor time".to_owned());
        }
        notes.extend([ours, theirs].iter().filter_map(|samples| {
            samples.failure.as_ref().map(|failure| format!("{} failed: {failure}", samples.case.name))
        }));
        notes.extend(ours.turns.last().map(|turn| turn.said.clone()).filter(|said| said.contains(" spans ")));
        let name = format!("{}: {}", self.title, comparison.ours);
        let against = format!("against {}, {}", comparison.theirs, comparison.figure.name());
        let configuration = match ours.case.subject.configuration == theirs.case.subject.configuration {
            true => format!("both {}", ours.case.subject.configuration),
            false => format!("{}; {}", ours.case.subject.configuration, theirs.case.subject.configuration),
        };
        let mut row = Row::new(name, against, value, Unit::Ratio)
            .spread(spread.low, spread.high)
            .measured_in(configuration)
            .note(notes.join("; "));
        row.bar = comparison.bar;
        Some(row)
    }

    fn table(&self, samples: &[Samples]) -> Table {
        let columns = [
            "server",
            "measured in",
            "calls/s",
            "quartiles",
            "messages/s",
            "processor a call",
            "server busy",
            "driver busy",
            "p50",
            "p99",
            "p99.9",
            "memory",
        ];
        let rows = samples.iter().map(|samples| {
            let (rate, messages) =
                (samples.spread(|turn| turn.report.rate), samples.spread(|t| Figure::Messages.of(t)));
            let median = |figure: &dyn Fn(&Turn) -> f64| samples.spread(figure).median;
            let millis = |figure: &dyn Fn(&Turn) -> f64| format!("{:.2} ms", median(figure) / 1e3);
            vec![
                samples.case.name.clone(),
                samples.case.subject.configuration.clone(),
                if samples.failure.is_some() { "FAILED".to_owned() } else { thousands(rate.median) },
                format!("{} to {}", thousands(rate.low), thousands(rate.high)),
                if samples.case.load.server_stream { thousands(messages.median) } else { String::new() },
                format!("{:.2} µs", median(&Turn::processor_nanos) / 1e3),
                percent(median(&|turn| turn.server_share.unwrap_or(f64::NAN))),
                percent(median(&Turn::driver_share)),
                millis(&|turn| turn.report.latency_us.p50),
                millis(&|turn| turn.report.latency_us.p99),
                millis(&|turn| turn.report.latency_us.p99_9),
                format!("{:.1} MB", median(&|turn| turn.memory.map_or(f64::NAN, |bytes| bytes as f64)) / 1e6),
            ]
        });
        let mut table =
            Table { title: self.title.to_owned(), columns: columns.map(str::to_owned).to_vec(), rows: rows.collect() };
        table.drop_empty_columns();
        table
    }

    fn chart(&self, samples: &[Samples]) -> Option<Chart> {
        let bars = self.chart.iter().filter_map(|&name| {
            let samples = samples.iter().find(|samples| samples.case.name == name && samples.failure.is_none())?;
            Some(ChartBar {
                name: name.to_owned(),
                value: samples.spread(|turn| turn.report.rate).median,
                ours: name.starts_with("kit"),
            })
        });
        let bars: Vec<_> = bars.filter(|bar| bar.value.is_finite()).collect();
        (!bars.is_empty()).then(|| Chart { title: self.title.to_owned(), bars })
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// `123,456`.
pub(crate) fn thousands(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    let digits = format!("{value:.0}");
    let mut text = String::with_capacity(digits.len() + 4);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn print_table(table: &Table) {
    let all = || std::iter::once(&table.columns).chain(&table.rows);
    let width = |column: usize| all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<_> = (0..table.columns.len()).map(|column| width(column).unwrap_or_default()).collect();
    for row in all() {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        println!("{}", cells.join("  ").trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(thousands(131_072.4), "131,072");
        assert_eq!(thousands(7.0), "7");
        assert_eq!(thousands(f64::NAN), "-");
    }
}
