//! Messages from `--json`.

use std::io::{BufReader, Read};

use clap::ArgMatches;

use super::Failure;
use crate::{Message, Streaming, json, json::Options};

/// Where `--json` says that the JSON is.
fn open(given: &str) -> Result<Box<dyn Read + Send>, Failure> {
    if given == "-" {
        return Ok(Box::new(std::io::stdin()));
    }
    match given.strip_prefix('@') {
        Some(file) => {
            let opened = std::fs::File::open(file).map_err(|e| Failure::Usage(format!("--json @{file}: {e}")))?;
            Ok(Box::new(opened))
        }
        None => Ok(Box::new(std::io::Cursor::new(given.to_owned().into_bytes()))),
    }
}

/// The one message that `--json` and the flags say.
pub(super) fn one<M: Message>(matches: &ArgMatches) -> Result<M, Failure> {
    let mut message = M::default();
    if let Some(given) = matches.get_one::<String>("json") {
        let mut text = Vec::new();
        open(given)?.read_to_end(&mut text).map_err(|e| Failure::Usage(format!("--json {given}: {e}")))?;
        // A misspelt name is the likeliest mistake of a person, and no service would tell.
        let strict = Options { unknown_fields: json::UnknownFields::Reject, ..Options::default() };
        message = json::from_slice(&text, &strict).map_err(|e| Failure::Usage(format!("--json: {}", e.message())))?;
    }
    super::flags::apply(&mut message, matches)?;
    Ok(message)
}

/// How many messages are read ahead of the connection.
const READ_AHEAD: usize = 16;

/// The messages of a client stream: those of `--json`, or the one that the flags say.
pub(super) fn many<M: Message>(matches: &ArgMatches) -> Result<Streaming<M>, Failure> {
    let mut from_flags = M::default();
    let flags = super::flags::apply(&mut from_flags, matches)?;
    let Some(given) = matches.get_one::<String>("json") else {
        return Ok(if flags { Streaming::from_iter([from_flags]) } else { Streaming::from_iter([]) });
    };
    if flags {
        return Err(Failure::Usage("give the messages of a stream by --json or one by flags, not both".to_owned()));
    }
    let reader = BufReader::new(open(given)?);
    let (sender, stream) = Streaming::channel(READ_AHEAD);
    // Reading may block for as long as somebody types; the thread ends with the process.
    std::thread::spawn(move || {
        let values = serde_json::Deserializer::from_reader(reader).into_iter::<serde_json::Value>();
        for value in values {
            let message = value
                .map_err(|e| crate::Error::invalid_argument(format!("--json: {e}")))
                .and_then(|value| json::from_value(value, &Options::default()));
            let failed = message.is_err();
            if sender.blocking_send(message).is_err() || failed {
                return;
            }
        }
    });
    Ok(stream)
}
