use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{DescriptorEncoder, MetricEncoder},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Unit,
};

use super::{buckets::Layout, durations::Durations, histogram::Histogram};
use crate::{Class, Code, Method, Transport};

const TRANSPORTS: [Transport; 3] = [Transport::Grpc, Transport::Http, Transport::Local];

/// On which side of a call figures were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Side {
    /// Calls that are served.
    Server,
    /// Calls that are made.
    Client,
}

impl Side {
    /// `server` or `client`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}

/// The figures of one method since the start of the process.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MethodFigures {
    /// Which side.
    pub side: Side,
    /// The service with its package.
    pub service: Cow<'static, str>,
    /// The method.
    pub method: Cow<'static, str>,
    /// Calls that are over.
    pub calls: u64,
    /// Those of them that failed by our fault or an upstream's: not the mistakes of callers.
    pub errors: u64,
    /// Calls that run.
    pub in_flight: u64,
    /// How long the calls took.
    pub durations: Durations,
}

/// The series of one method on one side. Those of a code and of a transport are made with the first call that has them: what
/// never happens is not shown, and there can't be more than the codes and transports that exist.
#[derive(Debug)]
pub(crate) struct MethodSeries {
    pub(super) side: Side,
    method: Method,
    durations: Arc<Layout>,
    sizes: Arc<Layout>,
    transports: [TransportSeries; TRANSPORTS.len()],
    errors: AtomicU64,
}

#[derive(Debug, Default)]
struct TransportSeries {
    // Calls that began. Those that run are these without those that the histograms have: one addition a call less than a
    // gauge that goes up and down.
    started: AtomicU64,
    durations: [OnceLock<Box<Histogram>>; Code::ALL.len()],
    request_sizes: OnceLock<Box<Histogram>>,
    response_sizes: OnceLock<Box<Histogram>>,
}

impl TransportSeries {
    fn histograms(&self) -> impl Iterator<Item = (Code, &Histogram)> {
        let made = Code::ALL.into_iter().zip(&self.durations);
        made.filter_map(|(code, cell)| cell.get().map(|histogram| (code, &**histogram)))
    }

    fn in_flight(&self) -> u64 {
        let (started, ended) = self.started_and_ended();
        started.saturating_sub(ended)
    }

    /// The ends first, then the starts: what ends in between looks as if it ran, and nothing ends before it began.
    fn started_and_ended(&self) -> (u64, u64) {
        let ended = self.histograms().map(|(_, histogram)| histogram.count()).sum();
        (self.started.load(Ordering::Acquire), ended)
    }
}

impl MethodSeries {
    pub(super) fn new(side: Side, method: &Method, durations: &Arc<Layout>, sizes: &Arc<Layout>) -> Self {
        Self {
            side,
            method: method.clone(),
            durations: Arc::clone(durations),
            sizes: Arc::clone(sizes),
            transports: Default::default(),
            errors: AtomicU64::new(0),
        }
    }

    pub(super) fn is(&self, side: Side, method: &Method) -> bool {
        self.side == side && self.method == *method
    }

    #[inline]
    fn at(&self, transport: Transport) -> &TransportSeries {
        let [grpc, http, local] = &self.transports;
        match transport {
            Transport::Grpc => grpc,
            Transport::Http => http,
            Transport::Local => local,
        }
    }

    #[inline]
    pub(crate) fn started(&self, transport: Transport) {
        self.at(transport).started.fetch_add(1, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn ended(&self, transport: Transport, code: Code, class: Option<Class>, after: Duration) {
        if matches!(class, Some(Class::Fault | Class::Transient)) {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
        // The numbers of the codes are their places.
        let cell = usize::try_from(code as i32).ok().and_then(|place| self.at(transport).durations.get(place));
        if let Some(cell) = cell {
            cell.get_or_init(|| Box::new(Histogram::new(&self.durations))).record_duration(after);
        }
    }

    #[inline]
    pub(crate) fn request_size(&self, transport: Transport, bytes: usize) {
        self.size(&self.at(transport).request_sizes, bytes);
    }

    #[inline]
    pub(crate) fn response_size(&self, transport: Transport, bytes: usize) {
        self.size(&self.at(transport).response_sizes, bytes);
    }

    #[inline]
    fn size(&self, cell: &OnceLock<Box<Histogram>>, bytes: usize) {
        let histogram = cell.get_or_init(|| Box::new(Histogram::new(&self.sizes)));
        histogram.record(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    pub(crate) fn figures(&self) -> MethodFigures {
        let (mut calls, mut durations) = (0, Durations::default());
        for (_, histogram) in self.transports.iter().flat_map(TransportSeries::histograms) {
            let snapshot = histogram.snapshot();
            calls += snapshot.count();
            durations.add(&snapshot);
        }
        let in_flight: u64 = self.transports.iter().map(TransportSeries::in_flight).sum();
        MethodFigures {
            side: self.side,
            service: self.method.service.clone(),
            method: self.method.name.clone(),
            calls,
            errors: self.errors.load(Ordering::Relaxed),
            in_flight,
            durations,
        }
    }

    /// The transports that were used, with the labels that all series of the method have.
    fn used(&self) -> impl Iterator<Item = ([(&str, &str); 3], &TransportSeries)> {
        let used = |(_, series): &(Transport, &TransportSeries)| series.started.load(Ordering::Relaxed) > 0;
        TRANSPORTS.into_iter().zip(&self.transports).filter(used).map(|(transport, series)| {
            let method = [("rpc_service", &*self.method.service), ("rpc_method", &*self.method.name)];
            let [service, method] = method;
            ([service, method, ("transport", transport.name())], series)
        })
    }
}

/// Writes the series of all methods of one side.
pub(super) fn encode(side: Side, methods: &[Arc<MethodSeries>], to: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let methods: Vec<_> = methods.iter().filter(|series| series.side == side).collect();
    let used = || methods.iter().flat_map(|series| series.used());
    if used().next().is_none() {
        return Ok(());
    }
    let (side, seen) = match side {
        Side::Server => ("server", "served"),
        Side::Client => ("client", "made"),
    };

    let help = format!("How long the calls took that were {seen}, streams until their end.");
    let name = format!("rpc_{side}_call_duration");
    let mut family = to.encode_descriptor(&name, &help, Some(&Unit::Seconds), MetricType::Histogram)?;
    for ([service, method, transport], series) in used() {
        for (code, histogram) in series.histograms() {
            let labels = [service, method, ("rpc_response_status_code", code.name()), transport];
            histogram.encode(&mut family.encode_family(&labels)?)?;
        }
    }

    let (help, name) = (format!("Calls that are being {seen} now."), format!("rpc_{side}_active_calls"));
    let mut family = to.encode_descriptor(&name, &help, None, MetricType::Gauge)?;
    for (labels, series) in used() {
        let running = ConstGauge::new(i64::try_from(series.in_flight()).unwrap_or(i64::MAX));
        prometheus_client::encoding::EncodeMetric::encode(&running, family.encode_family(&labels)?)?;
    }

    let sizes = |what, to: &mut DescriptorEncoder<'_>, of: fn(&TransportSeries) -> Option<&Histogram>| {
        let help = format!("Sizes of the {what} messages of calls that were {seen}, each message of a stream.");
        let name = format!("rpc_{side}_{what}_size");
        let mut family = to.encode_descriptor(&name, &help, Some(&Unit::Bytes), MetricType::Histogram)?;
        used().try_for_each(|(labels, series)| encode_one(&mut family, &labels, of(series)))
    };
    sizes("request", to, |series| series.request_sizes.get().map(|histogram| &**histogram))?;
    sizes("response", to, |series| series.response_sizes.get().map(|histogram| &**histogram))
}

fn encode_one(to: &mut MetricEncoder<'_>, labels: &[(&str, &str); 3], histogram: Option<&Histogram>) -> fmt::Result {
    match histogram {
        Some(histogram) => histogram.encode(&mut to.encode_family(labels)?),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        MethodInfo, MethodKind,
        telemetry::metrics::{Metrics, buckets::Quantity},
    };

    fn series() -> MethodSeries {
        let method = Method::from(MethodInfo::new("a.B", "C", MethodKind::Unary));
        let layout = |quantity| Arc::new(Layout::new(quantity, &[1.0], None));
        MethodSeries::new(Side::Server, &method, &layout(Quantity::Duration), &layout(Quantity::Size))
    }

    #[test]
    fn the_number_of_a_code_is_its_place() {
        for (place, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, place);
        }
    }

    #[test]
    fn figures_are_those_of_all_codes_and_transports() {
        let (series, second) = (series(), Duration::from_secs(1));
        for transport in TRANSPORTS {
            for _ in 0..4 {
                series.started(transport);
            }
            series.ended(transport, Code::Ok, None, second);
            series.ended(transport, Code::NotFound, Some(Class::Caller), second);
            series.ended(transport, Code::Internal, Some(Class::Fault), second);
        }
        let figures = series.figures();
        assert_eq!((figures.calls, figures.errors, figures.in_flight), (9, 3, 3));
        assert_eq!(figures.durations.count(), 9);
    }

    #[test]
    fn calls_that_run_are_never_below_zero_while_threads_count() {
        let series = series();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let worker = || {
                for _ in 0..5_000 {
                    series.started(Transport::Grpc);
                    series.ended(Transport::Grpc, Code::Ok, None, Duration::from_micros(5));
                }
            };
            let workers = [scope.spawn(worker), scope.spawn(worker)];
            let reader = scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let (started, ended) = series.at(Transport::Grpc).started_and_ended();
                    assert!(started >= ended, "{started} {ended}");
                }
            });
            workers.into_iter().for_each(|worker| worker.join().unwrap());
            done.store(true, Ordering::Relaxed);
            reader.join().unwrap();
        });
        let figures = series.figures();
        assert_eq!((figures.calls, figures.in_flight), (10_000, 0));
    }

    #[test]
    fn one_method_has_its_series_once() {
        let metrics = Metrics::new();
        let method = || Method::from(MethodInfo::new("a.B", "C", MethodKind::Unary));
        let (first, again) = (metrics.series(Side::Server, &method()), metrics.series(Side::Server, &method()));
        assert!(Arc::ptr_eq(&first, &again));
        assert!(!Arc::ptr_eq(&first, &metrics.series(Side::Client, &method())));
        assert_eq!(metrics.methods().len(), 2);
    }
}
