//! Numbers, batches, and the sink.

use std::sync::mpsc;

use assistdeck::store::{Action, Commit, Error, Refusal};
use futures_util::FutureExt;
use futures_util::future::join_all;
use protocol::{Change, ParticipantId};

use super::world::{World, created, draft, event, refused};

pub async fn numbers_are_dense_in_every_session_whoever_sends_at_the_same_time(world: World) {
    const SESSIONS: usize = 20;
    const SENDS: usize = 60;
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push(world.shared_session().await);
    }
    let senders = sessions
        .iter()
        .flat_map(|&(session, owner, participant)| [(session, owner), (session, participant)]);
    join_all(senders.map(async |(session, user)| {
        let mut last = 0;
        for n in 0..SENDS {
            let message = world.send(session, user, &n.to_string()).await;
            assert!(message.seq > last, "a sender's own messages keep their order");
            last = message.seq;
        }
    }))
    .await;
    for (session, ..) in sessions {
        let log = world.log(session).await;
        let expected: Vec<u64> = (1..=2 * SENDS as u64 + 1).collect();
        assert_eq!(log.events.iter().map(|event| event.seq).collect::<Vec<_>>(), expected);
        assert_eq!(log.head, 2 * SENDS as u64 + 1);
        assert_eq!(world.told(session), log.events, "the sink had them in the same order");
    }
}

pub async fn appends_are_taken_in_the_order_of_the_calls(world: World) {
    let (session, owner, participant) = world.shared_session().await;
    let mut pending = Vec::new();
    for n in 0..500 {
        let user = if n % 3 == 0 { participant } else { owner };
        let action = Action::Send { draft: draft(&n.to_string()) };
        pending.push(world.submit(session, user, action).await);
    }
    for (n, pending) in pending.into_iter().enumerate() {
        let message = created(pending.await.unwrap());
        assert_eq!((message.seq, message.content), (n as u64 + 2, n.to_string()));
    }
}

pub async fn a_refused_append_fails_alone(world: World) {
    let (session, owner, _) = world.shared_session().await;
    let stranger = world.user().await;
    let mut pending = Vec::new();
    for n in 0..200 {
        let user = if n % 2 == 0 { owner } else { stranger };
        pending.push(world.submit(session, user, Action::Send { draft: draft("x") }).await);
        if n % 50 == 0 {
            let id = ParticipantId::new();
            let add = Action::AddParticipant { id, user: owner };
            let outcome = world.submit(session, owner, add);
            pending.push(outcome.await);
        }
    }
    let outcomes = join_all(pending).await;
    let accepted = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Ok(_)))).count();
    assert_eq!((accepted, outcomes.len()), (100, 204));
    let log = world.log(session).await;
    let expected: Vec<u64> = (1..=101).collect();
    assert_eq!(log.events.iter().map(|event| event.seq).collect::<Vec<_>>(), expected);
}

pub async fn a_message_queued_behind_its_senders_removal_is_refused(world: World) {
    let (session, owner, participant) = world.shared_session().await;
    let send = || Action::Send { draft: draft("x") };
    let first = world.submit(session, participant, send()).await;
    let remove = Action::RemoveParticipant { user: participant };
    let removal = world.submit(session, owner, remove).await;
    let late = world.submit(session, participant, send()).await;
    let other = world.submit(session, owner, send()).await;
    assert_eq!(created(first.await.unwrap()).seq, 2);
    assert_eq!(event(removal.await.unwrap()).seq, 3);
    assert_eq!(refused(late.await.unwrap()), Refusal::NotAMember);
    assert_eq!(created(other.await.unwrap()).seq, 4);
}

pub async fn a_message_queued_behind_its_senders_arrival_is_taken(world: World) {
    let (owner, user) = (world.user().await, world.user().await);
    let session = world.session(owner).await;
    let send = || Action::Send { draft: draft("x") };
    let early = world.submit(session, user, send()).await;
    let add = Action::AddParticipant { id: ParticipantId::new(), user };
    let added = world.submit(session, owner, add).await;
    let sent = world.submit(session, user, send()).await;
    assert_eq!(refused(early.await.unwrap()), Refusal::NotAMember);
    assert_eq!(event(added.await.unwrap()).seq, 1);
    assert_eq!(created(sent.await.unwrap()).seq, 2);
}

pub async fn a_message_queued_behind_the_sessions_end_is_refused(world: World) {
    let (session, owner, participant) = world.shared_session().await;
    let send = || Action::Send { draft: draft("x") };
    let first = world.submit(session, owner, send()).await;
    let end = world.submit(session, owner, Action::DeleteSession).await;
    let late = world.submit(session, participant, send()).await;
    assert_eq!(created(first.await.unwrap()).seq, 2);
    let end = event(end.await.unwrap());
    assert!(end.ends_session() && end.seq == 3);
    assert_eq!(refused(late.await.unwrap()), Refusal::SessionNotFound);
}

pub async fn nothing_is_answered_before_the_sink_says_so(mut world: World) {
    let (session, owner, _) = world.shared_session().await;
    let (commits, taken) = mpsc::sync_channel::<Commit>(100);
    let sink = move |commit| commits.send(commit).expect("the test listens");
    world.reopen_with(Box::new(sink)).await;
    let mut sent = world.submit(session, owner, Action::Send { draft: draft("x") }).await;
    let mut stranger = world.submit(session, world.user().await, Action::Leave).await;
    let mut seen = 0;
    let mut held = Vec::new();
    while seen < 2 {
        let commit = taken.recv().expect("the store commits");
        seen += commit.answers.len();
        held.push(commit);
    }
    let events: Vec<_> = held.iter().flat_map(|commit| commit.events.clone()).collect();
    assert!(matches!(&events[..], [event] if matches!(event.change, Change::MessageCreated(_))));
    assert_eq!(world.log(session).await.events[1..], events[..], "it is durable already");
    assert!((&mut sent).now_or_never().is_none());
    assert!((&mut stranger).now_or_never().is_none());
    held.into_iter().for_each(Commit::answer);
    assert_eq!(created(sent.await.unwrap()).seq, 2);
    assert_eq!(refused(stranger.await.unwrap()), Refusal::NotAMember);

    // A sender that is never answered hears that the store has stopped.
    let lost = world.submit(session, owner, Action::Send { draft: draft("y") }).await;
    drop(taken.recv().expect("the store commits"));
    assert!(lost.await.map_err(|_| Error::Unavailable(String::new())).is_err());
}

pub async fn what_was_answered_is_there_after_a_reopening(mut world: World) {
    let (session, owner, participant) = world.shared_session().await;
    let mut messages = Vec::new();
    for n in 0..50 {
        messages.push(world.send(session, participant, &n.to_string()).await);
    }
    let before = world.seen_by(session, owner).await;
    world.reopen().await;
    assert_eq!(world.messages(session).await, messages);
    assert_eq!(world.seen_by(session, owner).await, before);
    assert_eq!(world.unread(session, owner).await, 50);
}

pub async fn numbers_go_on_after_a_reopening(mut world: World) {
    let (session, owner, _) = world.shared_session().await;
    for round in 0..5 {
        assert_eq!(world.send(session, owner, "x").await.seq, round + 2);
        world.reopen().await;
    }
    assert_eq!(world.log(session).await.events.len(), 6);
}
