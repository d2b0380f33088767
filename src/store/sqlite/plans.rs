//! How SQLite goes about our statements: along an index, never through a whole table, and
//! without sorting what an index has in order; and how few statements a batch of messages takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use protocol::{MessageId, ParticipantId, Session, SessionId, Timestamp, UserId, UserKind};
use rusqlite::Connection;
use rusqlite::trace::{TraceEvent, TraceEventCodes};

use crate::store::sqlite::batch::Batch;
use crate::store::sqlite::hot::Hot;
use crate::store::sqlite::known::Known;
use crate::store::sqlite::{accounts, chores, log, messages, participants, sessions};
use crate::store::{Action, Append, Draft, NewAccount};

fn schema() -> Connection {
    let connection = Connection::open_in_memory().expect("a database in memory");
    connection
        .execute_batch(include_str!("../../../migrations/sqlite/0001_the_log.sql"))
        .expect("the schema is SQL");
    connection
}

fn plan(sql: &str) -> String {
    let connection = schema();
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect(sql);
    let count = statement.parameter_count();
    let steps = statement
        .query_map(rusqlite::params_from_iter(vec![0; count]), |row| row.get::<_, String>(3))
        .expect(sql);
    steps.collect::<rusqlite::Result<Vec<_>>>().expect(sql).join("\n")
}

#[test]
fn pages_follow_one_index_and_sort_nothing() {
    let columns = messages::COLUMNS;
    for sql in [
        format!("SELECT {columns} FROM messages m {}", log::MESSAGES_SQL),
        format!("SELECT {columns} FROM messages m {} ASC", log::LIVE_SQL),
        format!("SELECT {columns} FROM messages m {} DESC", log::LIVE_SQL),
        log::EVENTS_SQL.to_owned(),
        format!("SELECT m.id {}", participants::IN_ORDER),
        sessions::DELETED_ABOVE.to_owned(),
        chores::NEXT_PURGE.to_owned(),
        chores::NEXT_TO_WIPE.to_owned(),
    ] {
        let plan = plan(&sql);
        assert!(plan.contains("SEARCH") || plan.contains("USING INDEX"), "{sql}\n{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
        for step in plan.lines().filter(|step| step.starts_with("SCAN")) {
            // Its few rows are all that the partial index has.
            assert!(step.ends_with("USING INDEX sessions_to_purge"), "{sql}\n{plan}");
        }
    }
}

#[test]
fn a_list_of_sessions_sorts_no_more_than_its_users_own() {
    let plan = plan(&format!("SELECT s.id {}", sessions::LISTED_FROM));
    assert!(!plan.contains("SCAN"), "{plan}");
    assert!(
        plan.contains("SEARCH m USING COVERING INDEX members_by_user")
            || plan.contains("SEARCH m USING INDEX members_by_user"),
        "{plan}"
    );
}

/// A session of so many members, of whom the first one is the owner.
fn talk(connection: &Connection, members: usize) -> (UserId, SessionId) {
    let (owner, id, at) = (UserId::new(), SessionId::new(), Timestamp(1));
    for number in 0..members {
        let user = if number == 0 { owner } else { UserId::new() };
        let (name, kind) = ("n".to_owned(), UserKind::Human);
        let email = format!("{user}@example.org");
        let new = NewAccount { id: user, name, email, kind, password_hash: None, at };
        accounts::create(connection, new).expect("a new account");
        if number == 0 {
            let new = Session {
                id,
                user_id: owner,
                title: "t".to_owned(),
                created_at: at,
                updated_at: at,
                last_seq: 0,
                epoch: String::new(),
                is_owner: None,
            };
            sessions::create(connection, new).expect("a new session");
        } else {
            let mut hot = Hot::prepare(connection).expect("the statements are SQL");
            let mut known = Known::load(connection).expect("the store is read");
            let action = Action::AddParticipant { id: ParticipantId::new(), user };
            let append = Append { session: id, actor: owner, at, action };
            in_transaction(&mut hot, &mut known, [append]);
        }
    }
    (owner, id)
}

fn in_transaction<'c>(
    hot: &mut Hot<'c>,
    known: &mut Known,
    appends: impl IntoIterator<Item = Append>,
) {
    hot.begin.execute([]).expect("a transaction begins");
    let (events, deleted) = (Vec::new(), false);
    let mut batch = Batch { hot: &mut *hot, known: &mut *known, epoch: "e", events, deleted };
    for append in appends {
        batch.append(append).expect("it is appended");
    }
    known.flush(hot).expect("the batch is written");
    hot.commit.execute([]).expect("it is committed");
}

/// So many messages of the owner; none has a `client_id` that was there before.
fn messages(owner: UserId, session: SessionId, count: usize) -> Vec<Append> {
    let message = |_| {
        let id = MessageId::new();
        let draft = Draft {
            id,
            content: "x".to_owned(),
            file_url: None,
            is_ai_message: false,
            client_id: Some(id.to_string()),
            request_hash: [0; 16],
        };
        Append { session, actor: owner, at: Timestamp(1), action: Action::Send { draft } }
    };
    (0..count).map(message).collect()
}

#[test]
fn a_batch_writes_each_row_once_however_many_messages_it_has() {
    let connection = schema();
    let (owner, session) = talk(&connection, 1);
    let mut hot = Hot::prepare(&connection).expect("the statements are SQL");
    let mut known = Known::load(&connection).expect("an empty store");
    let before = connection.total_changes();
    in_transaction(&mut hot, &mut known, messages(owner, session, 100));
    // A hundred messages, their session, and their sender's mark.
    assert_eq!(connection.total_changes() - before, 102);
    let events: i64 = connection
        .query_row("SELECT count(*) FROM events", [], |row| row.get(0))
        .expect("events are counted");
    assert_eq!(events, 0, "a message is its own event");
}

#[test]
fn a_message_is_two_statements_a_batch_four_and_a_member_none() {
    for members in [1, 40] {
        let mut connection = schema();
        let run = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&run);
        let count = move |_: TraceEvent<'_>| {
            counted.fetch_add(1, Ordering::Relaxed);
        };
        connection
            .trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(count))
            .expect("statements can be traced");
        let (owner, session) = talk(&connection, members);
        let mut hot = Hot::prepare(&connection).expect("the statements are SQL");
        let mut known = Known::load(&connection).expect("the store is read");
        let mut statements = |messages| {
            run.store(0, Ordering::Relaxed);
            in_transaction(&mut hot, &mut known, messages);
            run.load(Ordering::Relaxed)
        };
        // Its session and its sender are looked up once.
        assert_eq!(statements(messages(owner, session, 1)), 2 + 2 + 4, "{members} members");
        for count in [1, 10, 100] {
            // Each asks for its client_id and is inserted. Beside them: BEGIN, the session's row,
            // the sender's mark, COMMIT.
            let made = statements(messages(owner, session, count));
            assert_eq!(made, 2 * count + 4, "{count} messages, {members} members");
        }
    }
}
