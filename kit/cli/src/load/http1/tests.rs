use std::rc::Rc;

use proptest::prelude::*;

use super::{Http1, Request};
use crate::load::protocol::{Broken, Ended, Kind, Outcome, Protocol as _};

fn http1(is_head: bool) -> Http1 {
    let mut http1 = Http1::new(Rc::new(Request { bytes: b"GET".to_vec(), is_head }));
    let mut out = Vec::new();
    http1.begin(7, &mut out);
    assert_eq!(out, b"GET");
    http1
}

/// The answer in pieces of this size.
fn receive(http1: &mut Http1, answer: &[u8], piece: usize) -> Result<Vec<Ended>, Broken> {
    let (mut ended, mut rest) = (Vec::new(), Vec::new());
    for piece in answer.chunks(piece) {
        rest.extend_from_slice(piece);
        let taken = http1.receive(&rest, 0, &mut Vec::new(), &mut ended)?;
        rest.drain(..taken);
    }
    Ok(ended)
}

const OK: Ended = Ended { start: 7, outcome: Outcome::Ok };

#[test]
fn answers_are_read_to_their_end_in_any_pieces() {
    for (answer, keeps) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", true),
        ("HTTP/1.1 200 OK\ncontent-length:5\n\nhello", true),
        ("HTTP/1.1 204 No Content\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\ncontent-length: 0\r\nConnection: Keep-Alive\r\n\r\n", true),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0a\r\n0123456789\r\n0\r\nx: y\r\n\r\n",
            true,
        ),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx", true),
    ] {
        for piece in 1..answer.len() + 1 {
            let mut http1 = http1(false);
            assert_eq!(receive(&mut http1, answer.as_bytes(), piece), Ok(vec![OK]), "{answer}");
            assert_eq!((http1.is_done(), http1.room()), (!keeps, usize::from(keeps)), "{answer}");
        }
    }
    let mut head = http1(true);
    assert_eq!(receive(&mut head, b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", 3), Ok(vec![OK]));
}

#[test]
fn a_body_may_end_with_its_connection() {
    let mut http1 = http1(false);
    assert_eq!(receive(&mut http1, b"HTTP/1.1 200 OK\r\n\r\nhello", 4), Ok(vec![]));
    let mut ended = Vec::new();
    http1.finish(&mut ended);
    assert_eq!((ended, http1.is_done()), (vec![OK], true));
}

#[test]
fn statuses_are_told() {
    let mut http1 = http1(false);
    let ended = receive(&mut http1, b"HTTP/1.1 503 Gone\r\ncontent-length: 0\r\n\r\n", 9).unwrap();
    assert_eq!(ended, [Ended { start: 7, outcome: Outcome::Error(Kind::Http(503), None) }]);
}

#[test]
fn what_is_no_answer_breaks_the_connection() {
    for answer in [
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK",
    ] {
        assert!(receive(&mut http1(false), answer.as_bytes(), 1000).is_err(), "{answer}");
    }
    let long = vec![b'a'; 100_000];
    let answer = [b"HTTP/1.1 200 OK\r\nx: ".as_slice(), &long].concat();
    assert!(receive(&mut http1(false), &answer, 1000).is_err());
    let answer = [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".as_slice(), &long].concat();
    assert!(receive(&mut http1(false), &answer, 1000).is_err());
}

#[test]
fn a_call_that_takes_too_long_costs_its_connection() {
    let (mut http1, mut ended) = (http1(false), Vec::new());
    http1.expire(6, &mut Vec::new(), &mut ended);
    assert!(ended.is_empty() && !http1.is_done());
    http1.expire(7, &mut Vec::new(), &mut ended);
    assert_eq!(ended, [Ended { start: 7, outcome: Outcome::Error(Kind::Timeout, None) }]);
    assert!(http1.is_done() && http1.room() == 0);
}

proptest! {
    #[test]
    fn any_bytes_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..300), piece in 1usize..50) {
        let _ = receive(&mut http1(false), &bytes, piece);
        let answer = [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".as_slice(), &bytes].concat();
        let _ = receive(&mut http1(false), &answer, piece);
    }

    #[test]
    fn any_head_can_be_read(head in "HTTP/1\\.1 [0-9]{1,3}(\r\n(content-length|transfer-encoding|connection|x): ?[a-z0-9,]{0,20}){0,5}\r\n\r\n", piece in 1usize..50) {
        let _ = receive(&mut http1(false), head.as_bytes(), piece);
    }
}
