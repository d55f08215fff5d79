//! Which form of a stream the caller wants.

use http::HeaderMap;

/// The forms that a stream of answers has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamFormat {
    /// One JSON document a line: `application/x-ndjson`, and for callers that take anything.
    Lines,
    /// Server-sent events: `text/event-stream`.
    Events,
    /// One JSON array: `application/json`.
    Array,
}

impl StreamFormat {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Lines => "application/x-ndjson",
            Self::Events => "text/event-stream",
            Self::Array => "application/json",
        }
    }

    /// The form that `Accept` asks for most; `None` when it takes none of them.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut best: Option<(f32, Self)> = None;
        let mut asked = false;
        for range in
            headers.get_all(http::header::ACCEPT).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','))
        {
            let mut parts = range.split(';').map(str::trim);
            let format = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "" => continue,
                "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "*/*" | "application/*" => {
                    Self::Lines
                }
                "text/event-stream" | "text/*" => Self::Events,
                "application/json" => Self::Array,
                _ => {
                    asked = true;
                    continue;
                }
            };
            asked = true;
            let quality = parts.find_map(|p| p.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
            if quality > best.map_or(0.0, |(most, _)| most) {
                best = Some((quality, format));
            }
        }
        match best {
            Some((_, format)) => Some(format),
            None if asked => None,
            None => Some(Self::Lines),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_form_wins() {
        let of = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(http::header::ACCEPT, accept.parse().unwrap());
            StreamFormat::of(&headers)
        };
        assert_eq!(StreamFormat::of(&HeaderMap::new()), Some(StreamFormat::Lines));
        assert_eq!(of("*/*"), Some(StreamFormat::Lines));
        assert_eq!(of("text/event-stream"), Some(StreamFormat::Events));
        assert_eq!(of("application/json"), Some(StreamFormat::Array));
        assert_eq!(of("application/json;q=0.5, text/event-stream;q=0.9"), Some(StreamFormat::Events));
        assert_eq!(of("text/html, */*;q=0.1"), Some(StreamFormat::Lines));
        assert_eq!(of("image/png"), None);
        assert_eq!(of("application/json;q=0"), None);
    }
}
