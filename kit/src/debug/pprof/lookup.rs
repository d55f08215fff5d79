//! The names of addresses, as `go tool pprof` asks for them when a profile has none.

use std::fmt::Write as _;

use axum::{
    body::{Body, to_bytes},
    response::Response,
};
use http::{StatusCode, request::Parts};

use super::{Mappings, Profiles};
use crate::debug::{Refusal, answer};

/// The longest list of addresses in bytes: some fifty thousand of them.
const MAX_LENGTH: usize = 1024 * 1024;

pub(super) async fn by_query(profiles: &Profiles, parts: &Parts) -> Result<Response, Refusal> {
    names(profiles, parts.uri.query().unwrap_or_default().to_owned()).await
}

pub(super) async fn by_body(profiles: &Profiles, body: Body) -> Result<Response, Refusal> {
    let bytes = to_bytes(body, MAX_LENGTH).await.map_err(|_| {
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "more than 1 MiB of addresses, or they did not come: ask in parts")
    })?;
    names(profiles, String::from_utf8_lossy(&bytes).into_owned()).await
}

/// A line that says that there are names, and one for each address of `0x1+0x2`.
async fn names(profiles: &Profiles, addresses: String) -> Result<Response, Refusal> {
    let names = profiles
        .blocking(move |symbols, abandoned| {
            let mappings = Mappings::of_this_process();
            let mut text = "num_symbols: 1\n".to_owned();
            let addresses = addresses.split('+').filter_map(|address| {
                let address = address.trim();
                u64::from_str_radix(address.strip_prefix("0x").unwrap_or(address), 16).ok()
            });
            for address in addresses.take_while(|_| !abandoned.is_cancelled()) {
                if let Some(name) = symbols.locate(address, &mappings).functions().last() {
                    let _ = writeln!(text, "{address:#x} {name}");
                }
            }
            Ok(text)
        })
        .await?;
    Ok(answer::text(names))
}
