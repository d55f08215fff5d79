//! Answers that are on their way to scrapers.
//!
//! A scraper that asks and never reads keeps its connection, and must not keep its answer too. So answers belong to a short
//! list, the newest stay, and a connection has a weak hold on its own: it copies a piece at a time. When so many others have
//! asked since that an answer is dropped, its connection is broken off, if anybody still reads there.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The most answers at a time. One is a few hundred kilobytes at most services, and read within milliseconds.
const MAX_ANSWERS: usize = 32;

/// What a connection takes at a time: what hyper's buffer holds.
const PIECE: usize = 16 * 1024;

/// The answers that are being read. Clones share them.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Scrapes(Arc<Mutex<VecDeque<Arc<Vec<u8>>>>>);

impl Scrapes {
    pub(super) fn answer(&self, bytes: Vec<u8>) -> Answer {
        let size = bytes.len();
        let bytes = Arc::new(bytes);
        let answer = Answer { all: self.clone(), bytes: Arc::downgrade(&bytes), at: 0, size };
        let dropped = {
            let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let oldest = if answers.len() < MAX_ANSWERS { None } else { answers.pop_front() };
            answers.push_back(bytes);
            oldest
        };
        if dropped.is_some() {
            tracing::debug!(answers = MAX_ANSWERS, "a scraper did not read its answer: it was dropped for a newer one");
        }
        answer
    }

    fn forget(&self, bytes: &Weak<Vec<u8>>) {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = answers.iter().position(|answer| std::ptr::eq(Arc::as_ptr(answer), bytes.as_ptr())) {
            answers.remove(at);
        }
    }
}

/// The body of one answer.
#[derive(Debug)]
pub(super) struct Answer {
    all: Scrapes,
    bytes: Weak<Vec<u8>>,
    at: usize,
    size: usize,
}

impl Answer {
    fn next(&mut self) -> Option<Result<Bytes, &'static str>> {
        if self.at >= self.size {
            return None;
        }
        let Some(bytes) = self.bytes.upgrade() else {
            self.at = self.size;
            return Some(Err("the metrics were not read in time"));
        };
        let end = self.size.min(self.at + PIECE);
        // Copied, because a piece of the answer would hold all of it.
        let piece = bytes.get(self.at..end).map(Bytes::copy_from_slice);
        self.at = end;
        piece.map(Ok)
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        Poll::Ready(self.next().map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.at >= self.size
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.size.saturating_sub(self.at)).unwrap_or(u64::MAX))
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.all.forget(&self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: &mut Answer) -> Result<Vec<u8>, &'static str> {
        let mut all = Vec::new();
        while let Some(piece) = answer.next() {
            all.extend_from_slice(&piece?);
        }
        Ok(all)
    }

    #[test]
    fn an_answer_is_read_in_pieces_and_gone_with_its_connection() {
        for size in [0, 1, PIECE, PIECE + 1, 5 * PIECE] {
            let (scrapes, bytes) = (Scrapes::default(), vec![7; size]);
            let mut answer = scrapes.answer(bytes.clone());
            assert_eq!(answer.size_hint().exact(), Some(size as u64));
            assert_eq!(read(&mut answer), Ok(bytes));
            assert!(answer.is_end_stream());
            drop(answer);
            assert!(scrapes.0.lock().unwrap().is_empty());
        }
    }

    #[test]
    fn those_who_never_read_hold_no_more_than_a_number_of_answers() {
        let scrapes = Scrapes::default();
        let mut silent: Vec<_> = (0..10 * MAX_ANSWERS).map(|i| scrapes.answer(vec![i as u8; PIECE * 2])).collect();
        assert_eq!(scrapes.0.lock().unwrap().len(), MAX_ANSWERS);
        // The newest is there, the oldest is broken off and then at its end.
        assert_eq!(read(silent.last_mut().unwrap()).unwrap().len(), PIECE * 2);
        assert_eq!(read(&mut silent[0]), Err("the metrics were not read in time"));
        assert_eq!(read(&mut silent[0]), Ok(vec![]));
        drop(silent);
        assert!(scrapes.0.lock().unwrap().is_empty());
    }

    #[test]
    fn one_that_stops_in_the_middle_is_broken_off_there() {
        let scrapes = Scrapes::default();
        let mut slow = scrapes.answer(vec![0; PIECE * 2]);
        assert!(slow.next().is_some_and(|piece| piece.is_ok()));
        let newer: Vec<_> = (0..MAX_ANSWERS).map(|_| scrapes.answer(vec![0; 1])).collect();
        assert!(slow.next().is_some_and(|piece| piece.is_err()));
        drop(newer);
    }
}
