use crate::proto::press::{Blob, Note};

/// The message of the calls that are counted: about 100 bytes.
pub fn note() -> Note {
    Note {
        id: 1_234_567_890_123,
        title: "The Water Margin".to_owned(),
        author: "Shi Nai'an".to_owned(),
        text: "A hundred and eight outlaws gather on Mount Liang".to_owned(),
        pages: 2_196,
    }
}

/// The same in protobuf's JSON.
pub fn json() -> &'static str {
    r#"{"id":"1234567890123","title":"The Water Margin","author":"Shi Nai'an","text":"A hundred and eight outlaws gather on Mount Liang","pages":2196}"#
}

/// So many bytes.
pub fn blob(size: usize) -> Blob {
    Blob { data: (0..size).map(|place| (place % 251) as u8).collect() }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn the_message_has_about_100_bytes_and_its_json_says_the_same() {
        assert!((90..=110).contains(&note().encoded_len()), "{}", note().encoded_len());
        assert_eq!(kit::json::to_string(&note()).ok().as_deref(), Some(json()));
    }
}
