//! The command line of `kit load`.

use std::{path::PathBuf, time::Duration};

use super::target::Target;

const EXAMPLES: &str = "\
Examples:
  kit load http://127.0.0.1:5001/v1/detail?id=1
      as many calls as the server answers, on 50 connections, for ten seconds
  kit load grpc://127.0.0.1:5002/details.BookDetails/Detail --data '{\"id\": \"1\"}' --rate 10000
      10,000 calls a second, whatever the answers do; the message is translated by the server's reflection
  kit load grpc://127.0.0.1:5002/details.BookDetails/Detail --data-hex 0801 --connections 100 --streams 1
      the message as bytes, for a server without reflection
  kit load http://127.0.0.1:5011/v1/post -H 'content-type: application/json' --data '{\"id\": 1, \"content\": \"x\"}'
      POST, because there is a body
  kit load grpc://127.0.0.1:5002/details.BookDetails/Detail --rate 500 --fail-above 1 --json
      for scripts: one JSON object, and exit code 1 when more than one call in a hundred fails

Latencies of calls on schedule count from when each call should have begun: a server that stalls is not spared the calls
that had to wait for it.";

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What to call: http://HOST:PORT/PATH (HTTP/1.1) or grpc://HOST:PORT/package.Service/Method
    #[arg(value_name = "URL")]
    pub(super) target: Target,
    /// Begin calls on this schedule, whatever the answers do [default: each call after an answer, at full speed]
    #[arg(long, value_name = "CALLS/S", value_parser = rate)]
    pub(super) rate: Option<f64>,
    /// Connections to the server
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = at_least_one)]
    pub(super) connections: usize,
    /// gRPC calls at a time on each connection (HTTP/1.1 has one) [default: 10]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(super) streams: Option<usize>,
    /// How long calls are made and counted
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = kit::duration::parse)]
    pub(super) duration: Duration,
    /// How long calls are made before that, and not counted
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = kit::duration::parse)]
    pub(super) warmup: Duration,
    /// The longest wait for an answer (of a stream: for its next message), which then is an error
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = kit::duration::parse)]
    pub(super) timeout: Duration,
    /// With --rate: calls that wait or run at a time; further ones are not made, and counted as dropped
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = at_least_one, requires = "rate")]
    pub(super) max_in_flight: usize,
    /// The body of the request; for gRPC a JSON message, which the server's reflection or --descriptors translates
    #[arg(long, value_name = "TEXT", conflicts_with = "data_hex")]
    pub(super) data: Option<String>,
    /// The bytes of the request (for gRPC the message in protobuf), as hexadecimal digits
    #[arg(long, value_name = "HEX", value_parser = hex)]
    pub(super) data_hex: Option<Bytes>,
    /// The bytes of the request from a file: a command line holds 64 KB of them at most
    #[arg(long, value_name = "FILE", value_parser = file, conflicts_with_all = ["data", "data_hex"])]
    pub(super) data_file: Option<Bytes>,
    /// A FileDescriptorSet in the place of the server's reflection
    #[arg(long, value_name = "FILE", requires = "data")]
    pub(super) descriptors: Option<PathBuf>,
    /// A header, or metadata of gRPC; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME:VALUE", value_parser = header)]
    pub(super) headers: Vec<(String, String)>,
    /// The method of HTTP [default: GET, or POST when there is a body]
    #[arg(short = 'X', long, value_name = "METHOD")]
    pub(super) method: Option<http::Method>,
    /// The gRPC method answers with a stream: its messages are counted, too
    #[arg(long)]
    pub(super) server_stream: bool,
    /// Run on this core only (Linux)
    #[arg(long, value_name = "CORE")]
    pub(super) cpu: Option<usize>,
    /// Print one JSON object at the end in the place of the report
    #[arg(long)]
    pub(super) json: bool,
    /// Fail (exit code 1) when more than this share of the calls is errors or dropped
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub(super) fail_above: Option<f64>,
}

/// What was written in hexadecimal; its own type, for a list would be many arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) Vec<u8>);

/// More would take more sockets than any system gives a process.
const MOST: usize = 10_000_000;

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=MOST) => Ok(number),
        _ => Err(format!("write a number from 1 to {MOST}")),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.replace('_', "").parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 && rate <= 1e8 => Ok(rate),
        _ => Err("write the calls of a second, as in 10000 or 0.5".to_owned()),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("write a share from 0 to 100".to_owned()),
    }
}

fn hex(text: &str) -> Result<Bytes, String> {
    let digits: Vec<u32> = text
        .chars()
        .filter(|digit| !digit.is_whitespace())
        .map(|digit| digit.to_digit(16).ok_or_else(|| format!("`{digit}` is no hexadecimal digit")))
        .collect::<Result<_, _>>()?;
    match digits.as_chunks::<2>() {
        (pairs, []) => Ok(Bytes(pairs.iter().map(|[high, low]| (high << 4 | low) as u8).collect())),
        _ => Err("half a byte is left over: write two digits for each".to_owned()),
    }
}

fn file(path: &str) -> Result<Bytes, String> {
    std::fs::read(path).map(Bytes).map_err(|why| why.to_string())
}

impl Args {
    /// The body as it was given in bytes.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        self.data_hex.as_ref().or(self.data_file.as_ref()).map(|bytes| bytes.0.as_slice())
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write NAME:VALUE")?;
    let name =
        http::HeaderName::try_from(name.trim()).map_err(|_| format!("`{}` is no name of a header", name.trim()))?;
    let value = value.trim();
    http::HeaderValue::try_from(value).map_err(|_| format!("`{value}` is no value of a header"))?;
    Ok((name.as_str().to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{Bytes, header, hex, percent, rate};

    #[test]
    fn values_are_read() {
        assert_eq!(hex("08 01aF"), Ok(Bytes(vec![8, 1, 0xaf])));
        assert_eq!(hex(""), Ok(Bytes(vec![])));
        assert!(hex("081").is_err() && hex("0x").is_err());
        assert_eq!(rate("10_000"), Ok(10_000.0));
        for wrong in ["0", "-1", "inf", "NaN", "x", "1e99"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
        assert_eq!(header("X-Tenant: blue : green"), Ok(("x-tenant".to_owned(), "blue : green".to_owned())));
        assert!(header("x").is_err() && header("a b: c").is_err() && header("a: b\r\nc: d").is_err());
        assert_eq!(percent("1%"), Ok(1.0));
        assert!(percent("101").is_err());
    }
}
