//! Lines on their way to a sink: a bounded queue and the thread that empties it.

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// 4 MiB, some ten thousand lines: a second of a busy service while its disk thinks.
const LIMIT: usize = 4 << 20;

/// A buffer that a burst has made larger than this is given back to the allocator.
const KEPT: usize = 256 << 10;

/// How long the thread rests after writing, so that a busy service does not wake it for each line: waking costs those who log
/// more than all else here. Nobody sees that a line comes that much later.
const REST: Duration = Duration::from_millis(10);

/// Where lines end up. Used by one thread at a time, which may wait.
pub(super) trait Sink: Send {
    /// Called once, before there is a line; tells what failed.
    fn prepare(&mut self) -> Lost {
        Lost::default()
    }
    /// Writes whole lines.
    fn write(&mut self, lines: &[u8]) -> Lost;
    /// A line of the log's own, in the form that this sink has.
    fn notice(&self, text: &str) -> Vec<u8>;
}

/// What of a chunk was not written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) lines: u64,
    /// How often writing failed.
    pub(super) errors: u64,
}

pub(super) fn count(lines: &[u8]) -> u64 {
    lines.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

/// What happened to the lines of a sink.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) written: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) errors: AtomicU64,
}

/// Takes lines without ever waiting for the sink.
///
/// The lock is held for copying a line, never while something is written: the thread swaps the whole buffer for an empty one.
/// So a busy log is written in large pieces, and the writer is woken only when it sleeps.
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    handled: Condvar,
    // Locked by the thread; by those who log only after the thread has ended.
    sink: Mutex<Box<dyn Sink>>,
    // Shared with what shows them, which must not keep the thread.
    pub(super) counts: Arc<Counts>,
    limit: usize,
}

#[derive(Default)]
struct State {
    buffer: Vec<u8>,
    /// Lines that came in, and those of them that the thread is done with.
    queued: u64,
    done: u64,
    /// Lines that found no room since the thread last looked.
    overflowed: u64,
    /// The thread waits for a line.
    sleeping: bool,
    /// The thread waits for more lines, unless there are many already or somebody waits for them.
    resting: bool,
    stop: bool,
    stopped: bool,
    thread: Option<JoinHandle<()>>,
}

impl Queue {
    /// Starts the thread.
    pub(super) fn start(sink: Box<dyn Sink>) -> io::Result<Arc<Self>> {
        Self::with_limit(sink, LIMIT)
    }

    fn with_limit(sink: Box<dyn Sink>, limit: usize) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self {
            state: Mutex::default(),
            filled: Condvar::new(),
            handled: Condvar::new(),
            sink: Mutex::new(sink),
            counts: Arc::default(),
            limit,
        });
        let of_thread = Arc::clone(&queue);
        let thread = thread::Builder::new().name("kit-log".to_owned()).spawn(move || of_thread.run())?;
        queue.lock().thread = Some(thread);
        Ok(queue)
    }

    /// Takes a line, or drops and counts it when the queue is full. After [`Queue::stop`] the line is written at once.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.stopped {
            drop(state);
            self.write(line, 1);
            return;
        }
        if state.buffer.len() + line.len() > self.limit {
            state.overflowed += 1;
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.buffer.extend_from_slice(line);
        state.queued += 1;
        let many = state.resting && state.buffer.len() > self.limit / 2;
        if state.sleeping || many {
            (state.sleeping, state.resting) = (false, false);
            drop(state);
            self.filled.notify_one();
        }
    }

    /// Waits until all that was logged before is written, but no longer than `limit`. Tells whether it is.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let mut state = self.lock();
        let target = state.queued;
        state.resting = false;
        self.filled.notify_one();
        let waited = self.handled.wait_timeout_while(state, limit, |state| state.done < target && !state.stopped);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.done >= target
    }

    /// Writes what is there and ends the thread; waits for that no longer than `limit`. Tells whether all is written.
    pub(super) fn stop(&self, limit: Duration) -> bool {
        let mut state = self.lock();
        state.stop = true;
        self.filled.notify_one();
        let waited = self.handled.wait_timeout_while(state, limit, |state| !state.stopped);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let thread = if state.stopped { state.thread.take() } else { None };
        let stopped = state.stopped;
        drop(state);
        if let Some(thread) = thread {
            // It has nothing left to do but to return.
            let _ = thread.join();
        }
        stopped
    }

    fn run(&self) {
        let prepared = self.sink().prepare();
        self.counts.errors.fetch_add(prepared.errors, Ordering::Relaxed);
        let mut spare = Vec::new();
        loop {
            let mut state = self.lock();
            while state.buffer.is_empty() && state.overflowed == 0 && !state.stop {
                state.sleeping = true;
                state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.sleeping = false;
            if state.buffer.is_empty() && state.overflowed == 0 {
                state.stopped = true;
                drop(state);
                self.handled.notify_all();
                return;
            }
            std::mem::swap(&mut state.buffer, &mut spare);
            let lines = state.queued - state.done;
            let overflowed = std::mem::take(&mut state.overflowed);
            drop(state);
            if !spare.is_empty() {
                self.write(&spare, lines);
            }
            if overflowed > 0 {
                let text =
                    format!("{overflowed} log lines were dropped: more was logged than could be written in time");
                let notice = self.sink().notice(&text);
                self.write(&notice, 1);
            }
            spare.clear();
            spare.shrink_to(KEPT);
            let mut state = self.lock();
            state.done += lines;
            state.resting = true;
            self.handled.notify_all();
            let rested = self.filled.wait_timeout_while(state, REST, |state| state.resting && !state.stop);
            rested.unwrap_or_else(PoisonError::into_inner).0.resting = false;
        }
    }

    fn write(&self, chunk: &[u8], lines: u64) {
        let lost = self.sink().write(chunk);
        self.counts.written.fetch_add(lines.saturating_sub(lost.lines), Ordering::Relaxed);
        self.counts.dropped.fetch_add(lost.lines, Ordering::Relaxed);
        self.counts.errors.fetch_add(lost.errors, Ordering::Relaxed);
    }

    fn sink(&self) -> MutexGuard<'_, Box<dyn Sink>> {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// A sink that tells what it was given, and goes on when it is told to.
    struct Held {
        given: SyncSender<String>,
        go_on: Receiver<()>,
    }

    impl Sink for Held {
        fn write(&mut self, lines: &[u8]) -> Lost {
            self.given.send(String::from_utf8(lines.to_vec()).unwrap()).unwrap();
            self.go_on.recv().unwrap();
            Lost::default()
        }
        fn notice(&self, text: &str) -> Vec<u8> {
            format!("{text}\n").into_bytes()
        }
    }

    const LONG: Duration = Duration::from_secs(60);

    fn held(limit: usize) -> (Arc<Queue>, Receiver<String>, SyncSender<()>) {
        let (given, seen) = sync_channel(16);
        let (allow, go_on) = sync_channel(16);
        (Queue::with_limit(Box::new(Held { given, go_on }), limit).unwrap(), seen, allow)
    }

    #[test]
    fn a_sink_that_hangs_costs_lines_and_never_those_who_log() {
        let (queue, seen, allow) = held(10);
        queue.push(b"first\n");
        assert_eq!(seen.recv().unwrap(), "first\n");
        // The sink hangs now: what fits is kept, the rest is dropped and counted, and push returns.
        for _ in 0..5 {
            queue.push(b"next\n");
        }
        assert!(!queue.flush(Duration::ZERO));
        for _ in 0..3 {
            allow.send(()).unwrap();
        }
        assert_eq!(seen.recv().unwrap(), "next\nnext\n");
        assert!(seen.recv().unwrap().starts_with("3 log lines were dropped"));
        assert!(queue.flush(LONG));
        assert_eq!(queue.counts.dropped.load(Ordering::Relaxed), 3);
        assert_eq!(queue.counts.written.load(Ordering::Relaxed), 4);
    }

    #[test]
    fn a_stop_writes_all_and_lines_after_it_are_written_at_once() {
        let (queue, seen, allow) = held(1000);
        for _ in 0..4 {
            allow.send(()).unwrap();
        }
        queue.push(b"a\n");
        queue.push(b"b\n");
        assert!(queue.stop(LONG) && queue.stop(LONG));
        queue.push(b"late\n");
        drop(queue);
        assert_eq!(seen.iter().collect::<String>(), "a\nb\nlate\n");
    }
}
