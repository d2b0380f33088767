//! Answers that the HTTP library makes by itself, in the form of all others.
//!
//! A head that hyper can't read never becomes a request: hyper answers with a bare 400, 414 or 431
//! and closes. On its way to the socket such an answer gets what every error has: a code of the
//! catalogue with its status, a sentence, an id. Whatever comes of a request has its id already,
//! and so is known apart.

use bytes::Bytes;
use protocol::{ErrorBody, ErrorCode};
use uuid::Uuid;

/// No answer of the library's own is longer, in bytes.
const BARE_BYTES_MAX: usize = 256;
const BEGINS: &[u8] = b"HTTP/1.1 4";
const ENDS: &[u8] = b"\r\n\r\n";

/// What stands for these bytes if they are such an answer.
pub(super) fn dressed(bytes: &[u8]) -> Option<Bytes> {
    let is_short_refusal = bytes.len() <= BARE_BYTES_MAX && bytes.starts_with(BEGINS);
    if !is_short_refusal || !bytes.ends_with(ENDS) {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let sentence = match text.get("HTTP/1.1 ".len()..)?.split(' ').next()? {
        "400" => "This is no request of HTTP/1.1, or a header is malformed.",
        "414" => "The address of the request is longer than 65,534 bytes.",
        "431" => "The head of the request has more than 100 headers or 64 KiB.",
        _ => return None,
    };
    let mut lines = text.lines().skip(1);
    if lines.clone().any(|line| line.starts_with("x-request-id")) {
        return None;
    }
    let date = lines.find(|line| line.starts_with("date:")).map(|line| format!("{line}\r\n"));
    let code = ErrorCode::InvalidQuery;
    let body = ErrorBody { error: sentence.to_owned(), code: code.code().to_owned() };
    let body = serde_json::to_string(&body).expect("two texts have a JSON form");
    Some(Bytes::from(format!(
        "HTTP/1.1 {} Bad Request\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n\
         x-request-id: {}\r\n{}\r\n{body}",
        code.status(),
        body.len(),
        Uuid::new_v4(),
        date.unwrap_or_default(),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_refusals_are_dressed() {
        let bare = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\
                    content-length: 0\r\ndate: Sun, 29 Nov 2026 12:00:00 GMT\r\n\r\n";
        let answer = dressed(bare.as_bytes()).expect("it is bare");
        let answer = std::str::from_utf8(&answer).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n") && head.contains("\r\ndate: "));
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
        let body: ErrorBody = serde_json::from_str(body).expect("an error");
        assert_eq!(body.code, "invalid_query");
        for other in [
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\nx-request-id: a\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "",
        ] {
            assert_eq!(dressed(other.as_bytes()), None, "{other}");
        }
    }
}
