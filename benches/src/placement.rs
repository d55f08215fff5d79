//! On which core each end of a call runs.
//!
//! Where calls come one at a time, the two ends never run at once, and the scheduler may put them on one core or on two. The
//! second way wakes a sleeping core for every message, which takes several times as long as all the code that is measured,
//! and which of the ways it is changes by chance, for each connection. So the benchmark decides: nothing else makes the
//! two sides of a comparison alike.

use crate::serve::ServerThread;

/// The cores that this process may use.
#[derive(Clone, Debug)]
pub struct Placement {
    #[cfg(target_os = "linux")]
    cores: Vec<usize>,
}

impl Placement {
    /// Asks the system; to be called before anything was placed.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn new() -> std::io::Result<Self> {
        #[cfg(target_os = "linux")]
        {
            let allowed = rustix::thread::sched_getaffinity(None)?;
            let cores = (0..rustix::thread::CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
            Ok(Self { cores })
        }
        #[cfg(not(target_os = "linux"))]
        Ok(Self {})
    }

    /// Puts the calling thread and the servers on one core: for calls that come one at a time. Does nothing but on Linux.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn together(&self, servers: &[&ServerThread]) -> std::io::Result<()> {
        self.place(servers, 0)
    }

    /// Puts the servers on another core than the calling thread, if there is one: for many calls at a time, where both ends
    /// are always busy. Does nothing but on Linux.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn apart(&self, servers: &[&ServerThread]) -> std::io::Result<()> {
        self.place(servers, 1)
    }

    #[cfg(target_os = "linux")]
    fn place(&self, servers: &[&ServerThread], core_of_servers: usize) -> std::io::Result<()> {
        use rustix::thread::{CpuSet, sched_setaffinity};
        let only = |core: usize| {
            let mut set = CpuSet::new();
            if let Some(core) = self.cores.get(core).or(self.cores.first()) {
                set.set(*core);
            }
            set
        };
        sched_setaffinity(None, &only(0))?;
        for server in servers {
            sched_setaffinity(server.thread(), &only(core_of_servers))?;
        }
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    fn place(&self, _: &[&ServerThread], _: usize) -> std::io::Result<()> {
        Ok(())
    }
}
