//! A server: some workers, and before them a queue without end, first come, first served.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use kit::{Context, Endpoint, Error, Request, layer::adaptive::bbr::CpuSource};
use tokio::{sync::Semaphore, time::sleep};

use super::{
    Echo, method,
    record::Tally,
    world::{exponential, seconds},
};

#[derive(Clone)]
pub(crate) struct Server(Arc<Inner>);

struct Inner {
    name: &'static str,
    free: Semaphore,
    workers: AtomicUsize,
    /// Workers that go home when they are done.
    leaving: AtomicUsize,
    nature: Mutex<Nature>,
    /// Nothing listens there.
    down: AtomicBool,
    arrived: Tally,
}

struct Nature {
    random: fastrand::Rng,
    mean: Duration,
    /// How many times longer a call takes.
    slowness: f64,
    /// The share of calls that fail, after as much work.
    failing: f64,
}

impl Server {
    /// Each of the `workers` needs `mean` for a call: half of that always, the other half by chance.
    pub(crate) fn new(name: &'static str, seed: u64, workers: usize, mean: Duration) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self(Arc::new(Inner {
            name,
            free: Semaphore::new(workers),
            workers: AtomicUsize::new(workers),
            leaving: AtomicUsize::new(0),
            nature: Mutex::new(Nature { random, mean, slowness: 1.0, failing: 0.0 }),
            down: AtomicBool::new(false),
            arrived: Tally::by(Duration::from_millis(100)),
        }))
    }

    /// Its handler, with nothing around it.
    pub(crate) fn endpoint(&self) -> Endpoint<Echo, Echo> {
        let server = self.clone();
        Endpoint::from_fn(method(self.0.name), move |_: Context, message: Echo| {
            let server = server.clone();
            async move {
                server.work().await?;
                Ok(message)
            }
        })
    }

    /// What stands before all that the server is: counts the calls that reach it, and refuses them while it is down.
    pub(crate) fn port(&self, served: Endpoint<Echo, Echo>) -> Endpoint<Echo, Echo> {
        let server = self.clone();
        Endpoint::from_fn(served.method().clone(), move |cx: Context, message: Echo| {
            let (server, served) = (server.clone(), served.clone());
            async move {
                server.0.arrived.add();
                if server.0.down.load(Relaxed) {
                    return Err(Error::unavailable("connection refused"));
                }
                Ok(served.call(Request::new(cx, message)).await?.into_message())
            }
        })
    }

    async fn work(&self) -> Result<(), Error> {
        let worker = self.0.free.acquire().await.unwrap();
        // What is drawn here is by the order in which calls begin.
        let busy = self.service_time();
        let back = Back(&self.0, Some(worker));
        sleep(busy).await;
        drop(back);
        if self.fails() { Err(Error::unavailable("the server fails")) } else { Ok(()) }
    }

    fn fails(&self) -> bool {
        let nature = &mut *self.0.nature.lock().unwrap();
        nature.failing > 0.0 && nature.random.f64() < nature.failing
    }

    fn service_time(&self) -> Duration {
        let nature = &mut *self.0.nature.lock().unwrap();
        let mean = nature.mean.as_secs_f64() * nature.slowness;
        seconds(mean / 2.0) + exponential(&mut nature.random, 2.0 / mean).min(seconds(mean * 5.0))
    }

    /// Calls take so many times longer from now on.
    pub(crate) fn slow_down(&self, slowness: f64) {
        self.0.nature.lock().unwrap().slowness = slowness;
    }

    /// This share of the calls fails from now on.
    pub(crate) fn fail(&self, share: f64) {
        self.0.nature.lock().unwrap().failing = share;
    }

    /// Nothing listens any more, or again.
    pub(crate) fn go_down(&self, down: bool) {
        self.0.down.store(down, Relaxed);
    }

    /// So many workers from now on; those who are too many finish their call.
    pub(crate) fn resize(&self, workers: usize) {
        let before = self.0.workers.swap(workers, Relaxed);
        if workers >= before {
            self.0.free.add_permits(workers - before);
        } else {
            let gone = self.0.free.forget_permits(before - workers);
            self.0.leaving.fetch_add(before - workers - gone, Relaxed);
        }
    }

    pub(crate) fn workers(&self) -> usize {
        self.0.workers.load(Relaxed)
    }

    /// Calls that reached its port, by 100 ms.
    pub(crate) fn arrived(&self) -> Tally {
        self.0.arrived.clone()
    }

    /// How busy its workers are, for servers whose workers are processors.
    pub(crate) fn cpu(&self) -> Cpu {
        Cpu(Some(self.clone()))
    }
}

/// A worker at work: comes back when the call is done or given up.
struct Back<'a>(&'a Inner, Option<tokio::sync::SemaphorePermit<'a>>);

impl Drop for Back<'_> {
    fn drop(&mut self) {
        let leaves = self.0.leaving.fetch_update(Relaxed, Relaxed, |leaving| leaving.checked_sub(1)).is_ok();
        if let Some(worker) = self.1.take().filter(|_| leaves) {
            worker.forget();
        }
    }
}

/// What the protection of the system reads.
pub(crate) struct Cpu(Option<Server>);

impl Cpu {
    /// Of a server that waits for others: its processors have nothing to do, however many calls it has.
    pub(crate) fn idle() -> Self {
        Self(None)
    }
}

impl CpuSource for Cpu {
    fn usage(&mut self, _: Duration) -> Option<f64> {
        let server = self.0.as_ref()?;
        Some(1.0 - server.0.free.available_permits() as f64 / server.workers().max(1) as f64)
    }
}
