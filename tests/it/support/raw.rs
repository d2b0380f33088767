//! Bytes as they are: what no decent client would send.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Answer;

/// What has to come has come long before this.
const PATIENCE: Duration = Duration::from_secs(40);

/// A connection without manners.
pub struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Raw {
    pub async fn open(authority: &str) -> Self {
        let stream = TcpStream::connect(authority).await.expect("the server listens");
        Self::on(stream)
    }

    /// On a connection that was opened otherwise.
    pub fn on(stream: TcpStream) -> Self {
        Self { stream, read: Vec::new() }
    }

    /// Whether the other end still takes it.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Says that no more comes.
    pub async fn shut(&mut self) {
        self.stream.shutdown().await.expect("the connection is open");
    }

    /// The next answer; none if the connection ended before it was whole.
    pub async fn answer(&mut self) -> Option<Answer> {
        let end = loop {
            match self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(end) => break end,
                None if self.fill().await => {}
                None => return None,
            }
        };
        let head: Vec<u8> = self.read.drain(..end + 4).collect();
        let head = String::from_utf8(head).expect("text");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
        let mut headers = http::HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            let name: http::HeaderName = name.parse().expect("a name");
            headers.append(name, value.parse().expect("a value"));
        }
        let length =
            headers.get("content-length").map_or("0", |length| length.to_str().expect("text"));
        let length: usize = length.parse().expect("a number");
        while self.read.len() < length {
            if !self.fill().await {
                return None;
            }
        }
        let text = String::from_utf8(self.read.drain(..length).collect()).expect("text");
        Some(Answer { status: status.parse().expect("a number"), headers, text })
    }

    /// So many bytes; none if the connection ends before.
    pub async fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.read.len() < count {
            if !self.fill().await {
                return None;
            }
        }
        Some(self.read.drain(..count).collect())
    }

    /// All that still comes until the other end closes.
    pub async fn rest(mut self) -> String {
        while self.fill().await {}
        String::from_utf8_lossy(&self.read).into_owned()
    }

    /// Reads more; false at the end, also at a rude one.
    async fn fill(&mut self) -> bool {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await;
        matches!(read.expect("something comes in time"), Ok(count) if count > 0)
    }
}
