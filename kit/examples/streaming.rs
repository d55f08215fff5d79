//! All four kinds of calls: `cargo run -p kit --example streaming`, then
//!
//! ```text
//! curl -N localhost:8080/v1/count/3
//! curl -N -H 'accept: text/event-stream' localhost:8080/v1/count/3
//! printf '{"text":"one"}\n{"text":"two"}\n' | curl -H 'content-type: application/x-ndjson' --data-binary @- localhost:8080/v1/dictate
//! ```

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use kit::{Context, Error, Streaming, middleware::StandardStack, server::Server};

pub(crate) mod proto {
    include!("generated/chat/protos.rs");
}
use proto::chat::{Chat, ChatEndpoints, CountRequest, Line, Summary};

pub(crate) struct Room;

/// Messages that a slow reader has not taken yet.
const UNREAD: usize = 8;

impl Chat for Room {
    async fn say(&self, _cx: &Context, line: Line) -> Result<Line, Error> {
        Ok(Line { text: line.text.to_uppercase() })
    }

    async fn count(&self, _cx: &Context, request: CountRequest) -> Result<Streaming<Line>, Error> {
        if request.to < 0 {
            return Err(Error::invalid_argument("count up").with_field_violation("to", "must not be negative"));
        }
        Ok(Streaming::from_iter((1..=request.to).map(|n| Line { text: n.to_string() })))
    }

    async fn dictate(&self, _cx: &Context, mut lines: Streaming<Line>) -> Result<Summary, Error> {
        let mut summary = Summary::default();
        while let Some(line) = lines.message().await? {
            summary.lines += 1;
            summary.letters += line.text.chars().filter(|c| c.is_alphabetic()).count() as i64;
        }
        Ok(summary)
    }

    async fn talk(&self, _cx: &Context, mut lines: Streaming<Line>) -> Result<Streaming<Line>, Error> {
        let (sender, answers) = Streaming::channel(UNREAD);
        tokio::spawn(async move {
            loop {
                let answer = match lines.message().await {
                    Ok(Some(line)) => Ok(Line { text: format!("you said: {}", line.text) }),
                    Ok(None) => break,
                    Err(error) => Err(error),
                };
                // Nobody listens any more: nothing is left to do.
                if sender.send(answer).await.is_err() {
                    break;
                }
            }
        });
        Ok(answers)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    kit::telemetry::log::LogConfig::default().init()?;
    let endpoints = ChatEndpoints::new(Room).with(&StandardStack::default());
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let server = Server::new().shared(address).service(&endpoints).bind().await?;
    server.run(kit::server::shutdown_signal()).await?;
    Ok(())
}
