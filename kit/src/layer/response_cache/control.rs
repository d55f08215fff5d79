//! What calls and answers say about being kept: `cache-control`, as HTTP has it (RFC 9111), over gRPC too.

use crate::Metadata;

const CACHE_CONTROL: &str = "cache-control";

/// What a call wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing special.
    Any,
    /// To be made, and its answer kept.
    Refresh,
    /// To be made, and nothing kept.
    Past,
}

impl Wish {
    pub(super) fn of(metadata: &Metadata) -> Self {
        if metadata.is_empty() {
            Self::Any
        } else if says(metadata, &["no-store"]) {
            Self::Past
        } else if says(metadata, &["no-cache"]) {
            Self::Refresh
        } else {
            Self::Any
        }
    }
}

/// Whether an answer may be kept and given to other calls.
pub(super) fn may_keep(metadata: &Metadata) -> bool {
    metadata.is_empty() || !says(metadata, &["no-store", "no-cache", "private"])
}

/// Whether one of these directives is there. Those with a value (`private="x"`) count as those without: more is not kept then.
fn says(metadata: &Metadata, wanted: &[&str]) -> bool {
    let directives = metadata.get_all(CACHE_CONTROL).flat_map(|value| value.split(','));
    directives
        .map(|directive| directive.split('=').next().unwrap_or_default().trim())
        .any(|name| wanted.iter().any(|wanted| name.eq_ignore_ascii_case(wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read_in_any_case_and_company() {
        let with = |values: &[&str]| {
            let mut metadata = Metadata::new();
            for value in values {
                metadata.append(CACHE_CONTROL, value).unwrap();
            }
            metadata
        };
        for (values, wish, keeps) in [
            (&[][..], Wish::Any, true),
            (&["max-age=10"], Wish::Any, true),
            (&["no-cachet"], Wish::Any, true),
            (&["No-Cache"], Wish::Refresh, false),
            (&["max-age=0, no-cache"], Wish::Refresh, false),
            (&["no-cache,no-store"], Wish::Past, false),
            (&["max-age=0", "no-store"], Wish::Past, false),
            (&["private=\"x\""], Wish::Any, false),
        ] {
            assert_eq!((Wish::of(&with(values)), may_keep(&with(values))), (wish, keeps), "{values:?}");
        }
    }
}
