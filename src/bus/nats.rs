//! The bus on a NATS server: a node hears what it listens to, and events travel with the hints.
//!
//! Core NATS alone: nothing is kept there. Each topic is a subject below the store's own prefix,
//! so that clusters on one server never mix; the epoch is in it too, as a store that was put back
//! from a copy has other numbers. One task ([`Line`]) owns the client, tells what was published,
//! batch by batch, and keeps the subscriptions as the node wants them; each has a task that passes
//! on what comes. That a subscription holds is known when the server has answered something sent
//! behind it. The library connects again by itself and subscribes anew.
//!
//! Everything that waits has a bound in bytes, and what is above is lost. While there is no
//! connection, notes are lost; that is said once.

mod address;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::client::Request;
use async_nats::connection::State;
use async_nats::{Client, Event, RequestErrorKind, ServerError};
use futures_util::StreamExt;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::{Bus, Ears, HEARD_WAITING_MAX, Heard, NOTE_BYTES_MAX, NodeId, Post, Topic, opened};

pub use address::Address;

/// Bytes of one message; a server takes 1 MiB where nothing else is set.
const PAYLOAD_BYTES_MAX: usize = 256 * 1024;
/// Less than this is no use.
const SERVER_PAYLOAD_BYTES_MIN: usize = 8 * 1024;
/// Before the notes of a message: its node.
const NODE_BYTES: usize = 32;
/// What waits to be told, in bytes; above it new notes are lost.
const TOLD_BYTES_MAX: usize = 16 << 20;
/// Batches of notes that wait to be told; above it new ones are lost.
const WAITING_MAX: usize = 1_024;
/// What was heard and waits to be read, in bytes; above it new notes are lost.
const HEARD_BYTES_MAX: usize = 16 << 20;
/// Commands that the library keeps for the connection.
const COMMANDS_MAX: usize = 64;
/// Messages of one subscription that wait for its task; above it new ones are lost.
const SUBSCRIPTION_MAX: usize = 32;
/// Between two questions whether the server is there; after three without answer it is not.
const PING_EVERY: Duration = Duration::from_secs(2);
/// To connect, or to answer what shows that a subscription holds.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Between two attempts to connect.
const RETRY: Duration = Duration::from_millis(500);
/// Between two looks at what is listened to without need, and at what was lost.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

const _: () = assert!(NOTE_BYTES_MAX + NODE_BYTES < SERVER_PAYLOAD_BYTES_MIN);

/// The bus of one node.
pub struct Nats {
    shared: Arc<Shared>,
    waiting: mpsc::Sender<(Vec<Post>, OwnedSemaphorePermit)>,
    told_room: Arc<Semaphore>,
}

/// What the bus, its task, and the tasks of subscriptions share.
struct Shared {
    node: NodeId,
    prefix: String,
    heard: mpsc::Sender<Heard>,
    heard_room: Arc<Semaphore>,
    /// Something was heard and lost.
    has_lost: AtomicBool,
    /// Bytes that the server takes in one message, as far as we use it.
    payload_bytes_max: AtomicUsize,
    wanted: Mutex<Wanted>,
    wants: Notify,
    connected: Notify,
    condition: Mutex<Condition>,
}

/// What the node listens to.
#[derive(Default)]
struct Wanted {
    /// True: asked for since the last [`Bus::keep`].
    topics: HashMap<Topic, bool>,
    /// Those that the task has not seen yet.
    new: Vec<Topic>,
    /// Some are of no interest any more.
    is_less: bool,
}

/// How the connection is.
#[derive(Default)]
struct Condition {
    trouble: Option<String>,
    /// What the server refuses on this connection.
    refused: Option<String>,
    was_told: bool,
    /// How often the connection was lost.
    losses: u64,
}

/// The task that owns the client.
struct Line {
    shared: Arc<Shared>,
    address: Address,
    waiting: mpsc::Receiver<(Vec<Post>, OwnedSemaphorePermit)>,
    live: HashMap<Topic, AbortOnDropHandle<()>>,
    /// Questions to the server whether subscriptions hold.
    asking: JoinSet<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Nats {
    /// Connects, then listens and tells until `stop`. A server that is out of reach is waited for
    /// in the background; the error is one that waiting does not heal, in whole sentences.
    pub async fn start(
        address: Address,
        prefix: String,
        node: NodeId,
        stop: CancellationToken,
    ) -> Result<(Arc<Self>, Ears), String> {
        let (waiting, to_tell) = mpsc::channel(WAITING_MAX);
        let (heard, ears) = mpsc::channel(HEARD_WAITING_MAX);
        let shared = Arc::new(Shared {
            node,
            prefix,
            heard,
            heard_room: Arc::new(Semaphore::new(HEARD_BYTES_MAX)),
            has_lost: AtomicBool::new(false),
            payload_bytes_max: AtomicUsize::new(PAYLOAD_BYTES_MAX),
            wanted: Mutex::default(),
            wants: Notify::new(),
            connected: Notify::new(),
            condition: Mutex::default(),
        });
        let told_room = Arc::new(Semaphore::new(TOLD_BYTES_MAX));
        let bus = Arc::new(Self { shared: shared.clone(), waiting, told_room });
        let (live, asking) = (HashMap::new(), JoinSet::new());
        let line = Line { shared, address, waiting: to_tell, live, asking };
        let first = match line.connect().await {
            Ok(client) => Some(client),
            Err(address::Failure { is_final: true, what }) => return Err(what),
            Err(address::Failure { what, .. }) => {
                line.shared.is_down(what);
                None
            }
        };
        tokio::spawn(async move { stop.run_until_cancelled(line.run(first)).await });
        Ok((bus, ears))
    }
}

impl Bus for Nats {
    fn publish(&self, posts: Vec<Post>) {
        let bytes: usize = posts.iter().map(|post| post.note.len() + NODE_BYTES).sum();
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        // Lost when too much waits.
        if let Ok(room) = self.told_room.clone().try_acquire_many_owned(bytes) {
            let _ = self.waiting.try_send((posts, room));
        }
    }

    fn listen(&self, topic: Topic) {
        let mut wanted = lock(&self.shared.wanted);
        if wanted.topics.insert(topic, true).is_none() {
            wanted.new.push(topic);
            self.shared.wants.notify_one();
        }
    }

    fn keep(&self, topics: &HashSet<Topic>) {
        let mut wanted = lock(&self.shared.wanted);
        let Wanted { topics: known, new, is_less } = &mut *wanted;
        let before = known.len();
        known.retain(|topic, is_new| std::mem::take(is_new) || topics.contains(topic));
        *is_less |= known.len() < before;
        new.retain(|topic| known.contains_key(topic));
        let missing = topics.iter().filter(|topic| !known.contains_key(topic));
        new.extend(missing.copied());
        known.extend(topics.iter().map(|topic| (*topic, false)));
        if !new.is_empty() {
            self.shared.wants.notify_one();
        }
    }

    fn has_topics(&self) -> bool {
        true
    }

    fn events_bytes_max(&self) -> usize {
        self.shared.payload_bytes_max.load(Ordering::Relaxed) - NODE_BYTES
    }

    fn state(&self) -> Result<(), String> {
        let condition = lock(&self.shared.condition);
        let wrong = condition.trouble.as_ref().or(condition.refused.as_ref());
        wrong.cloned().map_or(Ok(()), Err)
    }
}

impl Line {
    async fn run(mut self, first: Option<Client>) {
        let client = match first {
            Some(client) => client,
            None => self.wait_for_server().await,
        };
        self.subscribe(&client, Topic::All).await;
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.shared.connected.notified() => {
                    self.shared.measure(&client);
                    self.listen(&client).await;
                    self.ask(&client, Heard::Up);
                }
                () = self.shared.wants.notified() => self.listen(&client).await,
                next = self.waiting.recv() => match next {
                    // What is listened to since before it was published comes first.
                    Some((posts, _room)) => {
                        self.listen(&client).await;
                        self.tell(&client, posts).await;
                    }
                    None => return,
                },
                _ = sweep.tick() => self.sweep(),
            }
        }
    }

    async fn connect(&self) -> Result<Client, address::Failure> {
        let shared = self.shared.clone();
        let options = self.address.options().event_callback(move |event| {
            shared.happened(event);
            std::future::ready(())
        });
        self.address.connect(options).await
    }

    async fn wait_for_server(&mut self) -> Client {
        loop {
            tokio::time::sleep(RETRY).await;
            // What waited is old.
            while self.waiting.try_recv().is_ok() {}
            match self.connect().await {
                Ok(client) => return client,
                Err(failure) => self.shared.is_down(failure.what),
            }
        }
    }

    /// Subscribes to what is wanted and not listened to yet. While there is no connection that
    /// waits until there is one.
    async fn listen(&mut self, client: &Client) {
        if client.connection_state() != State::Connected {
            return;
        }
        let mut new = std::mem::take(&mut lock(&self.shared.wanted).new);
        new.retain(|topic| !self.live.contains_key(topic));
        for topic in &new {
            self.subscribe(client, *topic).await;
        }
        if !new.is_empty() {
            self.ask(client, Heard::Listening(new));
        }
    }

    async fn subscribe(&mut self, client: &Client, topic: Topic) {
        let subject = self.shared.subject(topic);
        let Ok(mut subscription) = client.subscribe(subject).await else { return };
        let shared = self.shared.clone();
        let task = tokio::spawn(async move {
            while let Some(message) = subscription.next().await {
                shared.hear(&message.payload);
            }
        });
        self.live.insert(topic, AbortOnDropHandle::new(task));
    }

    /// Passes that on once the server has done what was asked of it before.
    fn ask(&mut self, client: &Client, then: Heard) {
        let (shared, client) = (self.shared.clone(), client.clone());
        let losses = lock(&self.shared.condition).losses;
        self.asking.spawn(async move {
            let subject = format!("{}.nobody", shared.prefix);
            while !is_answered(&client, &subject).await {
                // Whoever connects again asks again, for everything.
                if lock(&shared.condition).losses != losses {
                    return;
                }
                tokio::time::sleep(RETRY).await;
            }
            if matches!(then, Heard::Up) {
                shared.is_up(losses);
            }
            let _ = shared.heard.send(then).await;
        });
    }

    async fn tell(&self, client: &Client, posts: Vec<Post>) {
        // The library would keep it all; after an outage it is old.
        if client.connection_state() != State::Connected {
            return;
        }
        let most = self.shared.payload_bytes_max.load(Ordering::Relaxed);
        for (topic, payload) in payloads(self.shared.node, posts, most) {
            // What the server does not take is lost.
            let _ = client.publish(self.shared.subject(topic), payload.into()).await;
        }
        let _ = client.flush().await;
    }

    /// Ends what is of no interest any more, and says that something was lost.
    fn sweep(&mut self) {
        let mut wanted = lock(&self.shared.wanted);
        if std::mem::take(&mut wanted.is_less) {
            let topics = &wanted.topics;
            self.live.retain(|topic, _| *topic == Topic::All || topics.contains_key(topic));
        }
        drop(wanted);
        while self.asking.try_join_next().is_some() {}
        if self.shared.has_lost.swap(false, Ordering::Relaxed)
            && self.shared.heard.try_send(Heard::Lost).is_err()
        {
            self.shared.has_lost.store(true, Ordering::Relaxed);
        }
    }
}

/// Whether the server has seen what was sent before this question, to which nobody answers but it.
async fn is_answered(client: &Client, subject: &str) -> bool {
    let question = Request::new().timeout(Some(ANSWER_WITHIN));
    match client.send_request(subject.to_owned(), question).await {
        Ok(_) => true,
        Err(error) => error.kind() == RequestErrorKind::NoResponders,
    }
}

impl Shared {
    fn subject(&self, topic: Topic) -> String {
        let prefix = &self.prefix;
        match topic {
            Topic::All => format!("{prefix}.all"),
            Topic::Session(session) => format!("{prefix}.session.{session}"),
            Topic::User(user) => format!("{prefix}.user.{user}"),
        }
    }

    /// Passes on what others say.
    fn hear(&self, payload: &[u8]) {
        let bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let room = self.heard_room.clone().try_acquire_many_owned(bytes);
        let Ok(room) = room else { return self.has_lost.store(true, Ordering::Relaxed) };
        let text = std::str::from_utf8(payload).ok();
        let Some((from, notes)) = text.and_then(|text| opened(text, self.node)) else { return };
        if self.heard.try_send(Heard::Notes { from, notes, room: Some(room) }).is_err() {
            self.has_lost.store(true, Ordering::Relaxed);
        }
    }

    /// What the library tells about the connection.
    fn happened(&self, event: Event) {
        match event {
            Event::Connected => self.connected.notify_one(),
            Event::Disconnected => {
                let mut condition = lock(&self.condition);
                condition.losses += 1;
                condition.refused = None;
                drop(condition);
                self.is_down("the connection to NATS was lost".to_owned());
            }
            Event::SlowConsumer(_) => self.has_lost.store(true, Ordering::Relaxed),
            Event::ServerError(ServerError::Other(what)) => {
                let what = format!("NATS refuses: {what}");
                let mut condition = lock(&self.condition);
                if condition.refused.is_none() {
                    tracing::warn!(what, "the bus does not do all that is asked of it");
                }
                condition.refused = Some(what);
            }
            Event::ServerError(error) => self.is_down(format!("NATS: {error}")),
            Event::ClientError(error) => self.is_down(format!("NATS: {error}")),
            // The last two are our own doing.
            Event::LameDuckMode | Event::Draining | Event::Closed => {}
        }
    }

    /// What the server takes.
    fn measure(&self, client: &Client) {
        let most = client.max_payload().clamp(SERVER_PAYLOAD_BYTES_MIN, PAYLOAD_BYTES_MAX);
        self.payload_bytes_max.store(most, Ordering::Relaxed);
    }

    fn is_down(&self, what: String) {
        let mut condition = lock(&self.condition);
        if !std::mem::replace(&mut condition.was_told, true) {
            tracing::warn!(
                error = what,
                "the bus is down; heads are checked in the store meanwhile"
            );
        }
        condition.trouble = Some(what);
    }

    /// It works on the connection that came after so many losses.
    fn is_up(&self, losses: u64) {
        let mut condition = lock(&self.condition);
        if condition.losses == losses {
            condition.trouble = None;
            if std::mem::take(&mut condition.was_told) {
                tracing::info!("the bus is up again");
            }
        }
    }
}

/// The node in the first line, then a note a line, all of one topic.
fn payloads(node: NodeId, posts: Vec<Post>, bytes_max: usize) -> Vec<(Topic, String)> {
    let mut payloads = Vec::new();
    let mut open: HashMap<Topic, String> = HashMap::new();
    let begun = || format!("{node:x}");
    for Post { to, note } in posts {
        let payload = open.entry(to).or_insert_with(begun);
        if payload.len() > NODE_BYTES && payload.len() + 1 + note.len() > bytes_max {
            payloads.push((to, std::mem::replace(payload, begun())));
        }
        payload.push('\n');
        payload.push_str(&note);
    }
    payloads.extend(open);
    payloads
}

#[cfg(test)]
mod tests {
    use protocol::SessionId;

    use super::*;

    #[test]
    fn notes_of_a_topic_go_together_within_the_limit_and_in_their_order() {
        let sessions = [SessionId::new(), SessionId::new()];
        let post = |n: usize| Post {
            to: Topic::Session(sessions[n % 2]),
            note: format!("{n} {}", "x".repeat(900)),
        };
        let posts: Vec<Post> = (0..40).map(post).collect();
        let payloads = payloads(0xA5, posts.clone(), SERVER_PAYLOAD_BYTES_MIN);
        assert_eq!(payloads.len(), 6);
        for (n, session) in sessions.iter().enumerate() {
            let mut found = Vec::new();
            for (topic, payload) in &payloads {
                assert!(payload.len() <= SERVER_PAYLOAD_BYTES_MIN);
                assert!(opened(payload, 0xA5).is_none(), "our own");
                if *topic == Topic::Session(*session) {
                    found.extend(opened(payload, 7).expect("notes").1);
                }
            }
            let expected = posts.iter().skip(n).step_by(2).map(|post| post.note.clone());
            assert_eq!(found, expected.collect::<Vec<_>>());
        }
    }
}
