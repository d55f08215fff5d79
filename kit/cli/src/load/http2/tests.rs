use std::rc::Rc;

use proptest::prelude::*;

use super::{CANCEL, Http2, PREFACE, Request, WINDOW, frame, frame::Head};
use crate::load::{
    hpack,
    protocol::{Broken, Ended, Kind, Outcome, Protocol as _},
};

/// A client, and what a server would see of it.
struct Pair {
    client: Http2,
    out: Vec<u8>,
    ended: Vec<Ended>,
}

/// A frame as it was sent.
type Frame = (u8, u8, u32, Vec<u8>);

impl Pair {
    fn new(body: usize, server_stream: bool) -> Self {
        let request = Request {
            headers: hpack::Request::grpc("a:1", "/b.C/D", "kit", &[]),
            body: vec![7; body],
            server_stream,
            streams: 10,
        };
        let mut client = Http2::new(Rc::new(request));
        let mut out = Vec::new();
        client.open(&mut out);
        assert!(out.starts_with(PREFACE));
        out.drain(..PREFACE.len());
        let mut pair = Self { client, out, ended: Vec::new() };
        let frames = pair.sent();
        assert_eq!(frames.iter().map(|frame| frame.0).collect::<Vec<_>>(), [frame::SETTINGS, frame::WINDOW_UPDATE]);
        pair
    }

    /// With the server's settings.
    fn ready(body: usize, server_stream: bool, settings: &[(u16, u32)]) -> Self {
        let mut pair = Self::new(body, server_stream);
        assert!(!pair.client.is_ready() && pair.client.room() == 0);
        pair.settings(settings);
        assert!(pair.client.is_ready());
        pair
    }

    fn settings(&mut self, settings: &[(u16, u32)]) {
        let mut answer = Vec::new();
        frame::put_settings(&mut answer, settings);
        self.receive(&answer).unwrap();
        assert_eq!(self.sent().first(), Some(&(frame::SETTINGS, frame::ACK, 0, vec![])));
    }

    fn receive(&mut self, input: &[u8]) -> Result<usize, Broken> {
        self.client.receive(input, 5, &mut self.out, &mut self.ended)
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<(), Broken> {
        let mut input = Vec::new();
        frame::put(&mut input, kind, flags, stream, payload);
        assert_eq!(self.receive(&input)?, input.len());
        Ok(())
    }

    fn begin(&mut self, calls: u64) {
        for start in 0..calls {
            assert!(self.client.room() > 0);
            self.client.begin(start, &mut self.out);
        }
    }

    /// What was sent since this was asked last.
    fn sent(&mut self) -> Vec<Frame> {
        let (mut frames, mut at) = (Vec::new(), 0);
        while let Some(head) = Head::read(&self.out[at..]) {
            let start = at + frame::HEAD;
            frames.push((head.kind, head.flags, head.stream, self.out[start..start + head.length].to_vec()));
            at = start + head.length;
        }
        assert_eq!(at, self.out.len());
        self.out.clear();
        frames
    }

    fn ended(&mut self) -> Vec<(u64, Outcome)> {
        self.ended.drain(..).map(|ended| (ended.start, ended.outcome)).collect()
    }
}

/// `:status: 200`, and `grpc-status` written out.
const OK: &[u8] = &[0x88];
const MESSAGE: &[u8] = &[0, 0, 0, 0, 1, 9];

fn trailers(status: &str) -> Vec<u8> {
    let mut block = vec![0x00, 11];
    block.extend_from_slice(b"grpc-status");
    block.push(status.len() as u8);
    block.extend_from_slice(status.as_bytes());
    block
}

fn answer(pair: &mut Pair, stream: u32, status: &str) {
    pair.frame(frame::HEADERS, frame::END_HEADERS, stream, OK).unwrap();
    pair.frame(frame::DATA, 0, stream, MESSAGE).unwrap();
    pair.frame(frame::HEADERS, frame::END_HEADERS | frame::END_STREAM, stream, &trailers(status)).unwrap();
}

#[test]
fn calls_are_sent_and_their_answers_told_apart() {
    let mut pair = Pair::ready(20, false, &[]);
    assert_eq!(pair.client.room(), 10);
    pair.begin(3);
    assert_eq!(pair.client.room(), 7);
    let frames = pair.sent();
    let heads: Vec<_> = frames.iter().map(|frame| (frame.0, frame.1, frame.2, frame.3.len())).collect();
    let (first, next) = (frames[0].3.len(), frames[2].3.len());
    assert!(next < first, "the fields of the first are in the table");
    assert_eq!(
        heads,
        [
            (frame::HEADERS, frame::END_HEADERS, 1, first),
            (frame::DATA, frame::END_STREAM, 1, 20),
            (frame::HEADERS, frame::END_HEADERS, 3, next),
            (frame::DATA, frame::END_STREAM, 3, 20),
            (frame::HEADERS, frame::END_HEADERS, 5, next),
            (frame::DATA, frame::END_STREAM, 5, 20),
        ]
    );

    answer(&mut pair, 3, "0");
    answer(&mut pair, 1, "14");
    // Only trailers: an error, mostly.
    let only = [OK, &trailers("12")].concat();
    pair.frame(frame::HEADERS, frame::END_HEADERS | frame::END_STREAM, 5, &only).unwrap();
    assert_eq!(
        pair.ended(),
        [(1, Outcome::Ok), (0, Outcome::Error(Kind::Grpc(14), None)), (2, Outcome::Error(Kind::Grpc(12), None)),]
    );
    assert_eq!((pair.client.take_messages(), pair.client.take_messages(), pair.client.room()), (2, 0, 10));
}

#[test]
fn an_answer_may_come_in_any_pieces() {
    let mut input = Vec::new();
    let block = trailers("0");
    frame::put(&mut input, frame::HEADERS, frame::END_HEADERS, 1, OK);
    frame::put(&mut input, frame::DATA, 0x8, 1, &[&[2], MESSAGE, &[0, 0]].concat());
    frame::put(&mut input, frame::HEADERS, frame::END_STREAM, 1, &block[..5]);
    frame::put(&mut input, frame::CONTINUATION, 0, 1, &block[5..9]);
    frame::put(&mut input, frame::CONTINUATION, frame::END_HEADERS, 1, &block[9..]);
    for piece in 1..=input.len() {
        let mut pair = Pair::ready(20, false, &[]);
        pair.begin(1);
        let mut rest = Vec::new();
        for piece in input.chunks(piece) {
            rest.extend_from_slice(piece);
            let taken = pair.receive(&rest).unwrap();
            rest.drain(..taken);
        }
        assert_eq!(pair.ended(), [(0, Outcome::Ok)]);
    }
}

#[test]
fn what_is_no_grpc_answer_is_an_error() {
    type Frames<'a> = &'a [(u8, u8, &'a [u8])];
    let end = frame::END_STREAM | frame::END_HEADERS;
    let (ok, two) = (trailers("0"), [MESSAGE, MESSAGE].concat());
    let cases: [(Frames<'_>, Kind); 6] = [
        (&[(frame::HEADERS, end, &[0x8d][..])], Kind::Http(404)),
        (&[(frame::HEADERS, end, OK)], Kind::Protocol),
        (&[(frame::HEADERS, end, &ok[..])], Kind::Protocol),
        (&[(frame::DATA, 0, &two[..]), (frame::HEADERS, end, &ok[..])], Kind::Protocol),
        (&[(frame::DATA, 0, &MESSAGE[..4]), (frame::HEADERS, end, &ok[..])], Kind::Protocol),
        (&[(frame::RST_STREAM, 0, &[0, 0, 0, 7][..])], Kind::Stream(7)),
    ];
    for (frames, kind) in cases {
        let mut pair = Pair::ready(20, false, &[]);
        pair.begin(1);
        for (kind, flags, payload) in frames {
            pair.frame(*kind, *flags, 1, payload).unwrap();
        }
        let ended = pair.ended();
        assert!(matches!(&ended[..], [(0, Outcome::Error(found, _))] if *found == kind), "{kind}: {ended:?}");
    }
}

#[test]
fn a_stream_has_any_number_of_messages() {
    let mut pair = Pair::ready(20, true, &[]);
    pair.begin(1);
    for _ in 0..3 {
        pair.frame(frame::DATA, 0, 1, &[MESSAGE, MESSAGE].concat()).unwrap();
    }
    assert_eq!(pair.client.take_messages(), 6);
    pair.frame(frame::HEADERS, frame::END_HEADERS | frame::END_STREAM, 1, &trailers("0")).unwrap();
    assert_eq!(pair.ended(), [(0, Outcome::Ok)]);
}

#[test]
fn the_servers_settings_are_obeyed() {
    let mut pair = Pair::ready(20, false, &[(frame::MAX_CONCURRENT_STREAMS, 2), (frame::HEADER_TABLE_SIZE, 0)]);
    pair.begin(2);
    assert_eq!(pair.client.room(), 0);
    let frames = pair.sent();
    // The first says that no table is used; each has its fields written out.
    assert_eq!((frames[0].3[0], frames[2].3[0]), (hpack::NO_TABLE, 0x83));
    assert_eq!(frames[0].3.len(), frames[2].3.len() + 1);
    pair.settings(&[(frame::MAX_CONCURRENT_STREAMS, 100)]);
    assert_eq!(pair.client.room(), 8);
}

#[test]
fn a_request_larger_than_the_windows_waits_for_them() {
    let mut pair = Pair::ready(100_000, false, &[(frame::INITIAL_WINDOW_SIZE, 30_000)]);
    pair.begin(3);
    let lengths = |frames: &[Frame]| -> Vec<(u32, usize)> {
        frames.iter().filter(|frame| frame.0 == frame::DATA).map(|frame| (frame.2, frame.3.len())).collect()
    };
    // 30,000 for each stream, and 65,535 for all of them.
    let frames = pair.sent();
    assert_eq!(lengths(&frames), [(1, 16_384), (1, 13_616), (3, 16_384), (3, 13_616), (5, 5_535)]);
    pair.frame(frame::WINDOW_UPDATE, 0, 0, &1_000_000u32.to_be_bytes()).unwrap();
    assert_eq!(lengths(&pair.sent()), [(5, 16_384), (5, 8_081)]);
    pair.frame(frame::WINDOW_UPDATE, 0, 3, &1_000_000u32.to_be_bytes()).unwrap();
    let frames = pair.sent();
    assert_eq!(frames.iter().map(|frame| frame.3.len()).sum::<usize>(), 70_000);
    assert!(frames.iter().all(|frame| frame.2 == 3) && frames.last().unwrap().1 == frame::END_STREAM);
    // Larger windows of all streams.
    pair.settings(&[(frame::INITIAL_WINDOW_SIZE, 50_000)]);

    // One that is answered before it is whole is given up.
    answer(&mut pair, 1, "8");
    assert_eq!(pair.ended(), [(0, Outcome::Error(Kind::Grpc(8), None))]);
    assert!(pair.sent().contains(&(frame::RST_STREAM, 0, 1, CANCEL.to_be_bytes().to_vec())));
    answer(&mut pair, 3, "0");
    assert_eq!(pair.ended(), [(1, Outcome::Ok)]);
}

#[test]
fn pings_are_answered_and_what_is_unknown_passed_over() {
    let mut pair = Pair::ready(20, false, &[(0x99, 1)]);
    pair.frame(frame::PING, 0, 0, b"12345678").unwrap();
    assert_eq!(pair.sent(), [(frame::PING, frame::ACK, 0, b"12345678".to_vec())]);
    pair.frame(frame::PING, frame::ACK, 0, b"12345678").unwrap();
    pair.frame(0x42, 0xff, 9, b"x").unwrap();
    // An answer to a call that was given up.
    answer(&mut pair, 99, "0");
    pair.frame(frame::RST_STREAM, 0, 99, &[0, 0, 0, 8]).unwrap();
    assert!(pair.sent().is_empty() && pair.ended().is_empty());
}

#[test]
fn a_server_that_goes_away_finishes_what_it_has_begun() {
    let mut pair = Pair::ready(20, false, &[]);
    pair.begin(3);
    pair.frame(frame::GOAWAY, 0, 0, &[0, 0, 0, 3, 0, 0, 0, 0]).unwrap();
    assert_eq!(pair.ended(), [(2, Outcome::Unprocessed)]);
    assert_eq!((pair.client.room(), pair.client.is_done()), (0, false));
    answer(&mut pair, 1, "0");
    answer(&mut pair, 3, "0");
    assert_eq!((pair.ended().len(), pair.client.is_done()), (2, true));

    let mut pair = Pair::ready(20, false, &[]);
    let error = pair.frame(frame::GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 11, b'o', b'h']).unwrap_err();
    assert_eq!(error.0, "the server ends the connection: ENHANCE_YOUR_CALM oh");
}

#[test]
fn calls_that_take_too_long_are_given_up() {
    let mut pair = Pair::ready(20, false, &[]);
    pair.begin(3);
    pair.sent();
    pair.client.expire(1, &mut pair.out, &mut pair.ended);
    let timeout = Outcome::Error(Kind::Timeout, None);
    assert_eq!(pair.ended(), [(0, timeout.clone()), (1, timeout.clone())]);
    let cancel = CANCEL.to_be_bytes().to_vec();
    assert_eq!(pair.sent(), [(frame::RST_STREAM, 0, 1, cancel.clone()), (frame::RST_STREAM, 0, 3, cancel)]);

    // A stream is alive as long as something comes of it.
    let mut pair = Pair::ready(20, true, &[]);
    pair.begin(2);
    pair.frame(frame::DATA, 0, 1, MESSAGE).unwrap();
    pair.client.expire(4, &mut pair.out, &mut pair.ended);
    assert_eq!(pair.ended(), [(1, timeout)]);
}

#[test]
fn what_is_no_http2_breaks_the_connection() {
    for input in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        &[0, 0, 0, frame::PING, 0, 0, 0, 0, 0],
        &[0, 0, 6, frame::SETTINGS, 0, 0, 0, 0, 0, 0, 4, 0x80, 0, 0, 0],
    ] {
        assert!(Pair::new(20, false).receive(input).is_err());
    }
    let window = WINDOW.to_be_bytes();
    for (kind, payload) in [
        (frame::WINDOW_UPDATE, &window[..]),
        (frame::WINDOW_UPDATE, &[0]),
        (frame::PING, &[0]),
        (frame::GOAWAY, &[0]),
        (frame::RST_STREAM, &[]),
        (frame::PUSH_PROMISE, &[0; 10]),
        (frame::CONTINUATION, &[]),
        (frame::HEADERS, &[0xff; 10]),
    ] {
        let mut pair = Pair::ready(20, false, &[]);
        assert!(pair.frame(kind, frame::END_HEADERS, 0, payload).is_err(), "{kind}");
    }
    // Headers without an end.
    let mut pair = Pair::ready(20, false, &[]);
    pair.frame(frame::HEADERS, 0, 1, &[]).unwrap();
    let mut last = Ok(());
    for _ in 0..10 {
        last = pair.frame(frame::CONTINUATION, 0, 1, &[0; 16_000]);
        if last.is_err() {
            break;
        }
    }
    assert!(last.unwrap_err().0.contains("64 KB"));
}

proptest! {
    #[test]
    fn any_bytes_can_be_read(input in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Pair::new(20, false).receive(&input);
        let mut pair = Pair::ready(20, true, &[]);
        pair.begin(2);
        let _ = pair.receive(&input);
    }

    #[test]
    fn any_frames_can_be_read(
        frames in proptest::collection::vec((0u8..11, any::<u8>(), 0u32..8, proptest::collection::vec(any::<u8>(), 0..40)), 0..20),
        body in 5usize..100_000,
    ) {
        let mut pair = Pair::ready(body, false, &[]);
        pair.begin(3);
        for (kind, flags, stream, payload) in frames {
            if pair.frame(kind, flags, stream, &payload).is_err() {
                break;
            }
            if pair.client.room() > 0 {
                pair.client.begin(9, &mut pair.out);
            }
        }
        pair.client.expire(u64::MAX, &mut pair.out, &mut pair.ended);
        pair.client.abandon(Kind::Reset, "over", &mut pair.ended);
        prop_assert_eq!(pair.client.streams.len(), 0);
        pair.sent();
    }
}
