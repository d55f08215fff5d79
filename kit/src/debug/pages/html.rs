//! What all pages share.

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

use serde_json::Value;

use super::Shared;

/// A text in the place of text, or inside the quotes of an attribute.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            char => f.write_char(char),
        })
    }
}

const NAV: [(&str, &str); 7] = [
    ("", "Overview"),
    ("charts/", "Charts"),
    ("stack", "Stack"),
    ("config", "Config"),
    ("log", "Log"),
    ("tasks", "Tasks"),
    ("vars", "Vars"),
];

/// A whole page. `base` leads from it to `/debug/`, so that a proxy may put the port below any path; `head` is for styles and
/// scripts.
pub(super) fn document(shared: &Shared, title: &str, base: &str, head: &str, main: &str) -> String {
    let (name, title) = (Escaped(&shared.name), Escaped(title));
    let version = shared.version.as_deref().unwrap_or_default();
    let mut nav = String::new();
    for (path, text) in NAV {
        let current = if text == title.0 { r#" aria-current="page""# } else { "" };
        // An empty path would be the page that it stands on.
        let path = if path.is_empty() && base.is_empty() { "." } else { path };
        let _ = write!(nav, r#"<a href="{base}{path}"{current}>{text}</a>"#);
    }
    format!(
        r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · {name}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{base}assets/debug.css">
<script src="{base}assets/debug.js"></script>
{head}</head>
<body>
<a class="skip" href="#main">Skip to the page</a>
<header class="top">
<a class="service" href="{base}.">{name} <span>{version}</span></a>
<nav aria-label="Pages">{nav}</nav>
<button id="theme" class="quiet" type="button" hidden></button>
</header>
<main id="main" tabindex="-1">
{main}</main>
</body>
</html>
"##,
        version = Escaped(version),
    )
}

/// The members of a JSON object as rows, anything else as it is.
pub(super) fn fields(value: &Value) -> String {
    let mut html = String::new();
    match value {
        Value::Null => {}
        Value::Object(members) => {
            html.push_str("<dl>");
            for (name, value) in members {
                let _ = write!(html, "<div><dt>{}</dt><dd>{}</dd></div>", Escaped(name), Escaped(&scalar(value)));
            }
            html.push_str("</dl>");
        }
        other => {
            let _ = write!(html, "<p><code>{}</code></p>", Escaped(&scalar(other)));
        }
    }
    html
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A time that people read: `3 d 4 h`, `12 min 3 s`.
pub(super) fn long(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Bytes in the unit that gives three digits.
pub(super) fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB"] {
        if value < 1000.0 {
            return if unit == "B" { format!("{value} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.2} GiB")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        assert_eq!(Escaped("<a href=\"'&\">").to_string(), "&lt;a href=&quot;&#39;&amp;&quot;&gt;");
        let html = fields(&json!({ "<b>": "<i>", "none": null, "deep": { "a": [1, "<u>"] } }));
        assert!(!html.contains("<b>") && !html.contains("<i>") && !html.contains("<u>"), "{html}");
        assert!(html.contains("<dt>none</dt><dd>none</dd>"), "{html}");
    }

    #[test]
    fn times_and_sizes_are_read_by_people() {
        let seconds = |seconds| long(Duration::from_secs(seconds));
        assert_eq!(
            [seconds(5), seconds(65), seconds(3700), seconds(90_000)],
            ["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]
        );
        assert_eq!(
            [bytes(12), bytes(2048), bytes(1 << 20), bytes(3 << 30)],
            ["12 B", "2.0 KiB", "1.0 MiB", "3.00 GiB"]
        );
    }
}
