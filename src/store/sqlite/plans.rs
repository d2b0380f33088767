//! How SQLite goes about our statements: along an index, never through a whole table, and
//! without sorting what an index has in order.

use rusqlite::Connection;

use crate::store::sqlite::{chores, log, messages, participants, sessions};

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
