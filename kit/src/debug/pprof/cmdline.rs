//! The command line of the process.

use axum::response::Response;

use super::download;
use crate::mask::Mask;

/// The arguments with a NUL between them, as Go writes them, without their secrets. It is text and not a download.
pub(super) fn cmdline() -> Response {
    let arguments = Mask::default().arguments(std::env::args_os());
    let mut response = download(arguments.join("\0"), "text/plain; charset=utf-8", "cmdline");
    response.headers_mut().remove(http::header::CONTENT_DISPOSITION);
    response
}
