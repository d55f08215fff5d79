//! What a process is that this program started.

use std::env;

use super::{census, holder, wire::Protocol};
use crate::{Failure, sockets::pin_this_thread};

/// The first argument of a process that has a role; after it come the core, the role and what the role is told.
pub const FLAG: &str = "--as";

/// Plays the role that the arguments name; `false` when they name none. To be called first of all.
///
/// # Errors
/// When the role can't be played, or ended badly.
pub fn play() -> Result<bool, Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [flag, core, role, told @ ..] = arguments.as_slice() else { return Ok(false) };
    if flag != FLAG {
        return Ok(false);
    }
    raise_descriptors()?;
    if let Ok(core) = core.parse() {
        pin_this_thread(core)?;
    }
    match (role.as_str(), told) {
        ("server", [what]) => census::serve(what.parse()?)?,
        ("holder", [protocol, count, group, to]) => {
            holder::run(Protocol::named(protocol)?, count.parse()?, group.parse()?, to.parse()?)?;
        }
        _ => return Err(format!("no such role: {role} {told:?}").into()),
    }
    Ok(true)
}

/// Lets this process have as many descriptors as it may; how many that are.
///
/// # Errors
/// When the system refuses.
pub fn raise_descriptors() -> Result<u64, Failure> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let most = limit.maximum.unwrap_or(u64::MAX);
    setrlimit(Resource::Nofile, limit)?;
    Ok(most)
}
