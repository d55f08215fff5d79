//! Processes of this program that are asked things.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use super::{role, subjects::Subject, wire::Protocol};
use crate::Failure;

/// A process that reads a line for each thing it is asked, and answers with lines. It ends when this value is dropped.
#[derive(Debug)]
pub struct Helper {
    child: Child,
    asks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Helper {
    /// Starts this program again, pinned to a core or to none.
    ///
    /// # Errors
    /// When the system refuses.
    fn start(core: Option<usize>, role: &[&str]) -> Result<Self, Failure> {
        let core = core.map_or_else(|| "any".to_owned(), |core| core.to_string());
        let mut child = Command::new(std::env::current_exe()?)
            .args([role::FLAG, &core])
            .args(role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (asks, answers) = (child.stdin.take(), child.stdout.take());
        Ok(Self { child, asks, answers: BufReader::new(answers.ok_or("no pipe")?) })
    }

    /// The next line that it says.
    ///
    /// # Errors
    /// When it has ended.
    pub fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err("a process of the benchmark has ended: its error stands above".into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Asks it something and reads one line.
    ///
    /// # Errors
    /// When it has ended.
    pub fn ask(&mut self, line: &str) -> Result<String, Failure> {
        if let Some(asks) = &mut self.asks {
            writeln!(asks, "{line}")?;
        }
        self.line()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        drop(self.asks.take());
        // It fails only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that notes who allocates, and its address.
///
/// # Errors
/// When it did not come up.
pub fn counting_server(subject: Subject) -> Result<(Helper, SocketAddr), Failure> {
    let mut helper = Helper::start(None, &["server", subject.name])?;
    let address = helper.line()?.parse()?;
    Ok((helper, address))
}

/// What calls in turn came to.
#[derive(Clone, Copy, Debug)]
pub struct Called {
    /// How many.
    pub calls: u64,
    /// In which time.
    pub seconds: f64,
}

/// Connections that are held.
#[derive(Debug)]
pub struct Holder(Helper);

impl Holder {
    /// Opens connections to a server, and makes a call on each. `group` gives addresses to come from that no other holder has.
    ///
    /// # Errors
    /// When one of the connections or calls failed.
    pub fn start(
        protocol: Protocol,
        count: usize,
        group: u8,
        to: SocketAddr,
        core: Option<usize>,
    ) -> Result<Self, Failure> {
        let told = ["holder", protocol.name(), &count.to_string(), &group.to_string(), &to.to_string()];
        let mut helper = Helper::start(core, &told)?;
        let held = helper.line()?;
        if held != format!("held {count}") {
            return Err(held.into());
        }
        Ok(Self(helper))
    }

    /// Makes calls on the connections in turn, so many at a time.
    ///
    /// # Errors
    /// When a call failed.
    pub fn call(&mut self, at_once: usize, time: Duration) -> Result<Called, Failure> {
        let answer = self.0.ask(&format!("call {at_once} {}", time.as_millis()))?;
        let mut words = answer.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some("called"), Some(calls), Some(seconds)) => {
                Ok(Called { calls: calls.parse()?, seconds: seconds.parse()? })
            }
            _ => Err(answer.into()),
        }
    }

    /// How many of the connections the server has closed meanwhile.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn lost(&mut self) -> Result<usize, Failure> {
        Ok(self.0.ask("lost")?.parse()?)
    }
}
