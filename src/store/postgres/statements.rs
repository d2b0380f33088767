//! What every hot statement must be like: it works on sessions by their `session_id`, and on
//! nothing else, so that the tables can be sharded by it.

use crate::store::postgres::{batch, chores, hot, log, messages, participants, sessions};

/// The tables that belong to sessions.
const TABLES: &[&str] = &["sessions", "members", "messages", "events"];

fn statements() -> Vec<String> {
    let row = |tail: &str| format!("SELECT {} FROM messages m {tail}", messages::COLUMNS);
    vec![
        hot::LOCK_SQL.to_owned(),
        hot::MEMBERS_SQL.to_owned(),
        hot::CLIENT_IDS_SQL.to_owned(),
        hot::WRITE_SQL.to_owned(),
        row(messages::FIND_SQL),
        row(messages::AT_SQL),
        messages::EDIT_SQL.to_owned(),
        messages::WIPE_SQL.to_owned(),
        messages::LIVE_BEFORE_SQL.to_owned(),
        messages::ORDINAL_SQL.to_owned(),
        batch::ADD_SQL.to_owned(),
        batch::REMOVE_SQL.to_owned(),
        batch::COUNT_SQL.to_owned(),
        batch::RENAME_SQL.to_owned(),
        batch::DELETE_SQL.to_owned(),
        batch::EVENT_SQL.to_owned(),
        format!("SELECT {} FROM sessions s {}", sessions::COLUMNS, sessions::ACCESS_SQL),
        sessions::HEADS_SQL.to_owned(),
        participants::IN_ORDER.to_owned(),
        log::PAGE_SQL.clone(),
        log::messages_sql("ASC"),
        log::messages_sql("DESC"),
        log::MESSAGE_SQL.clone(),
        chores::CONTENTS_SQL[0].to_owned(),
        chores::CONTENTS_SQL[1].to_owned(),
        chores::MEMBERS_SQL.to_owned(),
        chores::DONE_SQL.to_owned(),
    ]
}

/// The sources of everything that speaks to the database about sessions.
const SOURCES: &[&str] = &[
    include_str!("accounts.rs"),
    include_str!("batch.rs"),
    include_str!("chores.rs"),
    include_str!("gathered.rs"),
    include_str!("hot.rs"),
    include_str!("log.rs"),
    include_str!("messages.rs"),
    include_str!("participants.rs"),
    include_str!("sessions.rs"),
    include_str!("tokens.rs"),
];

/// What asks all shards, by what it begins with: the search for a deleted session to purge, every
/// 15 s, and the list of a user's sessions.
const ACROSS: &[&str] = &["SELECT session_id, purged FROM sessions WHERE deleted_at"];

/// How many of these tables a statement works on, and how often it names the session.
fn counts(sql: &str) -> (usize, usize) {
    let words: Vec<&str> = sql
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .collect();
    let tables = words.windows(2).filter(|pair| {
        ["FROM", "JOIN", "UPDATE", "INTO"].contains(&pair[0]) && TABLES.contains(&pair[1])
    });
    (tables.count(), words.iter().filter(|word| **word == "session_id").count())
}

/// The texts in quotes of a source, its comments left out.
fn texts(source: &str) -> Vec<String> {
    let code: String = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let code = code.replace("'\"'", "").replace("\\\"", "");
    let texts = code.split('"').skip(1).step_by(2);
    texts.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn every_hot_statement_carries_the_session_for_each_table_it_touches() {
    for sql in statements() {
        let (tables, named) = counts(&sql);
        assert!(tables > 0 && named >= tables, "{named} of {tables}: {sql}");
    }
}

#[test]
fn no_other_statement_touches_rows_of_sessions_without_naming_the_session() {
    let mut found = 0;
    for text in SOURCES.iter().flat_map(|source| texts(source)) {
        let sql = text
            .replace("{AT_SQL}", messages::AT_SQL)
            .replace("{FIND_SQL}", messages::FIND_SQL)
            .replace("{ACCESS_SQL}", sessions::ACCESS_SQL);
        let (tables, named) = counts(&sql);
        found += usize::from(tables > 0);
        let is_across = ACROSS.iter().any(|begin| sql.starts_with(begin));
        assert!(named >= tables || is_across, "{named} of {tables}: {sql}");
    }
    // Fewer: the sources are not read as they should be.
    assert!(found >= 25, "{found} statements are found");
}

#[test]
fn nothing_that_an_append_changes_is_indexed() {
    let schema = include_str!("../../../migrations/postgres/0001_the_log.sql");
    for index in schema.lines().filter(|line| line.contains("INDEX") || line.contains("WHERE")) {
        for column in ["updated_at", "last_seq", "message_count", "last_live_seq", "read_"] {
            assert!(!index.contains(column), "{index}");
        }
    }
}
