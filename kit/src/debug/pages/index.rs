use std::fmt::Write as _;

use axum::response::Response;
use http::request::Parts;

use super::{
    Shared,
    html::{self, Escaped},
    pages,
};
use crate::{
    Error,
    debug::answer::{self, Query},
    telemetry::metrics::ProcessFigures,
};

/// One page that links all.
pub(super) fn answer(shared: &Shared, parts: &Parts) -> Result<Response, Error> {
    Query::read(&parts.uri, &[])?;
    let process = ProcessFigures::read();
    let unknown = || "unknown".to_owned();
    let uptime = html::long(shared.uptime());
    let facts = [
        ("Up for", uptime),
        ("Process", std::process::id().to_string()),
        ("Memory", process.resident_memory.map_or_else(unknown, html::bytes)),
        ("CPU time", process.cpu.map_or_else(unknown, |time| format!("{:.1} s", time.as_secs_f64()))),
        ("Threads", process.threads.map_or_else(unknown, |threads| threads.to_string())),
        ("Open files", process.open_fds.map_or_else(unknown, |open| open.to_string())),
        ("Tasks", shared.runtime.num_alive_tasks().to_string()),
        ("kit", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let version = shared.version.as_deref().map(|version| format!(" <small>{}</small>", Escaped(version)));
    let mut main = format!("<h1>{}{}</h1>\n<dl class=\"facts\">", Escaped(&shared.name), version.unwrap_or_default());
    for (name, value) in facts {
        let _ = write!(main, "<div><dt>{name}</dt><dd>{}</dd></div>", Escaped(&value));
    }
    main.push_str("</dl>\n<ul class=\"pages\">\n");
    for page in pages(shared) {
        let (title, about) = (page.title, page.about);
        let path = page.path.strip_prefix("/debug/").unwrap_or(page.path);
        let _ = match page.missing {
            None => {
                writeln!(main, "<li><a href=\"{path}\"><b>{title}</b><code>{}</code><p>{about}</p></a></li>", page.path)
            }
            Some(why) => writeln!(
                main,
                "<li class=\"missing\"><div><b>{title}</b><code>{}</code><p>{about}</p><p class=\"why\">Not here: {why}.</p></div></li>",
                page.path
            ),
        };
    }
    main.push_str("</ul>\n");
    Ok(answer::html(html::document(shared, "Overview", "", "", &main)))
}
