use std::{sync::Arc, time::Duration};

use axum::{extract::Request, response::Response, routing::MethodRouter};
use http::{StatusCode, header, request::Parts};
use serde_json::json;

use super::{
    Shared,
    html::{self, Escaped},
    page,
};
use crate::{
    Error,
    debug::{
        LogControl, Refusal,
        answer::{self, Form, Query},
    },
    duration,
};

/// No level is longer; this much is read of anything.
const MAX_BODY: usize = 4096;

/// A day: what is meant to stay longer belongs into the configuration.
const MAX_TIME: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn routes(shared: &Arc<Shared>) -> MethodRouter {
    let put = Arc::clone(shared);
    page(shared, read).put(async move |request: Request| {
        let (parts, body) = request.into_parts();
        match axum::body::to_bytes(body, MAX_BODY).await {
            Ok(body) => answer::either(&parts.headers, change(&put, &parts, &body)),
            Err(_) => {
                let text = format!("the body could not be read, or is longer than {MAX_BODY} bytes");
                Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text).respond(&parts.headers)
            }
        }
    })
}

fn log(shared: &Shared) -> Result<&dyn LogControl, Error> {
    let log = shared.log.as_deref();
    log.ok_or_else(|| Error::unimplemented("the level can't be read or changed here: main passes no log to Debug::log"))
}

/// The level of now.
fn read(shared: &Shared, parts: &Parts) -> Result<Response, Error> {
    let query = Query::read(&parts.uri, &["format"])?;
    match Form::wanted(&parts.headers, &query, Form::Text)? {
        Form::Json => Ok(answer::json(&json!({ "level": log(shared)?.level() }))),
        Form::Text => Ok(answer::text(format!("{}\n", log(shared)?.level()))),
        Form::Html => {
            let level = shared.log.as_ref().map(|log| log.level());
            Ok(answer::html(html::document(shared, "Log", "", "", &form(level.as_deref()))))
        }
    }
}

fn form(level: Option<&str>) -> String {
    let Some(level) = level else {
        return "<h1>Log</h1>\n<p class=\"empty\">The level can't be read or changed here: main passes no log to \
                <code>Debug::log</code>.</p>\n"
            .to_owned();
    };
    format!(
        r#"<h1>Log</h1>
<p class="lead">The level of now is <code id="level">{level}</code>.</p>
<form id="log" class="card" hidden>
<label><span>New level</span><input id="new-level" name="level" list="levels" value="{level}" required maxlength="1000" autocomplete="off" spellcheck="false"></label>
<datalist id="levels"><option value="off"><option value="error"><option value="warn"><option value="info"><option value="debug"><option value="trace"><option value="info,kit::access=debug"></datalist>
<label><span>For</span><select id="for" name="for"><option value="5m">5 minutes</option><option value="10m" selected>10 minutes</option><option value="1h">1 hour</option><option value="">until it is changed again</option></select></label>
<button class="main" type="submit">Change</button>
<p id="answer" role="status"></p>
</form>
<p class="soft">From a shell: <code>curl -X PUT -d debug 'localhost:PORT/debug/log?for=10m'</code></p>
"#,
        level = Escaped(level)
    )
}

/// A new level: text with `?for=`, or JSON.
fn change(shared: &Shared, parts: &Parts, body: &[u8]) -> Result<Response, Error> {
    let query = Query::read(&parts.uri, &["for", "format"])?;
    let log = log(shared)?;
    let content_type =
        parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_json = content_type.to_ascii_lowercase().starts_with("application/json");
    let wanted = if is_json { Wanted::from_json(body)? } else { Wanted::from_text(body)? };
    let time = wanted.time.as_deref().or(query.get("for")).map(time).transpose()?;
    log.set_level(&wanted.level, time)?;
    let (level, time) = (log.level(), time.map(duration::format));
    tracing::info!(level, time, "the level of the log was changed on the debug port");
    let form = Form::wanted(&parts.headers, &query, if is_json { Form::Json } else { Form::Text })?;
    Ok(match (form, time) {
        (Form::Json, time) => answer::json(&json!({ "level": level, "for": time })),
        (_, None) => answer::text(format!("{level}\n")),
        (_, Some(time)) => answer::text(format!("{level} for {time}\n")),
    })
}

struct Wanted {
    level: String,
    time: Option<String>,
}

impl Wanted {
    fn from_text(body: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(body).map_err(|_| Error::invalid_argument("the level is no UTF-8 text"))?.trim();
        if text.is_empty() {
            return Err(Error::invalid_argument("the body is empty: send a level, such as debug"));
        }
        Ok(Self { level: text.to_owned(), time: None })
    }

    fn from_json(body: &[u8]) -> Result<Self, Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Body {
            level: String,
            #[serde(default, rename = "for")]
            time: Option<String>,
        }
        let wrong =
            |e| Error::invalid_argument(format!(r#"the body is not like {{"level":"debug","for":"10m"}}: {e}"#));
        let Body { level, time } = serde_json::from_slice(body).map_err(wrong)?;
        Ok(Self { level, time })
    }
}

fn time(text: &str) -> Result<Duration, Error> {
    let time = duration::parse(text).map_err(|e| Error::invalid_argument(format!("for: {e}")))?;
    if time.is_zero() || time > MAX_TIME {
        let most = duration::format(MAX_TIME);
        return Err(Error::invalid_argument(format!("for is {text}: it must be above 0s and at most {most}")));
    }
    Ok(time)
}
