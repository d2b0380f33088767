//! The server stops in good order, and goes on where it was.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::frames::{self, CLOSE, LAST, TEXT};
use crate::support::{Raw, RawSocket, TestServer, number, paths, text};

#[tokio::test]
async fn sockets_are_told_to_come_back_and_streams_end() {
    let mut server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let (plain, v1) = (ann.plain(&session, "").await, ann.v1().await);
    let bound = bob.v1_on(&format!("&session_id={session}&after=0")).await;
    let path = paths::events(&session, "after=0");
    let mut stream = bob.call("GET", &path).stream().await.expect("it opens");
    assert_eq!(stream.next().await.expect("an event")["type"], "participant.added");
    let waiting = paths::events(&session, "after=1&wait=30");
    let idle = server.raw().await;
    let began = Instant::now();
    let (page, (), codes, told) = tokio::join!(
        ann.get(&waiting),
        async {
            // The page is waited for by now: it came before this call.
            ann.get(&paths::session(&session)).await.expect(200);
            server.stop().await;
        },
        join_all([plain.closed(), v1.closed(), bound.closed()]),
        stream.rest(),
    );
    assert!(codes.iter().all(|code| matches!(code, 1001 | 1012)), "{codes:?}");
    assert_eq!(page.expect(200)["events"], json!([]), "with what there is");
    assert_eq!(told, [json!(null); 0], "nothing comes behind");
    assert!(began.elapsed() < Duration::from_secs(4), "it waits for nobody who went");
    assert_eq!(idle.rest().await, "");
    let refused = tokio::net::TcpStream::connect(ann.authority()).await;
    assert!(refused.is_err(), "nobody listens any more");
}

/// A handshake that is under way while all others are told: whoever is let in is told as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_comes_at_the_moment_of_the_stop_is_told_too() {
    let mut let_in = 0;
    for _ in 0..12 {
        let mut server = TestServer::start().await;
        let ann = server.user("ann").await;
        let session = ann.create_session().await;
        let raws = join_all((0..40).map(|_| server.raw())).await;
        let coming = raws.into_iter().map(async |mut raw| {
            raw.send(frames::head(&ann, &session, None)).await;
            match raw.answer().await {
                Some(answer) if answer.status == 101 => Some(RawSocket(raw).closed().await),
                _ => None,
            }
        });
        let (codes, ()) = tokio::join!(join_all(coming), async {
            tokio::task::yield_now().await;
            server.stop().await;
        });
        let codes: Vec<u16> = codes.into_iter().flatten().collect();
        let_in += codes.len();
        assert!(codes.iter().all(|code| *code == 1001), "{codes:?}");
    }
    assert!(let_in > 0, "nobody came in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sends_that_were_taken_are_answered_and_stored() {
    for round in 0..4 {
        let mut server = TestServer::start().await;
        let ann = server.user("ann").await;
        let session = ann.create_session().await;
        let mut socket = RawSocket::open(&ann, &session, Some("assistdeck.v1")).await;
        let texts: Vec<_> = (0..400)
            .map(|n| {
                let id = n.to_string();
                json!({
                    "type": "message.send", "session_id": session, "client_id": id, "content": id,
                })
                .to_string()
            })
            .collect();
        socket.texts(&texts).await;
        let mut answered: Vec<Value> = Vec::new();
        // At some point in the midst of it.
        while answered.len() < 1 + 40 * round {
            let frame = socket.json().await;
            if frame["type"] == "message.sent" {
                answered.push(frame["message"].clone());
            }
        }
        let rest = async move {
            let mut rest = Vec::new();
            while let Some((opcode, payload)) = socket.next().await {
                match opcode {
                    TEXT => rest.push(serde_json::from_slice::<Value>(&payload).expect("JSON")),
                    CLOSE => {
                        assert_eq!(u16::from_be_bytes([payload[0], payload[1]]), 1001);
                        socket.frame(LAST | CLOSE, &payload).await;
                    }
                    _ => {}
                }
            }
            rest
        };
        let ((), rest) = tokio::join!(server.restart(), rest);
        let sent = rest.iter().filter(|frame| frame["type"] == "message.sent");
        answered.extend(sent.map(|frame| frame["message"].clone()));
        let stored = server.again(&ann).history(&session).await;
        assert_eq!(stored, answered, "round {round}: what was taken was answered, and is there");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_under_way_are_answered() {
    for round in 0..4 {
        let mut server = TestServer::start().await;
        let ann = server.user("ann").await;
        let session = ann.create_session().await;
        let mut calls: Vec<Raw> = join_all((0..20).map(|_| Raw::open(ann.authority()))).await;
        for (n, raw) in calls.iter_mut().enumerate() {
            let body = json!({"content": n.to_string()}).to_string();
            raw.send(format!(
                "POST {} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                paths::messages(&session),
                ann.token,
                body.len(),
            ))
            .await;
        }
        for raw in calls.iter_mut().take(5 * round) {
            raw.answer().await.expect("an answer").expect(201);
        }
        let rest = join_all(calls.iter_mut().skip(5 * round).map(Raw::answer));
        let ((), rest) = tokio::join!(server.restart(), rest);
        let created = rest.iter().flatten().filter(|answer| answer.status == 201).count();
        assert!(rest.iter().flatten().all(|answer| matches!(answer.status, 201 | 503)));
        let stored = server.again(&ann).history(&session).await;
        assert_eq!(stored.len(), created + 5 * round, "round {round}");
    }
}

#[tokio::test]
async fn a_peer_that_does_not_go_is_waited_for_no_longer_than_the_drain() {
    let mut server = TestServer::with(|config| config.drain_seconds = 1).await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let _deaf = [
        RawSocket::open(&ann, &session, None).await,
        RawSocket::open(&ann, &session, Some("assistdeck.v1")).await,
    ];
    let mut half = server.raw().await;
    half.send("POST /api/login HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n").await;
    let began = Instant::now();
    server.stop().await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn after_a_restart_everything_goes_on() {
    let mut server = TestServer::start().await;
    let (ann, bob) =
        (server.register("ann", "correct horse battery").await, server.user("bob").await);
    let session = ann.create_session_with(&[&bob]).await;
    let said = ann.say(&session, "before").await;
    let shown = ann.get(&paths::session(&session)).await.expect(200);
    let mut have = 0;
    for round in 0..3 {
        server.restart().await;
        let (ann, bob) = (server.again(&ann), server.again(&bob));
        assert_eq!(ann.get(&paths::session(&session)).await.expect(200)["epoch"], shown["epoch"]);
        assert_eq!(bob.history(&session).await[0], said);
        let more = format!("&after={have}&epoch={}", text(&shown["epoch"]));
        let mut socket = bob.plain(&session, &more).await;
        let next = ann.say(&session, &format!("round {round}")).await;
        assert_eq!(number(&next["seq"]), 3 + round);
        let before = socket.contents_before(&format!("round {round}")).await;
        assert_eq!(before, if round == 0 { vec!["before"] } else { vec![] });
        have = number(&next["seq"]);
        assert_eq!(socket.close().await, 1000);
    }
}
