//! The bus on PostgreSQL's LISTEN and NOTIFY: no further server is needed.
//!
//! One connection of its own listens and tells. It tells outside of every write transaction, for a
//! commit that notifies waits for all others that do; many notes go in one payload, of which
//! PostgreSQL takes 8,000 bytes: so no event travels here. The channel has the store's id in its
//! name, so that stores in one database never mix. While there is no connection, notes are lost;
//! that is said once.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_postgres::AsyncMessage;
use tokio_util::sync::CancellationToken;

use super::{Bus, Ears, HEARD_WAITING_MAX, Heard, NOTE_BYTES_MAX, NodeId, Post, Topic, opened};
use crate::store::Result;
use crate::store::postgres::Meeting;

/// Bytes of one payload; PostgreSQL refuses 8,000.
const PAYLOAD_BYTES_MAX: usize = 7_900;
/// Batches of notes that wait to be told; above it new ones are lost.
const WAITING_MAX: usize = 64;
/// Between two attempts to connect.
const RETRY: Duration = Duration::from_millis(500);
/// Nothing said for so long is a question whether anybody hears.
const SILENCE: Duration = Duration::from_secs(10);
/// To do what it is asked.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

const _: () = assert!(NOTE_BYTES_MAX + 32 < PAYLOAD_BYTES_MAX);

/// The bus of one node.
pub struct Notify {
    waiting: mpsc::Sender<Vec<Post>>,
    trouble: Arc<Mutex<Option<String>>>,
}

struct Line {
    meeting: Meeting,
    node: NodeId,
    waiting: mpsc::Receiver<Vec<Post>>,
    heard: mpsc::Sender<Heard>,
    trouble: Arc<Mutex<Option<String>>>,
}

impl Notify {
    /// Begins to listen and to tell, until `stop`.
    #[must_use]
    pub fn start(meeting: Meeting, node: NodeId, stop: CancellationToken) -> (Arc<Self>, Ears) {
        let (waiting, to_tell) = mpsc::channel(WAITING_MAX);
        let (heard, ears) = mpsc::channel(HEARD_WAITING_MAX);
        let trouble = Arc::new(Mutex::new(Some("not connected yet".to_owned())));
        let bus = Arc::new(Self { waiting, trouble: trouble.clone() });
        let line = Line { meeting, node, waiting: to_tell, heard, trouble };
        tokio::spawn(async move { stop.run_until_cancelled(line.run()).await });
        (bus, ears)
    }
}

impl Bus for Notify {
    fn publish(&self, posts: Vec<Post>) {
        // Lost when too much waits.
        let _ = self.waiting.try_send(posts);
    }

    fn listen(&self, _: Topic) {}

    fn keep(&self, _: &HashSet<Topic>) {}

    fn has_topics(&self) -> bool {
        false
    }

    fn events_bytes_max(&self) -> usize {
        0
    }

    fn state(&self) -> std::result::Result<(), String> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.clone().map_or(Ok(()), Err)
    }
}

impl Line {
    async fn run(mut self) {
        let mut told = false;
        loop {
            let Err(error) = self.talk(&mut told).await;
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(%error, "the bus is down; heads are checked in the store meanwhile");
            }
            self.note(Some(error.to_string()));
            tokio::time::sleep(RETRY).await;
            // What waited is old.
            while self.waiting.try_recv().is_ok() {}
        }
    }

    fn note(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Listens and tells for as long as the connection holds.
    async fn talk(&mut self, told: &mut bool) -> Result<std::convert::Infallible> {
        let (client, mut connection) = self.meeting.address.connect().await?;
        let (node, heard) = (self.node, self.heard.clone());
        let driver = async move {
            loop {
                let next = std::future::poll_fn(|context| connection.poll_message(context)).await;
                match next {
                    Some(Ok(AsyncMessage::Notification(said))) => {
                        hear(said.payload(), node, &heard)
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return crate::store::Error::from(error),
                    None => {
                        let text = "PostgreSQL: the connection was lost".to_owned();
                        return crate::store::Error::Unavailable(text);
                    }
                }
            }
        };
        let channel = format!("assistdeck_{}", self.meeting.store_id);
        let listen = format!("LISTEN \"{channel}\"");
        let telling = async {
            answered(client.batch_execute(&listen)).await?;
            let tell = answered(client.prepare("SELECT pg_notify($1, $2)")).await?;
            let _ = self.heard.try_send(Heard::Up);
            self.note(None);
            if std::mem::take(told) {
                tracing::info!("the bus is up again");
            }
            loop {
                let Ok(next) = tokio::time::timeout(SILENCE, self.waiting.recv()).await else {
                    answered(client.batch_execute("")).await?;
                    continue;
                };
                let Some(mut posts) = next else { std::future::pending().await };
                while let Ok(more) = self.waiting.try_recv() {
                    posts.extend(more);
                }
                for payload in payloads(node, posts.iter().map(|post| &*post.note)) {
                    answered(client.execute(&tell, &[&channel, &payload])).await?;
                }
            }
        };
        let telling = async {
            let outcome: Result<std::convert::Infallible> = telling.await;
            outcome
        };
        tokio::select! {
            error = driver => Err(error),
            outcome = telling => outcome,
        }
    }
}

/// An answer of the database. One that stands still and keeps the connection open is as good as
/// gone.
async fn answered<T>(
    answer: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
) -> Result<T> {
    match tokio::time::timeout(ANSWER_WITHIN, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(crate::store::Error::Unavailable("PostgreSQL does not answer".to_owned())),
    }
}

/// The node in the first line, then a note a line.
fn payloads<'a>(node: NodeId, notes: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut payloads = Vec::new();
    let mut payload = format!("{node:x}");
    for note in notes.filter(|note| note.len() <= NOTE_BYTES_MAX) {
        if payload.len() + 1 + note.len() > PAYLOAD_BYTES_MAX {
            payloads.push(std::mem::replace(&mut payload, format!("{node:x}")));
        }
        payload.push('\n');
        payload.push_str(note);
    }
    payloads.push(payload);
    payloads
}

/// Passes on what others say.
fn hear(payload: &str, own: NodeId, heard: &mpsc::Sender<Heard>) {
    let Some((from, notes)) = opened(payload, own) else { return };
    // Lost when too much waits.
    let _ = heard.try_send(Heard::Notes { from, notes, room: None });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_go_in_few_payloads_within_the_limit_and_come_out_again() {
        let notes: Vec<String> = (0..1_000).map(|n| format!("note {n}")).collect();
        let payloads = payloads(0xA5, notes.iter().map(String::as_str));
        assert_eq!(payloads.len(), 2);
        assert!(payloads.iter().all(|payload| payload.len() <= PAYLOAD_BYTES_MAX));
        let (heard, mut ears) = mpsc::channel(9);
        let mut found = Vec::new();
        for payload in &payloads {
            hear(payload, 0xA5, &heard);
            assert!(ears.try_recv().is_err(), "our own");
            hear(payload, 7, &heard);
            match ears.try_recv() {
                Ok(Heard::Notes { from: 0xA5, notes, .. }) => found.extend(notes),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(found, notes);
    }
}
