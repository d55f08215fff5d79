//! Who is told that a comment was posted.

use tokio::sync::watch;

/// So few that all of them cost nothing, so many that a comment wakes mostly the watchers of its own book.
const SLOTS: u64 = 64;

/// Wakes watchers. It says only "look again": what there is to see is in the store, so nothing is queued, however many
/// comments come in and however slowly a watcher reads.
#[derive(Debug)]
pub(super) struct News(Vec<watch::Sender<()>>);

impl Default for News {
    fn default() -> Self {
        Self((0..SLOTS).map(|_| watch::Sender::new(())).collect())
    }
}

impl News {
    pub(super) fn publish(&self, book: i64) {
        if let Some(slot) = self.slot(book) {
            slot.send_replace(());
        }
    }

    /// Hears of every comment on the book from now on, and of some on others.
    pub(super) fn subscribe(&self, book: i64) -> watch::Receiver<()> {
        self.slot(book).map_or_else(|| watch::Sender::new(()).subscribe(), watch::Sender::subscribe)
    }

    fn slot(&self, book: i64) -> Option<&watch::Sender<()>> {
        usize::try_from(book.unsigned_abs() % SLOTS).ok().and_then(|index| self.0.get(index))
    }
}
