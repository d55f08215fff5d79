//! A fallback around a client: details of a book are shown with the comments that were seen last while the comments are down.
//!
//! `cargo run -p kit --example fallback` calls services inside the process, and takes one of them down.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use kit::{
    Context, Endpoint, Error, Method, MethodInfo, MethodKind, Request,
    layer::fallback::{DEGRADED, Fallback},
};

/// What was seen last, by book. A service bounds it: `kit::cache` does.
type Seen = Arc<Mutex<HashMap<String, String>>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let down = Arc::new(AtomicBool::new(false));
    let comments = comments(Arc::clone(&down));

    // Around the client of the comments: what it answers is remembered, and told again when it does not answer.
    let seen = Seen::default();
    let fallback = {
        let seen = Arc::clone(&seen);
        Fallback::to_fn(move |_, book: String, error: Error| {
            let stale = seen.lock().unwrap_or_else(PoisonError::into_inner).get(&book).cloned();
            async move { stale.ok_or_else(|| Error::not_found(format!("never seen before: {}", error.code()))) }
        })
    };
    let comments = fallback.around(comments);

    let details = async |book: &str| -> Result<String, Error> {
        let cx = Context::background();
        let answer = comments.call(Request::new(cx.next(comments.method()), book.to_owned())).await;
        Ok(match answer {
            Ok(answer) if answer.metadata().get(DEGRADED).is_some() => {
                format!("{book}: {} (as seen last)", answer.message())
            }
            Ok(answer) => {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.insert(book.to_owned(), answer.message().clone());
                format!("{book}: {}", answer.message())
            }
            // Both failed: the details are worth showing without.
            Err(error) => format!("{book}: no comments now ({})", error.to_log()),
        })
    };

    println!("{}", details("Journey to the West").await?);
    down.store(true, Ordering::Relaxed);
    println!("{}", details("Journey to the West").await?);
    println!("{}", details("Water Margin").await?);
    down.store(false, Ordering::Relaxed);
    println!("{}", details("Water Margin").await?);
    Ok(())
}

/// The comments service.
fn comments(down: Arc<AtomicBool>) -> Endpoint<String, String> {
    let method = Method::from(MethodInfo::new("comments.BookComments", "Get", MethodKind::Unary));
    Endpoint::from_fn(method, move |_, book: String| {
        let down = down.load(Ordering::Relaxed);
        async move {
            if down {
                return Err(Error::unavailable("the comments are down"));
            }
            Ok(format!("two readers liked {book}"))
        }
    })
}
