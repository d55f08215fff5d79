//! Many writers at once.

use bookcomments::repository::{Comments, SqlComments};

use crate::store::{config, empty};
use kit::sql::testing::on_each_backend;

on_each_backend!(a_watcher_misses_nothing_while_many_write);

const WRITERS: usize = 4;
const EACH: usize = 25;

/// Writers have pools of their own, as separate processes would.
async fn a_watcher_misses_nothing_while_many_write(url: String) {
    let watcher = empty(&url).await;
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let config = config(&url);
        writers.push(tokio::spawn(async move {
            let comments = SqlComments::connect(&config).await.unwrap();
            for number in 0..EACH {
                comments.add(3, &format!("{writer}:{number}")).await.unwrap();
            }
            comments.database().close().await;
        }));
    }
    let mut seen = Vec::new();
    let mut last = 0;
    while writers.iter().any(|writer| !writer.is_finished()) {
        let new = watcher.after(3, last, 7).await.unwrap();
        last = new.last().map_or(last, |comment| comment.id);
        seen.extend(new);
    }
    for writer in writers {
        writer.await.unwrap();
    }
    seen.extend(watcher.after(3, last, 1000).await.unwrap());
    assert_eq!(seen.len(), WRITERS * EACH, "none was overtaken by a greater id");
    assert_eq!(watcher.list(3, 1000).await.unwrap(), seen);
    watcher.database().close().await;
}
