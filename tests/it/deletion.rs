//! What was deleted is gone: from every file, and from whatever anybody is told afterwards.
//!
//! The markers are found by their bytes, wherever they stand. Promised is: the content is out of
//! the store, its log, every ring, page and replay before the deletion is delivered; what was
//! written to a client before stays with it. An edit promises less: whoever is told of a message
//! after it, under whichever number, is told the present form; the old one stays in the store
//! until the message is deleted.

use std::path::Path;
use std::sync::Arc;

use assistdeck::chat::{Actor, Position, Step};
use assistdeck::hub::{Identity, Inbox, Place, Wire};
use futures_util::FutureExt;
use protocol::UserKind;
use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::slow::slow_socket;
use crate::support::{Raw, Socket, TestServer, TestUser, number, paths, text};

/// What is sent, edited and deleted, and must be found nowhere afterwards.
const MARKERS: [&str; 4] = [
    "the-secret-of-the-pyramids",
    "the-secret-of-the-sphinx",
    "the-secret-of-the-obelisk",
    "the-secret-of-the-nile",
];

/// More than ring and kernel hold together, in messages of [`LONG`] bytes.
const FILLING: usize = 160;
const LONG: usize = 60_000;

/// Files below a folder that hold these bytes.
fn files_with(folder: &Path, needle: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_with(&path, needle));
        } else {
            // The log may be gone when it is opened: the server cuts it.
            let bytes = std::fs::read(&path).expect("a file");
            if bytes.windows(needle.len()).any(|window| window == needle.as_bytes()) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[track_caller]
fn assert_clean(what: &str, told: &str) {
    for marker in MARKERS {
        assert!(!told.contains(marker), "{what} tells {marker}: {told:.300}");
    }
}

/// Long enough for pages of its own in the database, with a file whose address is a secret too.
fn body_with(marker: &str) -> Value {
    let content = format!("{marker} {}", "x".repeat(9_000));
    json!({"content": content, "file_url": format!("https://a.example/{marker}")})
}

/// A session with two messages full of secrets, each of them sent, edited and deleted.
struct Secrets {
    /// As REST and the socket answered the first form.
    messages: [Value; 2],
}

impl Secrets {
    /// One over REST, one over the socket; both edited.
    async fn tell(bob: &TestUser, session: &str) -> Self {
        let by_rest = bob.post(&paths::messages(session), body_with(MARKERS[0])).await.expect(201);
        let mut socket = bob.following(session).await;
        let mut send = body_with(MARKERS[1]);
        send["type"] = json!("message.send");
        send["session_id"] = json!(session);
        send["client_id"] = json!("k-1");
        socket.send(&send).await;
        let by_socket = socket.until("message.sent").await["message"].take();
        for (message, marker) in [(&by_rest, MARKERS[2]), (&by_socket, MARKERS[3])] {
            bob.edit(session, message, &format!("{marker} {}", "y".repeat(9_000))).await;
        }
        Self { messages: [by_rest, by_socket] }
    }

    /// The seq before the first.
    fn before(&self) -> u64 {
        number(&self.messages[0]["seq"]) - 1
    }

    async fn delete(&self, user: &TestUser, session: &str) {
        for message in &self.messages {
            user.unsay(session, message).await;
        }
    }

    fn is_end(frame: &Value) -> bool {
        frame["data"]["content"] == "the end" || frame["content"] == "the end"
    }
}

/// Everything that somebody who asks now is told of the session, as one text each.
async fn told_now(user: &TestUser, session: &str, after: u64) -> Vec<(String, String)> {
    let messages = paths::messages(session);
    let mut told = Vec::new();
    for path in [
        messages.clone(),
        format!("{messages}?after=0"),
        format!("{messages}?after={after}"),
        format!("{messages}?before={}&limit=1", after + 2),
        paths::events(session, "after=0"),
        paths::events(session, &format!("after={after}&wait=1")),
        paths::session(session),
        paths::SESSIONS.to_owned(),
    ] {
        let answer = user.get(&path).await;
        assert_eq!(answer.status, 200, "{path}");
        told.push((path, answer.text));
    }
    for after in [0, after, after + 1] {
        let more = format!("&after={after}");
        let v1 = user.v1_on(&format!("&session_id={session}{more}")).await;
        for (name, mut socket) in [("v1", v1), ("plain", user.plain(session, &more).await)] {
            let frames = socket.up_to(Secrets::is_end).await;
            told.push((format!("{name}{more}"), json!(frames).to_string()));
        }
        let path = paths::events(session, &format!("after={after}"));
        let mut stream = user.call("GET", &path).stream().await.expect("open");
        while let Some(event) = stream.next().await {
            told.push((format!("a stream{more}"), event.to_string()));
            if Secrets::is_end(&event) {
                break;
            }
        }
    }
    told
}

#[tokio::test]
async fn what_was_deleted_is_nowhere_when_its_deletion_is_told() {
    let server = TestServer::embedded().await;
    let (ann, bob, eve) =
        (server.user("ann").await, server.user("bob").await, server.user("eve").await);
    let session = ann.create_session_with(&[&bob, &eve]).await;
    bob.say(&session, "before").await;
    // Of all who are there before: one follows, one reads a stream, one has the list alone.
    let mut live = ann.following(&session).await;
    let mut plain = ann.plain(&session, "").await;
    let stream = ann.call("GET", &paths::events(&session, "after=0")).stream();
    let mut stream = stream.await.expect("open");
    let mut list = eve.v1().await;
    let secrets = Secrets::tell(&bob, &session).await;
    let before = secrets.before();
    // What is in the caches of the server is what is to be forgotten: pages, rings, lists.
    bob.say(&session, "the end").await;
    let told = told_now(&ann, &session, before).await;
    assert!(told.iter().any(|(_, text)| text.contains(MARKERS[3])), "the search finds it before");
    for _ in 0..20 {
        bob.say(&session, "after").await;
    }
    assert!(!files_with(&server.data_dir(), MARKERS[0]).is_empty(), "also on disk");

    let deletion = tokio::spawn({
        let (bob, session) = (bob.clone(), session.clone());
        async move { secrets.delete(&bob, &session).await }
    });
    live.until("message.deleted").await;
    let mut last = live.until("message.deleted").await;
    // At the moment when it is told, before anything else happens.
    for marker in MARKERS {
        assert_eq!(files_with(&server.data_dir(), marker), [""; 0], "{marker} on disk");
    }
    deletion.await.expect("both are deleted");
    for (what, text) in told_now(&ann, &session, before).await {
        assert_clean(&what, &text);
    }

    // Who was there hears nothing of it any more, either.
    ann.say(&session, "the end").await;
    let gone = number(&last["seq"]);
    for frame in live.up_to(Secrets::is_end).await {
        assert_clean("live", &frame.to_string());
        last = frame;
    }
    assert!(number(&last["seq"]) > gone);
    while let Some(event) = stream.next().await {
        if number(&event["seq"]) > gone {
            assert_clean("a live stream", &event.to_string());
            break;
        }
    }
    plain.contents_before("the end").await;
    // The list's news are gathered; those that tell of later events must be clean.
    let news = list.up_to(|frame| frame["last_seq"] == last["seq"]).await;
    for frame in news.iter().filter(|frame| frame["last_seq"].as_u64() >= Some(gone)) {
        assert_clean("news", &frame.to_string());
    }
    let mut server = server;
    server.restart().await;
    let ann = server.again(&ann);
    for (what, text) in told_now(&ann, &session, before).await {
        assert_clean(&what, &text);
    }
}

/// Again and again, as it is about what comes first.
#[tokio::test]
async fn the_write_ahead_log_is_cut_before_a_deletion_is_told() {
    let server = TestServer::embedded().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let mut live = ann.following(&session).await;
    for _ in 0..50 {
        let said = ann.say(&session, MARKERS[0]).await;
        let (_, ()) = tokio::join!(ann.unsay(&session, &said), async {
            live.until("message.deleted").await;
            assert_eq!(files_with(&server.data_dir(), MARKERS[0]), [""; 0]);
        });
    }
}

/// A stream by hand, whose kernel takes little.
async fn slow_stream(user: &TestUser, session: &str) -> Raw {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a small buffer");
    let address = user.authority().parse().expect("an address");
    let mut raw = Raw::on(socket.connect(address).await.expect("the server listens"));
    let path = paths::events(session, "after=0");
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
         Accept: text/event-stream\r\n\r\n",
        user.authority(),
        user.token,
    );
    assert!(raw.send(head).await);
    assert_eq!(raw.answer().await.expect("a stream").status, 200);
    raw
}

#[tokio::test]
async fn who_stalled_before_a_deletion_or_an_edit_reads_of_it_afterwards() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let mut plain = slow_socket(&ann, &session, None).await;
    let mut v1 = slow_socket(&ann, &session, Some("assistdeck.v1")).await;
    let stream = slow_stream(&ann, &session).await;
    let long = "x".repeat(LONG);
    for n in 0..FILLING {
        bob.say(&session, &format!("{n} {long}")).await;
    }
    let secrets = Secrets::tell(&bob, &session).await;
    let kept = bob.say(&session, "the first form").await;
    let mut healthy = ann.following(&session).await;
    secrets.delete(&ann, &session).await;
    bob.edit(&session, &kept, "the second form").await;
    bob.say(&session, "the end").await;
    // All of it is delivered by now.
    assert_eq!(healthy.contents_before("the end").await, ["the second form"]);

    let mut told = Vec::new();
    loop {
        let frame = plain.json().await;
        told.push(frame["content"].to_string());
        if Secrets::is_end(&frame) {
            break;
        }
    }
    assert_eq!(told.len(), FILLING + 2, "a deleted message is skipped");
    assert!(told.contains(&json!("the second form").to_string()));
    assert_clean("plain", &told.concat());
    let (mut told, mut deletions) = (String::new(), 0);
    loop {
        let frame = v1.json().await;
        told.push_str(&frame.to_string());
        deletions += usize::from(frame["type"] == "message.deleted");
        if Secrets::is_end(&frame) {
            break;
        }
    }
    assert_eq!(deletions, 6, "creations, edits and deletions, each under its number");
    assert_clean("v1", &told);
    assert!(!told.contains("the first form"), "v1");
    // Its end is the session's, so that all of it can be read.
    ann.delete(&paths::session(&session)).await.expect(200);
    let told = stream.rest().await;
    assert_clean("the stream", &told);
    assert!(!told.contains("the first form"), "the stream");
}

/// A connection that waits for its peer looks at a page long after it was read.
#[tokio::test]
async fn a_page_that_was_read_before_a_deletion_is_not_handed_over_after_it() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let (chat, user) = (server.chat(), ann.id.parse().expect("a user's id"));
    let actor = Actor { user, kind: UserKind::Human };
    for wire in [Wire::Plain, Wire::V1, Wire::Sse] {
        let session = ann.create_session().await;
        let said = ann.say(&session, MARKERS[0]).await;
        let place = Place { inbox: Arc::new(Inbox::new(Identity::of(user))), number: 0, wire };
        let id = session.parse().expect("a session's id");
        let position = Position { after: Some(0), epoch: None };
        let opened = chat.follow(actor, id, position, place).await;
        let (mut follower, _) = opened.expect("it is a member");
        assert_eq!(follower.step(&mut Vec::new(), usize::MAX), Step::Read);
        let mut page = Box::pin(follower.page());
        assert!((&mut page).now_or_never().is_none(), "it has to be read first");
        ann.unsay(&session, &said).await;
        let mut out = Vec::new();
        follower.accept(page.await.expect("it can be read"), &mut out);
        assert_eq!(follower.at(), 2);
        assert_clean("a page", &String::from_utf8_lossy(&out.concat()));
    }
}

#[tokio::test]
async fn after_an_edit_everybody_is_told_the_present_form() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let mut live = ann.following(&session).await;
    // The ring, the pages and the list have the first form before the edit.
    let said = bob.say(&session, MARKERS[0]).await;
    bob.say(&session, "the end").await;
    let after = number(&said["seq"]) - 1;
    let told = told_now(&ann, &session, after).await;
    assert!(told.iter().any(|(_, text)| text.contains(MARKERS[0])));
    bob.edit(&session, &said, "the second form").await;
    live.until("message.updated").await;
    bob.say(&session, "the end").await;
    for (what, text) in told_now(&ann, &session, after).await {
        assert_clean(&what, &text);
    }
    let mut late = late_joiner(&ann, &session, after).await;
    let created = late.until("message.created").await;
    assert_eq!(text(&created["data"]["content"]), "the second form");
}

async fn late_joiner(user: &TestUser, session: &str, after: u64) -> Socket {
    user.v1_on(&format!("&session_id={session}&after={after}")).await
}

#[tokio::test]
async fn a_deleted_session_leaves_no_contents_behind() {
    let mut server = TestServer::embedded().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let secret = "buried-with-the-pharaoh";
    for _ in 0..50 {
        ann.say(&session, &format!("{secret} {}", "x".repeat(3_000))).await;
    }
    ann.delete(&paths::session(&session)).await.expect(200);
    // The purge goes on behind the answer, also across a restart: ask until it is through.
    let began = std::time::Instant::now();
    while !files_with(&server.data_dir(), secret).is_empty() {
        assert!(began.elapsed().as_secs() < 20, "it is purged in the end");
        server.restart().await;
        let ann = server.again(&ann);
        ann.create_session().await;
    }
}
