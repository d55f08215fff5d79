//! The measurements, and their tables.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use prost::Message as _;

use super::{
    limits::Limits,
    process::{Holder, counting_server},
    subjects::{H2, KIT_GRPC, KIT_HTTP, Subject, TONIC},
    wire::Protocol,
};
use crate::{
    Failure,
    results::{Results, Row, Table, Unit},
    servers::note,
    sockets::{Driver, Load, Process, Spread},
};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Idle connections, ascending, after which the memory of a server is looked at.
    pub held: [usize; 2],
    /// Connections whose memory is asked for block by block.
    pub counted: usize,
    /// Connections that call in turn.
    pub in_turn: [usize; 5],
    /// Calls at once where many call.
    pub at_once: usize,
    /// Idle connections over several servers.
    pub many: usize,
    /// How many turns there are.
    pub turns: usize,
    /// How long is called in a turn.
    pub time: Duration,
    /// How long a server has to come to rest.
    pub rest: Duration,
}

impl Scale {
    /// As it is meant.
    pub const WHOLE: Self = Self {
        held: [2_000, 10_000],
        counted: 200,
        in_turn: [1, 10, 100, 1_000, 10_000],
        at_once: 50,
        many: 50_000,
        turns: 3,
        time: Duration::from_secs(2),
        rest: Duration::from_millis(400),
    };

    /// Only that it runs.
    pub const BRIEF: Self = Self {
        held: [20, 100],
        counted: 10,
        in_turn: [1, 2, 5, 10, 20],
        at_once: 5,
        many: 200,
        turns: 1,
        time: Duration::from_millis(500),
        rest: Duration::from_millis(20),
    };
}

/// The server programs: one for each allocator, by its name. The first is that of the system.
pub type Programs = [(&'static str, PathBuf); 3];

/// Connections that are there before memory is looked at: what is made once for all is no part of one.
const BEFORE: usize = 50;

/// The cores of a server and of whoever calls it.
const SERVER: usize = 0;
const CALLER: usize = 1;

/// The groups of addresses that connections come from: those that are there before, those that call, those that are idle.
const FIRST: u8 = 1;
const CALLING: u8 = 2;
const IDLE: u8 = 3;

/// The most that an idle connection may take.
const GRPC_BAR: f64 = 18.0 * 1024.0;
const HTTP_BAR: f64 = 12.0 * 1024.0;

/// How much more a call may cost on one of many connections than on the only one.
const GROWTH_BAR: f64 = 1.1;

/// The load beside idle connections.
const CONNECTIONS: u32 = 50;
const STREAMS: u32 = 10;

/// What has to be left of the calls a second when very many others are connected.
const LEFT_BAR: f64 = 0.9;

/// Says what the machine allows.
pub fn title(limits: &Limits) {
    let Limits { descriptors, memory, ports } = limits;
    println!("connections: {descriptors} descriptors a process, {} MB free, {ports} ports an address", memory >> 20);
}

/// What an idle connection takes of the memory of its server.
///
/// # Errors
/// When a server or a connection fails.
pub fn memory(
    scale: &Scale,
    limits: &Limits,
    programs: &Programs,
    subjects: &[Subject],
    results: &mut Results,
) -> Result<(), Failure> {
    let [few, many] = scale.held;
    if let Some(why) = limits.forbid(many + BEFORE, 1) {
        println!("\nmemory of an idle connection: left out, {why}");
        return Ok(());
    }
    println!("\nmemory of an idle connection after one call (server on one thread), bytes");
    println!("{:12} {:10} {few:>8} {many:>8} connections", "", "");
    let mut rows = Vec::new();
    for subject in subjects.iter().copied() {
        for (allocator, program) in programs {
            let [of_few, of_many] = memory_of(scale, subject, program)?;
            println!("{:12} {allocator:10} {of_few:>8} {of_many:>8}", subject.name);
            rows.push(vec![subject.name.to_owned(), (*allocator).to_owned(), of_few.to_string(), of_many.to_string()]);
            let bar = match subject {
                KIT_GRPC => GRPC_BAR,
                KIT_HTTP => HTTP_BAR,
                _ => continue,
            };
            let row = Row::new("idle connection", subject.name, of_many as f64, Unit::Bytes);
            results.record(row.at_most(bar).measured_in(format!("one thread, allocator: {allocator}")));
        }
    }
    let columns = ["server".to_owned(), "allocator".to_owned(), format!("of {few}"), format!("of {many}")];
    results.table(Table { title: "Bytes of an idle connection".to_owned(), columns: columns.to_vec(), rows });
    Ok(())
}

fn memory_of(scale: &Scale, subject: Subject, program: &PathBuf) -> Result<[u64; 2], Failure> {
    let [few, many] = scale.held;
    let server = subject.start(program, SERVER)?;
    let hold = |count, group| Holder::start(subject.protocol, count, group, server.address(), None);
    let _before = hold(BEFORE, FIRST)?;
    wait(scale.rest);
    let empty = in_use(&server)?;
    let _few = hold(few, IDLE)?;
    wait(scale.rest);
    let of_few = in_use(&server)?.saturating_sub(empty) / few as u64;
    let _many = hold(many - few, IDLE + 1)?;
    wait(scale.rest);
    Ok([of_few, in_use(&server)?.saturating_sub(empty) / many as u64])
}

fn in_use(server: &Process) -> Result<u64, Failure> {
    Ok(server.memory().ok_or("the system does not tell how much memory a process has")?)
}

/// Who holds the memory of an idle connection.
///
/// # Errors
/// When a server or a connection fails.
pub fn breakdown(scale: &Scale, subjects: &[Subject], results: &mut Results) -> Result<(), Failure> {
    for subject in subjects.iter().copied() {
        let (mut server, address) = counting_server(subject)?;
        let _before = Holder::start(subject.protocol, BEFORE, FIRST, address, None)?;
        server.ask("mark")?;
        let _held = Holder::start(subject.protocol, scale.counted, IDLE, address, None)?;
        wait(scale.rest);
        let (mut holdings, mut line) = (Vec::new(), server.ask("report")?);
        while line != "end" {
            let mut words = line.splitn(3, ' ');
            let mut number = || words.next().unwrap_or_default().parse::<f64>();
            let (bytes, blocks) = (number()? / scale.counted as f64, number()? / scale.counted as f64);
            holdings.push((bytes, blocks, words.next().unwrap_or_default().to_owned()));
            line = server.line()?;
        }
        let sum = |of: &[(f64, f64, String)]| of.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let all = sum(&holdings);
        println!("\n{}: {:.0} bytes in {:.1} blocks for an idle connection, asked for by", subject.name, all.0, all.1);
        // What is less is of the whole server, or a table that grows.
        let (mut shown, rest): (Vec<_>, Vec<_>) = holdings.into_iter().partition(|(bytes, ..)| *bytes >= 64.0);
        let rest = sum(&rest);
        shown.push((rest.0, rest.1, "others".to_owned()));
        let mut rows = Vec::new();
        for (bytes, blocks, owner) in shown {
            println!("{bytes:>8.0} {blocks:>6.2}  {owner}");
            rows.push(vec![format!("{bytes:.0}"), format!("{blocks:.2}"), owner]);
        }
        rows.push(vec![format!("{:.0}", all.0), format!("{:.2}", all.1), "all".to_owned()]);
        let columns = ["bytes", "blocks", "asked for by"].map(str::to_owned).to_vec();
        let title = format!("What is allocated for an idle connection: {}", subject.name);
        results.table(Table { title, columns, rows });
    }
    Ok(())
}

/// What a call costs the server when it comes on one of few or of many connections in turn.
///
/// # Errors
/// When a server, a connection or a call fails.
pub fn in_turn(scale: &Scale, limits: &Limits, programs: &Programs, results: &mut Results) -> Result<(), Failure> {
    let [(_, program), ..] = programs;
    for at_once in [1, scale.at_once] {
        let counts: Vec<usize> = scale.in_turn.into_iter().filter(|count| *count >= at_once).collect();
        if let Some(why) = counts.last().and_then(|most| limits.forbid(*most, 1)) {
            println!("\ncalls on connections in turn: left out, {why}");
            return Ok(());
        }
        println!("\nprocessor time of a call on connections in turn, {at_once} at a time, us (medians of turns)");
        let heads: String = counts.iter().map(|count| format!("{count:>8}")).collect();
        println!("{:12} {heads} connections", "");
        let mut rows = Vec::new();
        for subject in [H2, TONIC, KIT_GRPC] {
            let costs = costs(scale, subject, program, &counts, at_once)?;
            let cells: Vec<String> =
                costs.iter().map(|costs| format!("{:.2}", Spread::of(costs.clone()).median)).collect();
            println!("{:12} {}", subject.name, cells.iter().map(|cell| format!("{cell:>8}")).collect::<String>());
            rows.push([vec![subject.name.to_owned()], cells].concat());
            let (Some(first), Some(last)) = (costs.first(), costs.last()) else { continue };
            let growth = Spread::of_ratios(last, first);
            let (few, many) = (counts.first().unwrap_or(&0), counts.last().unwrap_or(&0));
            let name = format!("call on {many} connections in turn, {at_once} at a time");
            let row = Row::new(name, format!("{}: on {few}", subject.name), growth.median, Unit::Ratio);
            let row = row.spread(growth.low, growth.high).measured_in("one thread, allocator: system");
            results.record(if subject == KIT_GRPC { row.at_most(GROWTH_BAR) } else { row });
        }
        let title = format!("Processor time of a call on connections in turn, {at_once} at a time, µs");
        let columns = [vec!["server".to_owned()], counts.iter().map(usize::to_string).collect()].concat();
        results.table(Table { title, columns, rows });
    }
    Ok(())
}

/// Microseconds of the server, by the number of connections, turn by turn.
fn costs(
    scale: &Scale,
    subject: Subject,
    program: &PathBuf,
    counts: &[usize],
    at_once: usize,
) -> Result<Vec<Vec<f64>>, Failure> {
    let mut all = vec![Vec::new(); counts.len()];
    for _ in 0..scale.turns {
        let server = subject.start(program, SERVER)?;
        for (count, costs) in counts.iter().zip(&mut all) {
            let mut holder = Holder::start(subject.protocol, *count, CALLING, server.address(), Some(CALLER))?;
            wait(scale.rest);
            holder.call(at_once, scale.time / 10)?;
            let before = server.processor_time();
            let called = holder.call(at_once, scale.time / 2)?;
            let taken = server.processor_time().zip(before).map(|(after, before)| after.saturating_sub(before));
            let taken = taken.ok_or("the system does not tell the time of a process")?;
            costs.push(taken.as_secs_f64() * 1e6 / called.calls as f64);
            drop(holder);
            wait(scale.rest / 5);
        }
    }
    Ok(all)
}

/// Whether very many idle connections over several servers are in the way of those that call.
///
/// # Errors
/// When a server, a connection or a call fails.
pub fn many(scale: &Scale, limits: &Limits, programs: &Programs, results: &mut Results) -> Result<(), Failure> {
    let servers = scale.many.div_ceil(limits.of_a_process().clamp(1, scale.many.div_ceil(4)));
    // With more of them than that it would be about processes.
    let too_many = (servers > 8).then(|| format!("{} descriptors are not enough for a process", limits.descriptors));
    if let Some(why) = too_many.or_else(|| limits.forbid(scale.many + servers * CONNECTIONS as usize, servers)) {
        println!("\n{} idle connections: left out, {why}", scale.many);
        return Ok(());
    }
    println!("\n{} idle gRPC connections over {servers} servers; {CONNECTIONS} others call one of these", scale.many);
    let [(_, program), ..] = programs;
    let (driver, load) = (Driver::build(CALLER)?, Load::closed(CONNECTIONS, STREAMS, note().encode_to_vec()));
    let mut rows = Vec::new();
    for subject in [TONIC, KIT_GRPC] {
        let (mut before, mut meanwhile, mut memory, mut lost) = (Vec::new(), Vec::new(), 0, 0);
        for _ in 0..scale.turns {
            let servers: Vec<Process> =
                (0..servers).map(|_| subject.start(program, SERVER)).collect::<Result<_, _>>()?;
            let called = servers.first().ok_or("no server")?.address();
            let call = || {
                let report =
                    driver.run(&format!("grpc://{called}/press.Press/Echo"), &load, scale.time / 4, scale.time)?;
                report.failure().map_or(Ok(report.rate), |failure| Err(Failure::from(failure)))
            };
            before.push(call()?);
            let empty = sum_of_memory(&servers)?;
            let mut idle = hold(scale.many, &servers)?;
            wait(scale.rest);
            memory = sum_of_memory(&servers)?.saturating_sub(empty) / scale.many as u64;
            meanwhile.push(call()?);
            for holder in &mut idle {
                lost += holder.lost()?;
            }
        }
        let ratio = Spread::of_ratios(&meanwhile, &before);
        let [before, meanwhile] = [before, meanwhile].map(|rates| format!("{:.0}", Spread::of(rates).median));
        println!(
            "{:12} before {before} calls/s, with them {meanwhile}; {lost} lost, {memory} bytes each",
            subject.name
        );
        let name = format!("{CONNECTIONS} x {STREAMS} calls beside {} idle connections", scale.many);
        // A connection that is lost spoils the figure: none may be.
        let value = if lost == 0 { ratio.median } else { f64::NAN };
        let row = Row::new(name, format!("{}: without them", subject.name), value, Unit::Ratio);
        let row = row.spread(ratio.low, ratio.high).note(format!("{lost} connections lost, {memory} bytes each"));
        let row = row.measured_in(format!("{servers} servers of one thread on one core, allocator: system"));
        results.record(if subject == KIT_GRPC { row.at_least(LEFT_BAR) } else { row });
        rows.push(vec![subject.name.to_owned(), before, meanwhile, lost.to_string(), memory.to_string()]);
    }
    let columns = ["server", "calls/s before", "with them", "lost", "bytes each"].map(str::to_owned).to_vec();
    results.table(Table {
        title: format!("{} idle gRPC connections over {servers} servers", scale.many),
        columns,
        rows,
    });
    Ok(())
}

fn hold(count: usize, servers: &[Process]) -> Result<Vec<Holder>, Failure> {
    let share = count.div_ceil(servers.len().max(1));
    let to: Vec<SocketAddr> = servers.iter().map(Process::address).collect();
    to.iter().zip(IDLE..).map(|(to, group)| Holder::start(Protocol::Grpc, share, group, *to, None)).collect()
}

fn sum_of_memory(servers: &[Process]) -> Result<u64, Failure> {
    servers.iter().map(in_use).sum()
}

#[expect(clippy::disallowed_methods, reason = "this thread has no tasks")]
fn wait(time: Duration) {
    std::thread::sleep(time);
}
