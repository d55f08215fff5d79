use std::fmt::Write as _;

use axum::response::Response;
use http::request::Parts;
use serde_json::{Value, json};

use super::{
    Shared,
    html::{self, Escaped},
};
use crate::{
    Error,
    debug::{
        answer::{self, Form, Query},
        runtime,
    },
    task::{TaskFigures, Tasks},
};

/// Background tasks and the runtime.
pub(super) fn answer(shared: &Shared, parts: &Parts) -> Result<Response, Error> {
    let query = Query::read(&parts.uri, &["format"])?;
    let form = Form::wanted(&parts.headers, &query, Form::Html)?;
    if form == Form::Json {
        return Ok(answer::json(&json!({ "tasks": tasks(shared), "runtime": runtime(shared) })));
    }
    let mut main = String::from(
        "<h1>Tasks</h1>\n<p class=\"lead\">What runs beside calls. Programs read <a href=\"tasks?format=json\">the same as \
         JSON</a>.</p>\n<h2>Background tasks</h2>\n",
    );
    match &*figures(shared) {
        [] if shared.tasks.is_empty() => {
            main.push_str("<p class=\"empty\">Not known: main passes no tasks to <code>Debug::tasks</code>.</p>\n");
        }
        [] => main.push_str("<p class=\"empty\">None was started so far.</p>\n"),
        figures => table(&mut main, figures),
    }
    let _ = writeln!(main, "<h2>Runtime</h2>\n<div class=\"card\">{}</div>", html::fields(&runtime(shared)));
    Ok(answer::html(html::document(shared, "Tasks", "", "", &main)))
}

fn figures(shared: &Shared) -> Vec<TaskFigures> {
    shared.tasks.iter().flat_map(Tasks::figures).collect()
}

fn table(main: &mut String, figures: &[TaskFigures]) {
    main.push_str(
        "<div class=\"wide\"><table>\n<thead><tr><th>Name</th><th class=\"number\">Running</th><th class=\"number\">Started</th>\
         <th class=\"number\">Finished</th><th class=\"number\">Panicked</th><th class=\"number\">Refused</th></tr></thead>\n\
         <tbody>\n",
    );
    for TaskFigures { name, running, spawned, finished, panicked, refused } in figures {
        let bad = |count: u64| if count > 0 { " bad" } else { "" };
        let _ = writeln!(
            main,
            "<tr><th scope=\"row\">{}</th><td class=\"number\">{running}</td><td class=\"number\">{spawned}</td>\
             <td class=\"number\">{finished}</td><td class=\"number{}\">{panicked}</td>\
             <td class=\"number{}\">{refused}</td></tr>",
            Escaped(name),
            bad(*panicked),
            bad(*refused)
        );
    }
    main.push_str("</tbody></table></div>\n");
}

/// Null when nobody passed any.
pub(super) fn tasks(shared: &Shared) -> Value {
    if shared.tasks.is_empty() {
        return Value::Null;
    }
    let one = |task: TaskFigures| {
        json!({
            "name": task.name,
            "running": task.running,
            "spawned": task.spawned,
            "finished": task.finished,
            "panicked": task.panicked,
            "refused": task.refused,
        })
    };
    figures(shared).into_iter().map(one).collect()
}

pub(super) fn runtime(shared: &Shared) -> Value {
    let runtime = &shared.runtime;
    json!({
        "workers": runtime.num_workers(),
        "alive_tasks": runtime.num_alive_tasks(),
        "waiting_in_the_queue": runtime.global_queue_depth(),
        "busy_seconds": runtime::busy(runtime).map(|busy| (busy.as_secs_f64() * 1e3).round() / 1e3),
    })
}
