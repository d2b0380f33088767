//! Watches the bytes of a connection for what the HTTP library does not tell: the moment of a
//! request's first byte, and a length that is given in two ways.
//!
//! `Content-Length` together with `Transfer-Encoding` is how requests are smuggled past proxies
//! (RFC 9112, 6.3); hyper drops one of the two silently. [`Watched`] stands between hyper and
//! the socket and notes each request's head as it passes; the service asks with
//! [`Watch::next_head`]. It follows bodies by their `Content-Length`; behind a chunked body it no
//! longer knows where a head begins, so the connection must end with that answer. In the other
//! direction it sees to what hyper answers by itself ([`bare`]).

mod bare;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

/// What of a line is kept: more than any name or length that matters.
const LINE_BYTES_KEPT: usize = 64;
/// Heads that may be noted and not asked for: hyper reads far fewer ahead.
const HEADS_NOTED_MAX: usize = 1_024;

/// What was seen of one request's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// When its first byte came.
    pub began: Instant,
    pub has_length: bool,
    pub has_encoding: bool,
}

/// A socket whose heads are watched.
pub struct Watched {
    io: TcpStream,
    watch: Arc<Watch>,
    /// What goes out in the place of an answer of the library's own.
    dressed: Bytes,
}

/// What was seen on one connection.
#[derive(Default)]
pub struct Watch(Mutex<Scan>);

#[derive(Default)]
struct Scan {
    place: Place,
    began: Option<Instant>,
    line: Vec<u8>,
    /// The first line of the head has come.
    is_inside: bool,
    has_length: bool,
    has_encoding: bool,
    length: u64,
    heads: VecDeque<Head>,
}

#[derive(Clone, Copy, Default)]
enum Place {
    #[default]
    Head,
    /// So many bytes are left of a body.
    Body(u64),
    /// Behind a chunked body, or an upgrade.
    Unknown,
}

impl Watched {
    #[must_use]
    pub fn new(io: TcpStream) -> (Self, Arc<Watch>) {
        let watch = Arc::<Watch>::default();
        (Self { io, watch: watch.clone(), dressed: Bytes::new() }, watch)
    }

    /// The socket itself; nothing is watched any more.
    #[must_use]
    pub fn into_inner(self) -> TcpStream {
        self.io
    }
}

impl Watch {
    /// The head of the request that is being answered next.
    #[must_use]
    pub fn next_head(&self) -> Option<Head> {
        self.lock().heads.pop_front()
    }

    /// Returns when a head that has begun was not complete for so long.
    pub async fn overdue(&self, within: Duration) {
        let began = || self.lock().began;
        loop {
            let due = began().unwrap_or_else(Instant::now) + within;
            sleep_until(due).await;
            if began().is_some_and(|began| began + within <= Instant::now()) {
                return;
            }
        }
    }

    fn see(&self, bytes: &[u8]) {
        self.lock().see(bytes);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Scan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scan {
    fn see(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.place {
                Place::Unknown => return,
                Place::Body(left) => {
                    let passed = left.min(bytes.len() as u64);
                    bytes = &bytes[passed as usize..];
                    self.place =
                        if passed == left { Place::Head } else { Place::Body(left - passed) };
                }
                Place::Head => {
                    self.began.get_or_insert_with(Instant::now);
                    let end = bytes.iter().position(|&byte| byte == b'\n');
                    let (line, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
                    let room = LINE_BYTES_KEPT - self.line.len().min(LINE_BYTES_KEPT);
                    self.line.extend_from_slice(&line[..line.len().min(room)]);
                    if end.is_some() {
                        self.end_line();
                    }
                    bytes = rest;
                }
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let text = line.trim_ascii();
        if !text.is_empty() {
            if self.is_inside {
                self.header(text);
            }
            self.is_inside = true;
        } else if self.is_inside {
            self.end_head();
        }
        self.line = line;
        self.line.clear();
    }

    fn header(&mut self, text: &[u8]) {
        let Some(colon) = text.iter().position(|&byte| byte == b':') else { return };
        let (name, value) = (&text[..colon], text[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            self.has_length = true;
            let value = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            self.length = value.unwrap_or(0);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.has_encoding = true;
        }
    }

    fn end_head(&mut self) {
        let began = self.began.take().unwrap_or_else(Instant::now);
        let (has_length, has_encoding) = (self.has_length, self.has_encoding);
        self.place = match (has_encoding, self.length) {
            (true, _) => Place::Unknown,
            (false, 0) => Place::Head,
            (false, length) => Place::Body(length),
        };
        if self.heads.len() < HEADS_NOTED_MAX {
            self.heads.push_back(Head { began, has_length, has_encoding });
        }
        (self.is_inside, self.has_length, self.has_encoding, self.length) = Default::default();
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        self.watch.see(&buffer.filled()[before..]);
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.dressed.is_empty() {
            match bare::dressed(bytes) {
                Some(dressed) => self.dressed = dressed,
                None => return Pin::new(&mut self.io).poll_write(context, bytes),
            }
        }
        let Self { io, dressed, .. } = &mut *self;
        while !dressed.is_empty() {
            match ready!(Pin::new(&mut *io).poll_write(context, dressed))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => dressed.advance(written),
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = slices {
            return self.poll_write(context, only);
        }
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "\r\nPOST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\n\
                          Transfer-Encoding: chunked\r\n\r\nGET /b HTTP/1.1\r\nhost: a\r\n\r\n\
                          POST /c HTTP/1.1\r\ncontent-length : 1\r\nCONTENT-LENGTH: 5\r\n\
                          transfer-ENCODING:chunked\r\n\r\nGET /d HTTP/1.1\r\n\r\n";

    fn heads(pieces: impl Iterator<Item = Vec<u8>>) -> Vec<(bool, bool)> {
        let watch = Watch::default();
        pieces.for_each(|piece| watch.see(&piece));
        std::iter::from_fn(|| watch.next_head())
            .map(|head| (head.has_length, head.has_encoding))
            .collect()
    }

    #[test]
    fn heads_are_found_however_the_bytes_come() {
        let expected = vec![(true, false), (false, false), (true, true)];
        for size in [1, 2, 3, 7, 50, STREAM.len()] {
            let pieces = STREAM.as_bytes().chunks(size).map(<[u8]>::to_vec);
            assert_eq!(heads(pieces), expected, "pieces of {size}");
        }
    }
}
