use tokio::runtime::Handle;

use super::Metrics;
use crate::Error;

impl Metrics {
    /// Adds the figures of a Tokio runtime: `tokio_workers`, `tokio_alive_tasks`, `tokio_global_queue_depth`, and how long and
    /// how often each worker was busy. They are what Tokio has without `tokio_unstable`.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when figures of another type have one of the names.
    pub fn observe_runtime(&self, runtime: &Handle) -> Result<(), Error> {
        let of = |read: fn(&tokio::runtime::RuntimeMetrics) -> usize| {
            let figures = runtime.metrics();
            move || read(&figures) as f64
        };
        self.gauge_fn("tokio_workers", "Threads that run tasks.", &[], of(|now| now.num_workers()))?;
        self.gauge_fn("tokio_alive_tasks", "Tasks that have not ended.", &[], of(|now| now.num_alive_tasks()))?;
        let help = "Tasks that wait for any worker: above zero for long, the processors are too few.";
        self.gauge_fn("tokio_global_queue_depth", help, &[], of(|now| now.global_queue_depth()))?;
        #[cfg(target_has_atomic = "64")]
        for worker in 0..runtime.metrics().num_workers() {
            let (name, busy, parks) = (worker.to_string(), runtime.metrics(), runtime.metrics());
            let labels = [("worker", name.as_str())];
            self.counter_fn("tokio_worker_busy_seconds_total", "Time that a worker ran tasks.", &labels, move || {
                busy.worker_total_busy_duration(worker).as_secs_f64()
            })?;
            self.counter_fn("tokio_worker_parks_total", "How often a worker had nothing to do.", &labels, move || {
                parks.worker_park_count(worker) as f64
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::telemetry::metrics::{Format, Metrics};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_runtime_is_seen() {
        let metrics = Metrics::new();
        metrics.observe_runtime(&tokio::runtime::Handle::current()).unwrap();
        let (held, release) = tokio::sync::oneshot::channel::<()>();
        let task = tokio::spawn(release);
        let text = String::from_utf8(metrics.encode(Format::Text).unwrap()).unwrap();
        assert!(text.contains("\ntokio_workers 2\n") && text.contains("\ntokio_alive_tasks 1\n"), "{text}");
        assert!(text.contains("tokio_worker_busy_seconds_total{worker=\"1\"}"), "{text}");
        drop(held);
        let _ = task.await;
    }
}
