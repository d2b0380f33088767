//! The history of a session, page by page in both directions.

use serde_json::{Value, json};

use crate::support::{TestServer, TestUser, each, number, paths, text};

/// A session with messages at every other number.
async fn told(ann: &TestUser, count: usize) -> String {
    let session = ann.create_session().await;
    for n in 0..count {
        ann.say(&session, &format!("message {n}")).await;
        ann.patch(&paths::session(&session), json!({"title": format!("{n}")})).await.expect(200);
    }
    session
}

/// All pages from a path along the links of one relation.
async fn walk(user: &TestUser, path: String, relation: &str) -> Vec<Vec<Value>> {
    let (mut next, mut pages) = (Some(path), Vec::new());
    while let Some(path) = next {
        let answer = user.get(&path).await;
        next = answer.link(relation);
        pages.push(answer.list());
    }
    pages
}

fn seqs(messages: &[Value]) -> Vec<u64> {
    messages.iter().map(|message| number(&message["seq"])).collect()
}

#[tokio::test]
async fn the_newest_come_ascending_unless_after_is_given() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = told(&ann, 6).await;
    let get = async |query: &str| {
        seqs(&ann.get(&format!("{}?{query}", paths::messages(&session))).await.list())
    };
    assert_eq!(get("").await, [1, 3, 5, 7, 9, 11]);
    assert_eq!(get("limit=2").await, [9, 11]);
    assert_eq!(get("limit=2&before=9").await, [5, 7]);
    assert_eq!(get("limit=2&before=10").await, [7, 9]);
    assert_eq!(get("limit=2&before=999").await, [9, 11]);
    assert_eq!(get("limit=2&after=0").await, [1, 3]);
    assert_eq!(get("limit=2&after=3").await, [5, 7]);
    assert_eq!(get("limit=2&after=4").await, [5, 7]);
    assert_eq!(get("after=3&before=9").await, [5, 7]);
    assert_eq!(get("after=3&before=9&limit=1").await, [5]);
    for none in
        ["after=11", "after=999", "before=1", "before=0", "after=5&before=5", "after=9&before=3"]
    {
        assert_eq!(get(none).await, [0; 0], "{none}");
    }
}

#[tokio::test]
async fn a_page_has_100_unless_said() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    for n in 0..102 {
        ann.say(&session, &format!("{n}")).await;
    }
    let path = paths::messages(&session);
    assert_eq!(seqs(&ann.get(&path).await.list()), (3..=102).collect::<Vec<_>>());
    let first = ann.get(&format!("{path}?after=0")).await;
    assert_eq!(seqs(&first.list()), (1..=100).collect::<Vec<_>>());
}

#[tokio::test]
async fn links_lead_through_the_whole_history_in_both_directions() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = told(&ann, 7).await;
    let whole = ann.history(&session).await;
    let path = paths::messages(&session);
    for limit in [1, 2, 3, 6, 7, 8] {
        let back = walk(&ann, format!("{path}?limit={limit}"), "prev").await;
        assert_eq!(back.iter().rev().flatten().cloned().collect::<Vec<_>>(), whole, "{limit}");
        let forth = walk(&ann, format!("{path}?limit={limit}&after=0"), "next").await;
        assert_eq!(forth.concat(), whole, "{limit}");
    }
    let newest = ann.get(&format!("{path}?limit=3")).await;
    assert_eq!(newest.link("next"), None, "nothing is newer");
    let first = ann.get(&format!("{path}?limit=3&after=0")).await;
    assert_eq!(first.link("prev"), None, "nothing is older");
    let middle = ann.get(&format!("{path}?limit=2&after=3")).await;
    let (prev, next) = (middle.link("prev"), middle.link("next"));
    assert_eq!(seqs(&ann.get(&prev.expect("older ones")).await.list()), [1, 3]);
    assert_eq!(seqs(&ann.get(&next.expect("newer ones")).await.list()), [9, 11]);
}

#[tokio::test]
async fn links_lead_back_from_a_page_beyond_the_history() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = told(&ann, 7).await;
    let whole = ann.history(&session).await;
    let (first, last) = (number(&whole[0]["seq"]), number(&whole[6]["seq"]));
    let path = paths::messages(&session);
    for (query, relation, found) in [
        (format!("limit=2&before={first}"), "next", &whole[..2]),
        (format!("limit=2&after={last}"), "prev", &whole[5..]),
    ] {
        let empty = ann.get(&format!("{path}?{query}")).await;
        let way = empty.link(relation).expect("there is more");
        assert_eq!(empty.list(), [json!(null); 0], "{query}");
        assert_eq!(ann.get(&way).await.list(), found);
    }
    for query in ["before=0".to_owned(), "after=0".to_owned(), format!("before={first}&after=0")] {
        let session = ann.create_session().await;
        let empty = ann.get(&format!("{}?{query}", paths::messages(&session))).await;
        assert_eq!((empty.link("prev"), empty.link("next")), (None, None), "{query}");
    }
}

#[tokio::test]
async fn a_page_ends_at_256_kib_but_has_one_message_at_least() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let long = "x".repeat(65_536);
    for _ in 0..6 {
        ann.say(&session, &long).await;
    }
    ann.say(&session, "short").await;
    let whole: u64 = 7;
    let path = paths::messages(&session);
    for (start, relation) in [("limit=1000&after=0", "next"), ("limit=1000", "prev")] {
        let pages = walk(&ann, format!("{path}?{start}"), relation).await;
        assert!(pages.len() > 1, "it ended early");
        for page in &pages {
            let bytes: usize = page.iter().map(|message| text(&message["content"]).len()).sum();
            assert!(!page.is_empty() && bytes <= 262_144, "{bytes}");
            assert!(page.len() >= 3, "pages are as full as they may be");
        }
        let mut found: Vec<u64> = pages.iter().flat_map(|page| seqs(page)).collect();
        found.sort_unstable();
        assert_eq!(found, (1..=whole).collect::<Vec<_>>());
    }
    let events = ann.get(&paths::events(&session, "after=0&limit=1000")).await.expect(200);
    let events = events["events"].as_array().expect("an array");
    assert!((3..=4).contains(&events.len()), "{}", events.len());
}

#[tokio::test]
async fn deleted_messages_are_in_no_page() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let mut said = Vec::new();
    for n in 0..6 {
        said.push(ann.say(&session, &format!("{n}")).await);
    }
    for n in [0, 2, 5] {
        ann.unsay(&session, &said[n]).await;
    }
    let path = paths::messages(&session);
    let back = walk(&ann, format!("{path}?limit=1"), "prev").await.concat();
    assert_eq!(each(&back, "content"), ["4", "3", "1"]);
    let forth = walk(&ann, format!("{path}?limit=1&after=0"), "next").await.concat();
    assert_eq!(each(&forth, "content"), ["1", "3", "4"]);
}

#[tokio::test]
async fn bounds_of_pages_are_told() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.create_session().await;
    let (messages, events) = (paths::messages(&session), paths::events(&session, ""));
    for base in [format!("{messages}?"), events.clone()] {
        for bad in [
            "limit=0",
            "limit=1001",
            "limit=x",
            "limit=",
            "limit=1&limit=2",
            "after=-1",
            "after=x",
            "after=",
            "after=1.5",
            "after=0x1",
            "after=%2B1",
            "after=99999999999999999999",
            "after=0&after=0",
        ] {
            let answer = ann.get(&format!("{base}{bad}")).await;
            assert_eq!(answer.error(400), "invalid_query", "{base}{bad}");
        }
    }
    for bad in ["before=-1", "before=x", "before=1&before=2"] {
        assert_eq!(ann.get(&format!("{messages}?{bad}")).await.error(400), "invalid_query");
    }
    for bad in ["wait=-1", "wait=x", "wait=1&wait=1", "wait=1.5"] {
        assert_eq!(ann.get(&format!("{events}{bad}")).await.error(400), "invalid_query");
    }
}
