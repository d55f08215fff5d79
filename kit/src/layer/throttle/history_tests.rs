//! Beside the file that they test, because that is compiled by `kit-loom`, too.

use proptest::{collection::vec, prelude::*};

use super::history::{Counts, History};

proptest! {
    #[test]
    fn it_is_what_a_list_of_calls_says(
        width in 1..50_u64,
        buckets in 1..6_u64,
        steps in vec((0..40_u64, any::<bool>(), any::<bool>()), 0..200),
    ) {
        let history = History::new(width, buckets);
        let (mut now, mut newest, mut calls) = (0, 0, Vec::new());
        for (wait, call, refused) in steps {
            now += wait;
            if call {
                history.count(refused);
                calls.push((newest, refused));
            } else {
                newest = now / width;
                calls.retain(|(index, _)| index + buckets > newest);
                let refused = calls.iter().filter(|(_, refused)| *refused).count() as u64;
                prop_assert_eq!(history.counts(now), Counts { requests: calls.len() as u64, refused });
            }
        }
    }
}

#[test]
fn other_buckets_begin_anew() {
    let history = History::new(10, 2);
    history.counts(5);
    history.count(true);
    history.reshape(10, 2);
    assert_eq!(history.counts(5), Counts { requests: 1, refused: 1 });
    history.reshape(20, 2);
    assert_eq!(history.counts(5), Counts::default());
    history.count(false);
    assert_eq!(history.counts(5), Counts { requests: 1, refused: 0 });
}
