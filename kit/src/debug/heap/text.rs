//! jemalloc's `heap_v2` text.
//!
//! ```text
//! heap_v2/524288
//!   t*: 28: 4268032 [30: 4300000]
//! @ 0x55d0c 0x55d1f
//!   t*: 13: 6688 [13: 6688]
//!   t0: 13: 6688 [13: 6688]
//!
//! MAPPED_LIBRARIES:
//! ```

/// How many objects, and how large they are together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Figures {
    pub(super) objects: i64,
    pub(super) bytes: i64,
}

/// What a stack has allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    pub(super) in_use: Figures,
    pub(super) allocated: Figures,
}

/// What was sampled.
#[derive(Debug, PartialEq)]
pub(super) struct Dump {
    /// A sample is taken each so many bytes, on average.
    pub(super) interval: u64,
    /// Return addresses, the innermost first.
    pub(super) stacks: Vec<(Vec<u64>, Usage)>,
}

impl Dump {
    /// `None` when it is another format; lines that make no sense are left out.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().map(str::trim);
        let interval = lines.next()?.strip_prefix("heap_v2/")?.parse().ok()?;
        let mut stacks: Vec<(Vec<u64>, Usage)> = Vec::new();
        let mut stack = None;
        for line in lines.take_while(|line| *line != "MAPPED_LIBRARIES:") {
            if let Some(addresses) = line.strip_prefix('@') {
                let address = |word: &str| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok();
                stack = addresses.split_whitespace().map(address).collect::<Option<Vec<_>>>();
            } else if let Some(usage) = line.strip_prefix("t*:") {
                // The sum of all stacks comes before the first stack.
                if let (Some(addresses), Some(usage)) = (stack.take(), Usage::parse(usage)) {
                    stacks.push((addresses, usage));
                }
            }
        }
        Some(Self { interval, stacks })
    }
}

impl Usage {
    /// Reads `28: 4268032 [30: 4300000]`.
    fn parse(text: &str) -> Option<Self> {
        let (in_use, allocated) = text.split_once('[')?;
        let figures = |text: &str| {
            let (objects, bytes) = text.split_once(':')?;
            Some(Figures { objects: objects.trim().parse().ok()?, bytes: bytes.trim().parse().ok()? })
        };
        Some(Self { in_use: figures(in_use)?, allocated: figures(allocated.strip_suffix(']')?)? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "\
heap_v2/524288
  t*: 3: 300 [7: 900]
  t0: 3: 300 [7: 900]
@ 0x10 0x2f
  t*: 1: 100 [5: 700]
  t3: 1: 100 [5: 700]
@ 0x10 nonsense
  t*: 9: 9 [9: 9]
@ 0xff
  t*: 2: 200 [2: 200]

MAPPED_LIBRARIES:
@ 0x1
  t*: 2: 200 [2: 200]
";

    #[test]
    fn reads_stacks_and_what_they_have() {
        let usage = |in_use: (i64, i64), allocated: (i64, i64)| Usage {
            in_use: Figures { objects: in_use.0, bytes: in_use.1 },
            allocated: Figures { objects: allocated.0, bytes: allocated.1 },
        };
        let dump = Dump::parse(TEXT).unwrap();
        assert_eq!(dump.interval, 524_288);
        assert_eq!(
            dump.stacks,
            [(vec![0x10, 0x2f], usage((1, 100), (5, 700))), (vec![0xff], usage((2, 200), (2, 200)))]
        );
    }

    #[test]
    fn another_format_is_none() {
        for text in ["", "heap profile: 1: 2 [3: 4] @ heapprofile", "heap_v2/", "heap_v3/1"] {
            assert_eq!(Dump::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_read(cut in 0..TEXT.len(), byte in any::<char>()) {
            let mut text = TEXT.to_owned();
            text.replace_range(cut..=cut, &byte.to_string());
            let _ = Dump::parse(&text);
            let _ = Dump::parse(&TEXT[..cut]);
        }
    }
}
