//! Collectors that misbehave, with the clock stopped.

use std::{
    collections::VecDeque,
    io::{Read as _, Write},
    sync::Mutex,
};

use bytes::Bytes;
use tokio::time::Instant;
use tracing_subscriber::layer::SubscriberExt as _;

use super::{
    post::{Failed, Post},
    *,
};
use crate::{
    telemetry::zipkin::Zipkin,
    trace::{Sample, TraceConfig, Tracer},
};

#[derive(Clone, Copy)]
enum Step {
    Take,
    /// Fails, for the first time or for good, and says when to come back.
    Fail {
        again: bool,
        after: Option<u64>,
    },
    Hang,
}

const FAIL: Step = Step::Fail { again: true, after: None };

/// Does what it is told, at the end the same for ever.
#[derive(Clone)]
struct Collector(Arc<Inner>);

struct Inner {
    steps: Mutex<VecDeque<Step>>,
    posts: Mutex<Vec<(Instant, Vec<String>)>>,
}

impl Collector {
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self(Arc::new(Inner { steps: Mutex::new(steps.into_iter().collect()), posts: Mutex::default() }))
    }

    /// The names of the spans in each request, and when it came.
    fn posts(&self) -> Vec<(Instant, Vec<String>)> {
        self.0.posts.lock().unwrap().clone()
    }

    fn sizes(&self) -> Vec<usize> {
        self.posts().iter().map(|(_, names)| names.len()).collect()
    }
}

impl Post for Collector {
    async fn post(&self, body: Bytes) -> Result<Bytes, Failed> {
        let mut json = String::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut json).unwrap();
        let spans: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
        let names = spans.iter().map(|span| span["name"].as_str().unwrap().to_owned()).collect();
        self.0.posts.lock().unwrap().push((Instant::now(), names));
        let step = {
            let mut steps = self.0.steps.lock().unwrap();
            if steps.len() > 1 { steps.pop_front() } else { steps.front().copied() }
        };
        match step.unwrap() {
            Step::Take => Ok(Bytes::new()),
            Step::Fail { again, after } => {
                Err(Failed { why: "on purpose".to_owned(), again, after: after.map(Duration::from_secs) })
            }
            Step::Hang => std::future::pending().await,
        }
    }

    fn target(&self) -> &str {
        "http://collector"
    }
}

fn config() -> ReporterConfig {
    ReporterConfig { queue: 10, batch: 4, ..ReporterConfig::default() }
}

fn start(config: &ReporterConfig, collector: &Collector) -> (Reporter, Tracer) {
    let reporter = Reporter::run(config, Zipkin, collector.clone());
    let settings = TraceConfig { sample: Sample::Always, ..TraceConfig::default() };
    let tracer = Tracer::builder(&settings, "test").export(reporter.exporter()).build();
    (reporter, tracer)
}

fn record(tracer: &Tracer, count: usize) {
    for number in 0..count {
        drop(tracer.start(number.to_string()));
    }
}

/// Waits, on the stopped clock, until the figures are as they should be.
async fn until(reporter: &Reporter, what: impl Fn(ReporterFigures) -> bool) -> ReporterFigures {
    let end = Instant::now() + Duration::from_secs(3600);
    loop {
        let figures = reporter.figures();
        if what(figures) {
            return figures;
        }
        assert!(Instant::now() < end, "{figures:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn bytes(reporter: &Reporter) -> usize {
    reporter.running.as_ref().unwrap().exporter.counters.bytes.load(Ordering::Acquire)
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_goes_at_once_and_a_small_one_after_the_interval() {
    let collector = Collector::new([Step::Take]);
    let (reporter, tracer) = start(&config(), &collector);
    let begin = Instant::now();
    record(&tracer, 9);
    until(&reporter, |figures| figures.sent == 9).await;
    let posts = collector.posts();
    assert_eq!(collector.sizes(), [4, 4, 1]);
    assert!(posts[1].0 - begin < Duration::from_millis(100));
    assert!(posts[2].0 - begin >= Duration::from_secs(1));
    assert_eq!((reporter.figures().dropped, bytes(&reporter)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_never_answers_costs_spans_and_nothing_else() {
    let collector = Collector::new([Step::Hang]);
    let (reporter, tracer) = start(&config(), &collector);
    record(&tracer, 4);
    until(&reporter, |_| collector.posts().len() == 1).await;
    // One batch is on its way, as many as fit wait, the others are gone at once: nobody waited.
    let before = Instant::now();
    record(&tracer, 1000);
    assert_eq!(Instant::now(), before);
    let figures = reporter.figures();
    assert_eq!((figures.sent, figures.queued, figures.dropped), (0, 14, 990));
    let stop = Instant::now();
    let figures = reporter.shutdown(Duration::from_secs(3)).await;
    assert_eq!(stop.elapsed(), Duration::from_secs(3));
    assert_eq!((figures.sent, figures.queued, figures.dropped), (0, 0, 1004));
}

#[tokio::test(start_paused = true)]
async fn spans_that_would_find_the_queue_full_are_not_recorded() {
    let by_count = config();
    let by_bytes = ReporterConfig { queue: 1000, queue_bytes: 4000, ..config() };
    for config in [by_count, by_bytes] {
        let collector = Collector::new([Step::Hang, Step::Take]);
        let (reporter, tracer) = start(&config, &collector);
        record(&tracer, 4);
        until(&reporter, |_| collector.posts().len() == 1).await;
        record(&tracer, 1000);
        let span = tracer.start("one more");
        // Its ids are there all the same.
        assert!(span.span().is_some_and(|span| !span.is_recorded() && span.context().sampled() == Some(true)));
        drop(span);
        let (recorded, figures) = (tracer.figures().recorded, reporter.figures());
        // The one that found the queue full was recorded.
        assert_eq!(recorded, 4 + figures.queued.saturating_sub(4) + 1, "{figures:?}");
        assert_eq!(figures.queued + figures.dropped, 1005);
        // When something was taken out there is room again.
        until(&reporter, |figures| figures.queued == 0).await;
        assert!(tracer.start("later").span().is_some_and(crate::trace::Span::is_recorded));
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_made_again() {
    let collector = Collector::new([Step::Hang, Step::Take]);
    let (reporter, tracer) = start(&config(), &collector);
    record(&tracer, 4);
    until(&reporter, |figures| figures.sent == 4).await;
    let posts = collector.posts();
    let between = posts[1].0 - posts[0].0;
    assert!(between >= Duration::from_millis(10_500) && between <= Duration::from_secs(11), "{between:?}");
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_sent_again_with_growing_pauses_and_then_given_up() {
    let collector = Collector::new([FAIL]);
    let (reporter, tracer) = start(&config(), &collector);
    record(&tracer, 4);
    let figures = until(&reporter, |figures| figures.failed_batches == 1).await;
    assert_eq!((figures.sent, figures.dropped, figures.queued), (0, 4, 0));
    let posts = collector.posts();
    let pauses: Vec<_> = posts.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert_eq!(pauses.len(), 4);
    for (pause, (least, most)) in pauses.iter().zip([(500, 1000), (1000, 2000), (2000, 4000), (2500, 5000)]) {
        let range = Duration::from_millis(least)..=Duration::from_millis(most + 5);
        assert!(range.contains(pause), "{pauses:?}");
    }
    assert_eq!(bytes(&reporter), 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_recovers_gets_the_batch() {
    let collector = Collector::new([FAIL, Step::Fail { again: true, after: Some(3) }, Step::Take]);
    let (reporter, tracer) = start(&config(), &collector);
    record(&tracer, 4);
    let figures = until(&reporter, |figures| figures.sent == 4).await;
    assert_eq!((figures.dropped, figures.failed_batches), (0, 0));
    let posts = collector.posts();
    let asked = posts[2].0 - posts[1].0;
    assert!(asked >= Duration::from_secs(3) && asked < Duration::from_millis(3005), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn what_the_collector_refuses_is_not_sent_again() {
    let collector = Collector::new([Step::Fail { again: false, after: None }, Step::Take]);
    let (reporter, tracer) = start(&config(), &collector);
    record(&tracer, 8);
    let figures = until(&reporter, |figures| figures.queued == 0 && figures.sent > 0).await;
    assert_eq!((figures.sent, figures.dropped, figures.failed_batches), (4, 4, 1));
    assert_eq!(collector.posts().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn waiting_spans_have_a_bound_in_bytes_too() {
    let collector = Collector::new([Step::Hang]);
    let large = ReporterConfig { queue: 1000, queue_bytes: 20_000, ..config() };
    let (reporter, tracer) = start(&large, &collector);
    for _ in 0..100 {
        let span = tracer.start("large");
        span.tag("text", "x".repeat(1500));
    }
    let figures = reporter.figures();
    assert!((5..=13).contains(&figures.queued), "{figures:?}");
    assert_eq!(figures.queued + figures.dropped, 100);
    assert!(bytes(&reporter) <= 20_000);
}

#[tokio::test(start_paused = true)]
async fn a_stop_sends_what_waits() {
    let collector = Collector::new([Step::Take]);
    let (reporter, tracer) = start(&config(), &collector);
    record(&tracer, 9);
    let begin = Instant::now();
    let figures = reporter.shutdown(Duration::from_secs(3)).await;
    assert_eq!((figures.sent, figures.dropped, figures.queued), (9, 0, 0));
    assert!(begin.elapsed() < Duration::from_millis(500), "nothing was waited for");
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_collector_that_is_not_there() {
    let collector = Collector::new([FAIL]);
    let (reporter, tracer) = start(&config(), &collector);
    record(&tracer, 4);
    until(&reporter, |_| collector.posts().len() == 3).await;
    record(&tracer, 10);
    let begin = Instant::now();
    let figures = reporter.shutdown(Duration::from_secs(60)).await;
    assert!(begin.elapsed() <= Duration::from_secs(10), "{:?}", begin.elapsed());
    assert_eq!((figures.sent, figures.dropped, figures.queued), (0, 14, 0));
    // What comes too late is counted, and its caller does not notice.
    record(&tracer, 1);
    assert_eq!(tracer.figures().recorded, 15);
}

#[tokio::test(start_paused = true)]
async fn a_reporter_that_is_dropped_leaves_no_task() {
    let collector = Collector::new([Step::Hang]);
    let (reporter, tracer) = start(&config(), &collector);
    record(&tracer, 4);
    until(&reporter, |_| collector.posts().len() == 1).await;
    drop(reporter);
    while Arc::strong_count(&collector.0) > 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn nothing_is_started_for_nowhere() {
    let reporter = Reporter::start(&ReporterConfig::default()).unwrap();
    assert!(reporter.exporter().is_none());
    let tracer = Tracer::builder(&TraceConfig::default(), "test").export(reporter.exporter()).build();
    assert!(!tracer.start("x").is_recorded());
    assert_eq!(reporter.shutdown(Duration::ZERO).await, ReporterFigures::default());
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The lines that are logged while spans are recorded so many at a time, each time when all before are out.
async fn logged(steps: impl IntoIterator<Item = Step>, counts: &[usize]) -> Vec<String> {
    let lines = Lines::default();
    let writer = lines.clone();
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let (reporter, tracer) = start(&config(), &Collector::new(steps));
    for count in counts {
        record(&tracer, *count);
        until(&reporter, |figures| figures.queued == 0).await;
    }
    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    log.lines().map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn a_loss_is_logged_when_it_begins_and_when_it_is_over() {
    // Of 100 spans 10 fit; of those the first batch is given up.
    let log = logged([FAIL; 7].into_iter().chain([Step::Take]), &[100, 1]).await;
    let [began, over] = &log[..] else { panic!("{log:#?}") };
    assert!(began.contains("can't be sent") && began.contains("lost=90"), "{began}");
    assert!(over.contains("are sent again") && over.contains("lost=94"), "{over}");
}

#[tokio::test(start_paused = true)]
async fn the_lines_of_a_queue_that_runs_over_count_the_same_spans() {
    let log = logged([Step::Take], &[100, 1, 30, 1]).await;
    let [began, over, again, over_again] = &log[..] else { panic!("{log:#?}") };
    assert!(began.contains("more are recorded") && began.contains("lost=90"), "{began}");
    assert!(over.contains("no more spans are lost") && over.contains("lost=90"), "{over}");
    assert!(again.contains("lost=20") && over_again.contains("lost=20"), "{again} {over_again}");
}
