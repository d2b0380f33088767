//! What a batch costs in statements and in waiting for PostgreSQL, however many messages it has.
//!
//! A [`Counter`] stands between the store and the server and reads along: what was completed, and
//! how often the store asked when no answer was under way.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use assistdeck::store::Action;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};

use super::{Schema, World, keyed};
use crate::store::world::event;
use crate::support::postgres::shared;

const MESSAGES: usize = 400;
/// BEGIN, lock the sessions, who is a member, which `client_id`s were used, write, COMMIT.
const STATEMENTS: usize = 6;
/// What has to be known, then what is written. A half more, should one be sent in two pieces.
const ROUNDS_OF_TWO_BATCHES_MAX: usize = 5;
/// The first takes what it finds; all others wait together for the next ones.
const BATCHES_MAX: usize = MESSAGES / 8;
/// Of so many measurements one is undisturbed.
const TRIES: usize = 4;
/// What a client's first message, which has no letter, is told as.
const STARTUP: u8 = 0;

#[derive(Default)]
struct Counter {
    statements: AtomicUsize,
    commits: AtomicUsize,
    rounds: AtomicUsize,
}

impl Counter {
    /// Carries connections to the socket of that folder, for as long as the test lives.
    fn between(self: &Arc<Self>, listener: UnixListener, folder: &Path) {
        let (counter, server) = (self.clone(), folder.join(".s.PGSQL.5432"));
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = UnixStream::connect(&server).await.unwrap();
                let ((asks, answered), (answers, asked)) = (near.into_split(), far.into_split());
                let open = Arc::new(AtomicUsize::new(0));
                let (counting, opened) = (counter.clone(), open.clone());
                tokio::spawn(carry(asks, asked, STARTUP, move |kind, _| {
                    counting.asked(kind, &opened);
                }));
                let counting = counter.clone();
                tokio::spawn(carry(answers, answered, b'R', move |kind, body| {
                    counting.answered(kind, body, &open);
                }));
            }
        });
    }

    fn asked(&self, kind: u8, open: &AtomicUsize) {
        // A simple query, or the end of one that was prepared.
        if (kind == b'Q' || kind == b'S') && open.fetch_add(1, Ordering::SeqCst) == 0 {
            self.rounds.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn answered(&self, kind: u8, body: &[u8], open: &AtomicUsize) {
        if kind == b'C' {
            self.statements.fetch_add(1, Ordering::SeqCst);
            if body.starts_with(b"COMMIT") {
                self.commits.fetch_add(1, Ordering::SeqCst);
            }
        }
        if kind == b'Z' {
            // The first one answers no query, but the beginning.
            let _ = open.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        }
    }

    fn take(&self) -> (usize, usize, usize) {
        let take = |count: &AtomicUsize| count.swap(0, Ordering::SeqCst);
        (take(&self.statements), take(&self.commits), take(&self.rounds))
    }
}

/// Carries bytes on, and tells each message once it is whole: a letter, a length, a body.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    first: u8,
    told: impl Fn(u8, &[u8]),
) {
    let (mut read, mut has_letter) = (Vec::new(), first != STARTUP);
    while from.read_buf(&mut read).await.is_ok_and(|count| count > 0) {
        let mut at = 0;
        loop {
            let letter = usize::from(has_letter);
            let Some(length) = read[at..].get(letter..letter + 4) else { break };
            let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
            let Some(body) = read[at..].get(letter + 4..letter + length) else { break };
            told(if has_letter { read[at] } else { STARTUP }, body);
            at += letter + length;
            has_letter = true;
        }
        // Half a message waits here for its end.
        if to.write_all(&read[..at]).await.is_err() {
            return;
        }
        read.drain(..at);
    }
}

#[tokio::test]
async fn a_batch_is_six_statements_in_two_rounds_however_many_messages_it_has() {
    let (folder, counter) = (tempfile::tempdir().unwrap(), Arc::new(Counter::default()));
    let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
    counter.between(listener, shared().folder());
    let real = shared().folder().display().to_string();
    let url = shared().schema().replace(&real, &folder.path().display().to_string());
    let world = World::new(Box::new(Schema(url))).await;
    let (session, owner, _) = world.shared_session().await;
    let alone = async |attempt: usize| {
        counter.take();
        world.send(session, owner, &format!("alone {attempt}")).await;
        counter.take()
    };
    // It has no client_id, so none is looked for.
    let (statements, commits, rounds) = undisturbed(alone, |_| STATEMENTS - 1).await;
    assert_eq!((commits, statements), (1, STATEMENTS - 1));
    assert!(rounds * 2 <= ROUNDS_OF_TWO_BATCHES_MAX, "{rounds} rounds");

    let many = async |attempt: usize| {
        counter.take();
        let mut pending = Vec::new();
        for n in 0..MESSAGES {
            let draft = keyed("x", &format!("{attempt}-{n}"), 1);
            pending.push(world.submit(session, owner, Action::Send { draft }).await);
        }
        for pending in pending {
            event(pending.await.unwrap());
        }
        counter.take()
    };
    let (statements, commits, rounds) = undisturbed(many, |commits| commits * STATEMENTS).await;
    eprintln!("{MESSAGES} messages: {commits} commits, {statements} statements, {rounds} rounds");
    assert!((1..=BATCHES_MAX).contains(&commits), "{commits} commits");
    assert_eq!(statements, commits * STATEMENTS);
    assert!(rounds * 2 <= commits * ROUNDS_OF_TWO_BATCHES_MAX, "{rounds} rounds");
}

/// Measures statements, commits and rounds. The store asks for the clock and for its chores now and
/// then: where there are more statements than so many commits have, it is measured again.
async fn undisturbed(
    measure: impl AsyncFn(usize) -> (usize, usize, usize),
    of: impl Fn(usize) -> usize,
) -> (usize, usize, usize) {
    let mut last = measure(0).await;
    for attempt in 1..TRIES {
        if last.0 == of(last.1) {
            break;
        }
        last = measure(attempt).await;
    }
    last
}
