//! The service of the benchmarks in the kit's way, and the books that it knows.

use std::collections::HashMap;

use kit::{Context, Error};

use crate::proto::bench::{Author, Book, Chapter, FindRequest, Shelf};

/// Answers with the book it has, or with the one it was given. The peers do just that, too.
#[derive(Clone, Debug)]
pub struct OneBook(pub Book);

impl Shelf for OneBook {
    async fn find(&self, _cx: &Context, request: FindRequest) -> Result<Book, Error> {
        Ok(Book { id: request.id, ..self.0.clone() })
    }

    async fn store(&self, _cx: &Context, book: Book) -> Result<Book, Error> {
        Ok(book)
    }
}

/// A book with so many chapters: one with 3 is about 400 bytes of JSON, one with 100 about 6 kB.
pub fn book(chapters: i32) -> Book {
    Book {
        id: 1_234_567_890_123,
        full_title: "Romance of the Three Kingdoms".to_owned(),
        author: Some(Author { name: "罗贯中".to_owned(), born: 1330 }),
        chapters: (1..=chapters).map(chapter).collect(),
        labels: HashMap::from([("period", "ming"), ("form", "novel")].map(|(k, v)| (k.to_owned(), v.to_owned()))),
    }
}

fn chapter(number: i32) -> Chapter {
    Chapter { number, title: format!("Chapter {number}: the \"oath\""), words: 4_000 + i64::from(number) }
}
