use std::{
    fs,
    io::{self, BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Duration,
};

use crate::Failure;

/// How long a server may take to listen: those in other languages, with cold caches, too.
const START: Duration = Duration::from_secs(20);

/// What a server says first when it can be called.
const LISTENS: &str = "listening on ";

/// A server in a process of its own; killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    address: SocketAddr,
    said: Arc<Mutex<String>>,
}

impl Process {
    /// Starts a server on one core and waits for the line on its stdout in which it says where it listens:
    /// `listening on 127.0.0.1:40123`. Other lines, as of a log, may come before.
    ///
    /// # Errors
    /// When it can't be started, or ends or stays silent before it listens.
    pub fn start(mut command: Command, core: usize) -> Result<Self, Failure> {
        let shown = format!("{command:?}");
        // On Linux a process begins where the thread that started it may run. The thread is one of its own, so that no other is moved.
        let spawned = std::thread::spawn(move || {
            pin_this_thread(core)?;
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()
        });
        let mut child = spawned
            .join()
            .map_err(|_| "the thread that starts servers panicked")?
            .map_err(|error| format!("{shown} can't be started: {error}"))?;
        let stdout = child.stdout.take().ok_or("no stdout")?;
        let (sender, address) = mpsc::sync_channel::<SocketAddr>(1);
        let said = Arc::new(Mutex::new(String::new()));
        let last = Arc::clone(&said);
        std::thread::spawn(move || {
            // To the end, so that a server which says more does not wait for a reader.
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                match line.strip_prefix(LISTENS).map(str::parse::<SocketAddr>) {
                    // Nobody waits only when the process was given up.
                    Some(Ok(address)) => _ = sender.try_send(address),
                    _ => *last.lock().unwrap_or_else(PoisonError::into_inner) = line,
                }
            }
        });
        match address.recv_timeout(START) {
            Ok(address) => Ok(Self { child, address, said }),
            Err(_) => {
                end(&mut child);
                Err(format!("{shown} did not say where it listens").into())
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it said last, after where it listens.
    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The processor time of all its threads so far; `None` where the system does not tell.
    pub fn processor_time(&self) -> Option<Duration> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.id())).ok()?;
        threads.map(|thread| on_a_processor(&fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?)).sum()
    }

    /// The memory that it holds, in bytes; `None` where the system does not tell.
    pub fn memory(&self) -> Option<u64> {
        resident(&fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    // It fails only when the process has ended already.
    let _ = child.kill();
    let _ = child.wait();
}

fn on_a_processor(schedstat: &str) -> Option<Duration> {
    schedstat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

fn resident(status: &str) -> Option<u64> {
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(kilobytes.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// Lets the calling thread, and what it starts, run on one core only. Does nothing but on Linux, and on a machine without that core.
///
/// # Errors
/// When the system refuses.
pub fn pin_this_thread(core: usize) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
        if core < CpuSet::MAX_CPU && sched_getaffinity(None)?.is_set(core) {
            let mut only = CpuSet::new();
            only.set(core);
            sched_setaffinity(None, &only)?;
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = core;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_says_where_it_listens_and_ends_when_it_is_dropped() -> Result<(), Failure> {
        let mut command = Command::new("sh");
        command.args(["-c", "echo a line of the log; echo listening on 127.0.0.1:4321; exec sleep 60"]);
        let process = Process::start(command, 0)?;
        assert_eq!(process.address(), "127.0.0.1:4321".parse()?);
        let id = process.id();
        drop(process);
        assert!(!fs::exists(format!("/proc/{id}"))?);
        Ok(())
    }

    #[test]
    fn a_process_that_ends_is_an_error_that_names_it() {
        let error = Process::start(Command::new("true"), 0).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("\"true\" did not say where it listens"));
    }

    #[test]
    fn the_files_of_proc_are_read() {
        assert_eq!(on_a_processor("12000 55 9\n"), Some(Duration::from_micros(12)));
        assert_eq!(resident("Name:\tx\nVmRSS:\t    2048 kB\n"), Some(2 << 20));
        assert_eq!(resident("Name:\tx\n"), None);
    }
}
