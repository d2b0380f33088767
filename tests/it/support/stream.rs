//! A client of server-sent events (HTML living standard, 9.2) as far as the feed uses them.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::task::JoinHandle;

/// What has to come has come long before this.
const PATIENCE: Duration = Duration::from_secs(40);

/// A feed that is open.
pub struct Stream {
    body: Incoming,
    driver: JoinHandle<hyper::Result<()>>,
    read: Vec<u8>,
}

impl Stream {
    pub(super) fn new(body: Incoming, driver: JoinHandle<hyper::Result<()>>) -> Self {
        Self { body, driver, read: Vec::new() }
    }

    /// The next event; none when the stream has ended in good order. Comments are skipped.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some(end) = self.read.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.read.drain(..end + 2).collect();
                if let Some(event) = event_of(std::str::from_utf8(&block).expect("UTF-8")) {
                    return Some(event);
                }
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await;
            match frame.expect("something comes in time") {
                Some(frame) => {
                    let data = frame.expect("the stream is whole").into_data();
                    self.read.extend_from_slice(&data.expect("data"));
                }
                None => return None,
            }
        }
    }

    /// Reads up to the next event of that type and gives it.
    pub async fn until(&mut self, kind: &str) -> Value {
        loop {
            let event = self.next().await.expect("the stream goes on");
            if event["type"] == kind {
                return event;
            }
        }
    }

    /// All that still comes, up to the end.
    pub async fn rest(mut self) -> Vec<Value> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The event of a block, whose id must be its number.
fn event_of(block: &str) -> Option<Value> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
    let event: Value = serde_json::from_str(field("data: ")?).expect("JSON");
    assert_eq!(field("id: "), Some(event["seq"].to_string().as_str()));
    Some(event)
}
