//! What was deleted is in no file of the store any more.

use std::collections::BTreeSet;
use std::path::Path;

use assistdeck::store::{Action, Draft};
use protocol::{MessageId, SessionId};
use rusqlite::Connection;

use super::world;
use crate::store::world::{draft, event, until};
use crate::support::Dice;

/// Which of these texts the files of the folder hold. Reads in another process: closing a file
/// here would drop the locks that SQLite holds on it for this one.
fn found_in_the_files(dir: &Path, texts: &[String]) -> BTreeSet<String> {
    let mut grep = std::process::Command::new("grep");
    grep.args(["-rhoaF"]);
    texts.iter().for_each(|text| {
        grep.args(["-e", text]);
    });
    let found = grep.arg(dir).output().expect("grep runs").stdout;
    String::from_utf8_lossy(&found).lines().map(str::to_owned).collect()
}

fn is_in_the_files(dir: &Path, text: &str) -> bool {
    !found_in_the_files(dir, &[text.to_owned()]).is_empty()
}

#[tokio::test]
async fn a_deleted_message_is_in_no_file_when_the_sink_hears_of_it() {
    let (world, dir) = world().await;
    let mut dice = Dice::new(1);
    let owner = world.user().await;
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(world.session(owner).await);
    }
    let mut sent: Vec<(SessionId, MessageId, Vec<String>)> = Vec::new();
    let mut pending = Vec::new();
    for n in 0..2_000 {
        let session = sessions[dice.index(sessions.len())];
        let bytes = [30, 200, 900, 5_000][dice.index(4)];
        let marker = |n: usize, edit: usize| format!("<marker {n} {edit}>");
        let content = |edit| format!("{0}{1}{0}", marker(n, edit), "x".repeat(bytes * (edit + 1)));
        let file_url = Some(format!("https://example.org/{}", marker(n, 9)));
        let draft = Draft { file_url, ..draft(&content(0)) };
        let message = draft.id;
        pending.push(world.submit(session, owner, Action::Send { draft }).await);
        let mut markers = vec![marker(n, 0), marker(n, 9)];
        for edit in 1..1 + dice.index(3) * dice.index(2) {
            let edited = Action::Edit { message, content: content(edit) };
            pending.push(world.submit(session, owner, edited).await);
            markers.push(marker(n, edit));
        }
        sent.push((session, message, markers));
    }
    for pending in pending {
        event(pending.await.unwrap());
    }
    let mut gone = Vec::new();
    for _ in 0..20 {
        let mut pending = Vec::new();
        let (mut going, mut last, mut deletions) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..10 {
            let (session, message, markers) = sent.swap_remove(dice.index(sent.len()));
            last.push(markers[markers.len() - 1].clone());
            deletions.push((session, message));
            going.extend(markers);
        }
        let present = found_in_the_files(&dir, &last);
        assert_eq!(present, last.into_iter().collect(), "they are there before");
        for (session, message) in deletions {
            pending.push(world.submit(session, owner, Action::Delete { message }).await);
        }
        for pending in pending {
            event(pending.await.unwrap());
        }
        gone.extend(going);
        assert_eq!(found_in_the_files(&dir, &gone), BTreeSet::new(), "they are still there");
    }
}

/// The bytes of all rows of a table, as they lie in its pages.
fn row_bytes(dir: &Path, table: &str) -> i64 {
    let database = Connection::open(dir.join("assistdeck.db")).unwrap();
    let sql = "SELECT sum(payload) FROM dbstat WHERE name = ?1";
    database.query_row(sql, [table], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn nothing_that_is_done_to_a_message_changes_the_size_of_its_row() {
    let (world, dir) = world().await;
    let (session, owner, _) = world.shared_session().await;
    let mut messages = Vec::new();
    for content in ["short", "twelve bytes", "größer", &"long".repeat(9_000)] {
        let file_url = Some(format!("https://example.org/{}", content.len()));
        let client_id = Some(content.chars().take(60).collect());
        let draft = Draft { file_url, client_id, ..draft(content) };
        messages.push(draft.id);
        event(world.append(session, owner, Action::Send { draft }).await);
        world.send(session, owner, content).await;
    }
    let size = row_bytes(&dir, "messages");
    for &message in &messages {
        let content = "edited".to_owned();
        event(world.append(session, owner, Action::Edit { message, content }).await);
    }
    assert_eq!(row_bytes(&dir, "messages"), size, "after the edits");
    let edits = row_bytes(&dir, "edits");
    for &message in &messages[1..] {
        world.delete(session, owner, message).await;
    }
    assert_eq!(row_bytes(&dir, "messages"), size, "after the deletions");
    event(world.append(session, owner, Action::DeleteSession).await);
    until("the session is purged", async || {
        world.store.member_ids(session).await.unwrap().is_empty()
    })
    .await;
    assert_eq!(row_bytes(&dir, "messages"), size, "after the purge");
    assert_eq!(row_bytes(&dir, "edits"), edits);
}

#[tokio::test]
async fn a_purged_session_leaves_no_contents_and_its_neighbours_none_when_deleted() {
    let (world, dir) = world().await;
    let (purged, owner, _) = world.shared_session().await;
    let kept = world.session(owner).await;
    let mut neighbours = Vec::new();
    let mut pending = Vec::new();
    for n in 0..600 {
        let name = format!("<going {n}>");
        let going = Draft {
            file_url: Some(format!("https://example.org/{name}")),
            client_id: Some(name.clone()),
            ..draft(&name.repeat(1 + n % 9 * 70))
        };
        let message = going.id;
        pending.push(world.submit(purged, owner, Action::Send { draft: going }).await);
        if n % 5 == 0 {
            let content = name.repeat(3);
            let edit = Action::Edit { message, content };
            pending.push(world.submit(purged, owner, edit).await);
        }
        let draft = draft(&format!("<staying {n}>").repeat(9));
        neighbours.push(draft.id);
        pending.push(world.submit(kept, owner, Action::Send { draft }).await);
    }
    for pending in pending {
        event(pending.await.unwrap());
    }
    event(world.append(purged, owner, Action::DeleteSession).await);
    until("the session is purged", async || !is_in_the_files(&dir, "<going ")).await;
    assert!(is_in_the_files(&dir, "<staying 7>"));
    let mut pending_deletions = Vec::new();
    for message in neighbours {
        pending_deletions.push(world.submit(kept, owner, Action::Delete { message }).await);
    }
    for pending in pending_deletions {
        event(pending.await.unwrap());
    }
    assert!(!is_in_the_files(&dir, "<staying "));
}
