//! The task that sends.

use std::{
    io::Write as _,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};

use super::{
    Counters, Encode, ReporterConfig,
    post::{Failed, Post},
};
use crate::trace::FinishedSpan;

pub(super) struct Worker<E, P> {
    encode: Arc<E>,
    post: P,
    spans: mpsc::Receiver<FinishedSpan>,
    stop: oneshot::Receiver<()>,
    stopping: bool,
    counters: Arc<Counters>,
    most: usize,
    interval: Duration,
    timeout: Duration,
    attempts: u32,
    pause: Duration,
    longest_pause: Duration,
    burst: Burst,
}

impl<E: Encode, P: Post> Worker<E, P> {
    pub(super) fn new(
        config: &ReporterConfig,
        encode: E,
        post: P,
        spans: mpsc::Receiver<FinishedSpan>,
        stop: oneshot::Receiver<()>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            encode: Arc::new(encode),
            post,
            spans,
            stop,
            stopping: false,
            counters,
            most: config.batch,
            interval: config.interval,
            timeout: config.timeout,
            attempts: config.attempts,
            pause: config.pause,
            longest_pause: config.longest_pause,
            burst: Burst::default(),
        }
    }

    pub(super) async fn run(mut self) {
        while let Some(batch) = self.next().await {
            self.send(batch).await;
        }
        // From here on, whoever has a span to send counts it as dropped.
        self.spans.close();
        while let Some(batch) = self.rest() {
            if !self.send(batch).await {
                // The others would fare no better, and the process wants to end: the owner counts them.
                return;
            }
        }
    }

    /// The next batch: full, or as old as a batch may become. `None` when it is time to stop.
    async fn next(&mut self) -> Option<Vec<FinishedSpan>> {
        let mut batch = Vec::new();
        if self.stopping {
            return None;
        }
        tokio::select! {
            biased;
            _ = &mut self.stop => {
                self.stopping = true;
                return None;
            }
            count = self.spans.recv_many(&mut batch, self.most) => if count == 0 {
                return None;
            },
        }
        self.counters.full.store(false, Ordering::Relaxed);
        let mut old = std::pin::pin!(sleep(self.interval));
        while batch.len() < self.most {
            let missing = self.most - batch.len();
            tokio::select! {
                biased;
                _ = &mut self.stop => {
                    self.stopping = true;
                    break;
                }
                () = &mut old => break,
                count = self.spans.recv_many(&mut batch, missing) => if count == 0 {
                    break;
                },
            }
        }
        Some(batch)
    }

    /// What waits when it is time to stop.
    fn rest(&mut self) -> Option<Vec<FinishedSpan>> {
        let mut batch = Vec::new();
        while batch.len() < self.most
            && let Ok(span) = self.spans.try_recv()
        {
            batch.push(span);
        }
        (!batch.is_empty()).then_some(batch)
    }

    /// Sends a batch, or gives it up.
    async fn send(&mut self, batch: Vec<FinishedSpan>) -> bool {
        let count = batch.len() as u64;
        let bytes: usize = batch.iter().map(FinishedSpan::size).sum();
        let sent = match self.body(batch).await {
            Some(body) => self.deliver(&body, count).await,
            None => false,
        };
        if !sent {
            self.counters.lost.fetch_add(count, Ordering::AcqRel);
            self.counters.failed_batches.fetch_add(1, Ordering::AcqRel);
        }
        self.counters.bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.counters.full.store(false, Ordering::Relaxed);
        self.burst.look(self.counters.dropped());
        sent
    }

    /// The batch as it is sent. Writing and compressing takes milliseconds, which are not the calls' to wait.
    async fn body(&self, batch: Vec<FinishedSpan>) -> Option<Bytes> {
        let encode = Arc::clone(&self.encode);
        let written = tokio::task::spawn_blocking(move || {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            // Writing into memory does not fail.
            gzip.write_all(&encode.encode(&batch)).and_then(|()| gzip.finish()).unwrap_or_default()
        });
        // It fails when the runtime is going away, and then there is nobody left to send.
        written.await.ok().map(Bytes::from)
    }

    async fn deliver(&mut self, body: &Bytes, count: u64) -> bool {
        let mut pause = self.pause;
        let mut attempt = 1;
        loop {
            let failed = match timeout(self.timeout, self.post.post(body.clone())).await {
                Ok(Ok(answer)) => {
                    let refused = self.encode.refused(&answer).min(count);
                    self.counters.lost.fetch_add(refused, Ordering::AcqRel);
                    self.counters.sent.fetch_add(count - refused, Ordering::AcqRel);
                    self.burst.answered(self.post.target(), self.counters.dropped());
                    return true;
                }
                Ok(Err(failed)) => failed,
                Err(_) => Failed { why: format!("no answer within {:?}", self.timeout), again: true, after: None },
            };
            self.burst.failed(self.post.target(), &failed.why, self.counters.dropped());
            // Who wants to end has one attempt more: that is enough for a connection that broke.
            let most = if self.stopping { self.attempts.min(2) } else { self.attempts };
            if !failed.again || attempt >= most {
                return false;
            }
            let wait = failed.after.unwrap_or(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).min(self.longest_pause);
            if self.stopping {
                sleep(wait).await;
            } else {
                tokio::select! {
                    () = sleep(wait) => {}
                    _ = &mut self.stop => {
                        self.stopping = true;
                        attempt = self.attempts.saturating_sub(1).max(attempt);
                    }
                }
            }
            attempt += 1;
            pause = pause.saturating_mul(2).min(self.longest_pause);
        }
    }
}

/// What the log was told: one line when a loss begins and one when it is over. Both count from the same spans on, those that no
/// earlier line has told of.
#[derive(Debug, Default)]
struct Burst {
    /// Since when spans can't be sent: the count of what was dropped before the loss.
    unreachable: Option<u64>,
    /// Since when the queue runs over, counted the same.
    overrun: Option<u64>,
    /// What was dropped when this last looked.
    seen: u64,
}

impl Burst {
    fn failed(&mut self, target: &str, why: &str, dropped: u64) {
        if self.unreachable.is_none() {
            // A queue that runs over is part of it from now on.
            let before = self.overrun.take().unwrap_or(self.seen);
            self.unreachable = Some(before);
            let lost = dropped.saturating_sub(before);
            tracing::warn!(collector = target, error = why, lost, "spans can't be sent; calls go on without");
        }
    }

    fn answered(&mut self, target: &str, dropped: u64) {
        if let Some(before) = self.unreachable.take() {
            self.seen = dropped;
            tracing::info!(collector = target, lost = dropped.saturating_sub(before), "spans are sent again");
        }
    }

    fn look(&mut self, dropped: u64) {
        let before = std::mem::replace(&mut self.seen, dropped);
        if self.unreachable.is_some() {
            return;
        }
        match (self.overrun, dropped > before) {
            (None, true) => {
                self.overrun = Some(before);
                let lost = dropped - before;
                tracing::warn!(lost, "spans are lost: more are recorded than the collector takes");
            }
            (Some(before), false) => {
                self.overrun = None;
                tracing::info!(lost = dropped.saturating_sub(before), "no more spans are lost");
            }
            _ => {}
        }
    }
}
