//! What the machine allows.

use std::fs;

use super::role;
use crate::Failure;

/// What a process needs beside its connections.
const SPARE: usize = 200;

/// What a connection takes at both of its ends and in the kernel, generously.
const BYTES_OF_A_CONNECTION: u64 = 80_000;

/// The limits that connections meet.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Descriptors for a process.
    pub descriptors: usize,
    /// Memory that is free, in bytes.
    pub memory: u64,
    /// Ports for an address that connections come from.
    pub ports: usize,
}

impl Limits {
    /// Asks the system, and lets this process have as many descriptors as it may.
    ///
    /// # Errors
    /// When it does not tell.
    pub fn new() -> Result<Self, Failure> {
        let descriptors = usize::try_from(role::raise_descriptors()?).unwrap_or(usize::MAX);
        let memory = fs::read_to_string("/proc/meminfo")?;
        let memory = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:")).ok_or("no MemAvailable")?;
        let memory = memory.trim().trim_end_matches(" kB").parse::<u64>()? * 1024;
        let ports = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")?;
        let ports: Vec<usize> = ports.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let ports = ports.last().zip(ports.first()).map_or(0, |(last, first)| last.saturating_sub(*first) + 1);
        Ok(Self { descriptors, memory, ports })
    }

    /// How many connections a process can have.
    pub fn of_a_process(&self) -> usize {
        self.descriptors.saturating_sub(SPARE)
    }

    /// Why so many connections over so many servers can't be, if so.
    pub fn forbid(&self, connections: usize, servers: usize) -> Option<String> {
        let needs = connections.div_ceil(servers.max(1)) + SPARE;
        if needs > self.descriptors {
            return Some(format!("{needs} descriptors are needed in a process, {} are allowed", self.descriptors));
        }
        let memory = connections as u64 * BYTES_OF_A_CONNECTION;
        if memory > self.memory {
            return Some(format!("{} MB are needed, {} MB are free", memory >> 20, self.memory >> 20));
        }
        let ports = super::holder::OF_AN_ADDRESS;
        (ports > self.ports).then(|| format!("{ports} ports are needed for an address, there are {}", self.ports))
    }
}
