use proptest::prelude::*;

use super::{Decoder, Error, Fields, Request, Value, integer, string};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

fn read(decoder: &mut Decoder, hex: &str) -> Fields {
    let mut fields = Fields::default();
    decoder.decode(&bytes(hex), &mut fields).unwrap();
    fields
}

/// RFC 7541, C.1.
#[test]
fn the_integers_of_the_standard_are_read() {
    for (block, prefix, number) in [(&[0b1110_1010][..], 5, 10), (&[0b0001_1111, 154, 10], 5, 1337), (&[42], 8, 42)] {
        let mut rest = block;
        assert_eq!((integer(&mut rest, prefix), rest.len()), (Ok(number), 0));
    }
    let endless = [0xff; 20];
    assert_eq!(integer(&mut &endless[..], 7), Err(Error("a number that is too large")));
    assert_eq!(integer(&mut &[0xff][..], 7), Err(Error("a number that is cut off")));
}

/// RFC 7541, C.5: without Huffman code, and with a table of 256 bytes, from which entries are evicted. The size is given
/// by a change at the start; the standard assumes it.
#[test]
fn the_answers_of_the_standard_are_read() {
    let mut decoder = Decoder::new();
    assert_eq!(read(&mut decoder, "3fe101"), Fields::default());
    let first =
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120
        474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d";
    assert_eq!(read(&mut decoder, first).status, Some(302));
    assert_eq!(decoder.table.size(), 222);
    assert_eq!(read(&mut decoder, "4803 3330 37c1 c0bf").status, Some(307));
    assert_eq!(decoder.table.size(), 222);
    let third = "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738
        666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b
        2076 6572 7369 6f6e 3d31";
    assert_eq!(read(&mut decoder, third).status, Some(200));
    assert_eq!(decoder.table.size(), 215);
}

/// RFC 7541, C.6: the same with Huffman code.
#[test]
fn the_coded_answers_of_the_standard_are_read() {
    let mut decoder = Decoder::new();
    read(&mut decoder, "3fe101");
    let first =
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718
        63c7 8f0b 97c8 e9ae 82ae 43d3";
    assert_eq!(read(&mut decoder, first).status, Some(302));
    assert_eq!(decoder.table.size(), 222);
    assert_eq!(read(&mut decoder, "4883 640e ffc1 c0bf").status, Some(307));
    let third =
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7
        b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07";
    assert_eq!(read(&mut decoder, third).status, Some(200));
    assert_eq!(decoder.table.size(), 215);
}

#[test]
fn statuses_are_read_from_literals_and_from_the_table() {
    let mut decoder = Decoder::new();
    let mut block = vec![0x88, 0x40, 11];
    block.extend_from_slice(b"grpc-status");
    block.extend_from_slice(&[2, b'1', b'4', 0x00, 12]);
    block.extend_from_slice(b"grpc-message");
    block.extend_from_slice(&[4]);
    block.extend_from_slice(b"away");
    let mut fields = Fields::default();
    decoder.decode(&block, &mut fields).unwrap();
    assert_eq!(fields, Fields { status: Some(200), grpc_status: Some(14), grpc_message: Some("away".into()) });
    // The entry, and its name with another value.
    assert_eq!(read(&mut decoder, "be").grpc_status, Some(14));
    assert_eq!(read(&mut decoder, "0f2f 0130").grpc_status, Some(0));
    assert!(decoder.decode(&bytes("0f2f 0178"), &mut Fields::default()).is_err(), "no number");
    assert!(decoder.decode(&[0xbf], &mut Fields::default()).is_err(), "beyond the table");
    assert!(decoder.decode(&[0x80], &mut Fields::default()).is_err(), "index 0");
    assert!(decoder.decode(&bytes("3fe21f"), &mut Fields::default()).is_err(), "a table larger than agreed");
}

#[test]
fn a_field_larger_than_the_table_empties_it() {
    let mut decoder = Decoder::new();
    read(&mut decoder, "4803 3330 32");
    assert_eq!(decoder.table.value(62).unwrap().1, Value::Number(302));
    let mut block = vec![0x40, 1, b'x', 0x7f, 0x81, 0x1f];
    block.resize(6 + 4096, b'y');
    decoder.decode(&block, &mut Fields::default()).unwrap();
    assert_eq!((decoder.table.size(), decoder.table.value(62)), (0, None));
}

#[test]
fn requests_read_back_and_the_next_one_is_short() {
    let more = [("x-tenant".to_owned(), "blue".to_owned())];
    let request = Request::grpc("localhost:1", "/a.B/C", "kit", &more);
    assert!(request.fits(4096) && !request.fits(100));
    assert_eq!(request.next, [0x83, 0x86, 0xc3, 0xc2, 0xc1, 0xc0, 0xbf, 0xbe]);
    let mut decoder = Decoder::new();
    decoder.decode(&request.first, &mut Fields::default()).unwrap();
    let size = decoder.table.size();
    decoder.decode(&request.next, &mut Fields::default()).unwrap();
    decoder.decode(&request.plain, &mut Fields::default()).unwrap();
    assert_eq!(decoder.table.size(), size);
    assert_eq!(decoder.table.name(67).unwrap().1, ":path".len());
}

proptest! {
    #[test]
    fn any_blocks_can_be_read(blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..10)) {
        let mut decoder = Decoder::new();
        for block in blocks {
            if decoder.decode(&block, &mut Fields::default()).is_err() {
                break;
            }
            prop_assert!(decoder.table.size() <= 4096);
        }
    }

    #[test]
    fn strings_of_any_length_are_read(text in "[a-z]{0,300}") {
        let request = Request::grpc("a", "/", "", &[("x".to_owned(), text.clone())]);
        let start = request.plain.len() - text.len() - if text.len() < 127 { 1 } else if text.len() < 127 + 128 { 2 } else { 3 };
        let (mut block, mut out) = (&request.plain[start..], Vec::new());
        prop_assert_eq!(string(&mut block, &mut out), Ok(()));
        prop_assert_eq!(String::from_utf8(out).unwrap(), text);
    }
}
