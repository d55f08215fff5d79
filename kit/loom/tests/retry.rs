//! The bucket of a retry budget: no token is spent twice, and none is lost.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]
#![allow(dead_code, reason = "a part of kit that the tests don't use whole")]

mod sync {
    pub(crate) use loom::sync::atomic;
}

#[path = "../../src/layer/retry/tokens.rs"]
mod tokens;

use loom::{sync::Arc, thread};
use tokens::{Tokens, Worth};

const WORTH: Worth = Worth { token: 10, deposit: 5, full: 30 };

#[test]
fn two_can_not_spend_one_token() {
    loom::model(|| {
        let tokens = Arc::new(Tokens::new(WORTH, 10, 0));
        let other = Arc::clone(&tokens);
        let spent = thread::spawn(move || other.withdraw(0));
        let here = tokens.withdraw(0);
        assert!(here ^ spent.join().unwrap());
        assert_eq!(tokens.held(0), 0);
    });
}

#[test]
fn no_deposit_is_lost() {
    loom::model(|| {
        let tokens = Arc::new(Tokens::new(WORTH, 5, 0));
        let other = Arc::clone(&tokens);
        let depositing = thread::spawn(move || other.deposit());
        let early = tokens.withdraw(0);
        depositing.join().unwrap();
        assert!(early || tokens.withdraw(0));
        assert_eq!(tokens.held(0), 0);
    });
}

#[test]
fn what_is_given_back_can_be_spent_once() {
    loom::model(|| {
        let tokens = Arc::new(Tokens::new(WORTH, 10, 0));
        let other = Arc::clone(&tokens);
        let thread = thread::spawn(move || {
            let taken = other.withdraw(0);
            if taken {
                other.give_back();
            }
            taken
        });
        let here = tokens.withdraw(0);
        let there = thread.join().unwrap();
        assert!(here || there);
        assert_eq!(tokens.held(0), if here { 0 } else { 10 });
    });
}
