-- The first schema.
--
-- Ids are UUIDs of 16 bytes, times microseconds since 1970. A session has a small number `num`
-- of its own, and an event's `place` is `num << 32 | seq`: one integer that sorts by session and
-- then by seq. The log of a session is the range of its places in `messages` and `events`.
--
-- `messages` and `edits` are written in the order of arrival; a row there never changes its size
-- and is never removed: a deletion overwrites the content in place. So the pages that hold
-- contents are never split or merged, which would leave copies of contents behind in their unused
-- parts. A backup leaves the wiped rows out.

-- epoch · store_id · copy (present in a backup) · probe
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID, STRICT;

CREATE TABLE users (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL,
    email TEXT NOT NULL,
    -- Lowercase: what "the same email" means.
    email_key TEXT NOT NULL UNIQUE,
    -- 1 human, 2 agent
    kind INTEGER NOT NULL,
    password_hash TEXT,
    disabled INTEGER NOT NULL DEFAULT 0,
    tokens_valid_from_ms INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

-- One of user_id (with issued_before_ms) and token_id is there.
CREATE TABLE revocations (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id BLOB,
    issued_before_ms INTEGER,
    token_id BLOB,
    at INTEGER NOT NULL
) STRICT;

CREATE INDEX revoked_tokens ON revocations (token_id) WHERE token_id IS NOT NULL;

CREATE TABLE tickets (
    hash BLOB PRIMARY KEY,
    user_id BLOB NOT NULL,
    token_id BLOB,
    token_issued_ms INTEGER NOT NULL,
    token_expires INTEGER NOT NULL,
    expires INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

CREATE INDEX tickets_by_end ON tickets (expires);

-- A deleted session keeps its row: its number and id are never given again.
CREATE TABLE sessions (
    num INTEGER PRIMARY KEY CHECK (num BETWEEN 1 AND 2147483647),
    id BLOB NOT NULL UNIQUE,
    owner_id BLOB NOT NULL REFERENCES users (id),
    title TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    -- Of the last event.
    updated_at INTEGER NOT NULL,
    last_seq INTEGER NOT NULL DEFAULT 0,
    -- Messages ever created, also deleted ones.
    message_count INTEGER NOT NULL DEFAULT 0,
    -- Of the last message that is not deleted; 0 when there is none.
    last_live_seq INTEGER NOT NULL DEFAULT 0,
    member_count INTEGER NOT NULL DEFAULT 1,
    deleted_at INTEGER,
    -- After the deletion: how far the messages are wiped; 1 when the contents are gone, 2 when
    -- the members are too.
    purged_place INTEGER NOT NULL DEFAULT 0,
    purged INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX sessions_to_purge ON sessions (num) WHERE deleted_at IS NOT NULL AND purged < 2;

CREATE TABLE members (
    session INTEGER NOT NULL REFERENCES sessions (num),
    user_id BLOB NOT NULL REFERENCES users (id),
    -- The owner's is the session's.
    id BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    is_owner INTEGER NOT NULL,
    -- The read mark, and how many messages were ever created up to it.
    read_seq INTEGER NOT NULL,
    read_count INTEGER NOT NULL,
    PRIMARY KEY (session, user_id)
) WITHOUT ROWID, STRICT;

CREATE INDEX members_by_user ON members (user_id);
CREATE INDEX members_in_order ON members (session, is_owner, created_at, id);
CREATE UNIQUE INDEX member_ids ON members (id);

CREATE TABLE messages (
    -- Counts arrivals in the whole store.
    number INTEGER PRIMARY KEY,
    place INTEGER NOT NULL,
    -- Counts the messages of the session.
    ordinal INTEGER NOT NULL,
    -- 2 as sent, 3 edited (the content is in `edits`), 4 deleted, 5 of a deleted session and
    -- wiped: all of one size.
    state INTEGER NOT NULL,
    is_ai INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    id BLOB NOT NULL,
    sender_id BLOB NOT NULL,
    client_id TEXT,
    request_hash BLOB,
    file_url TEXT,
    content TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX message_places ON messages (place);
CREATE UNIQUE INDEX message_ids ON messages (id);
CREATE INDEX deleted_messages ON messages (place) WHERE state = 4;

-- Which messages may have a client_id: by 64 bits of the hash of (session, sender, client_id).
-- Filled in slices of the hashes' range; the newest messages are not in it yet.
CREATE TABLE client_ids (
    hash INTEGER NOT NULL,
    -- messages.number
    message INTEGER NOT NULL,
    PRIMARY KEY (hash, message)
) WITHOUT ROWID, STRICT;

-- Up to which messages.number each slice is in `client_ids`.
CREATE TABLE client_id_slices (
    slice INTEGER PRIMARY KEY,
    through INTEGER NOT NULL
) STRICT;

CREATE TABLE edits (
    number INTEGER PRIMARY KEY,
    message INTEGER NOT NULL,
    edited_at INTEGER NOT NULL,
    content TEXT NOT NULL
) STRICT;

CREATE INDEX edits_of_message ON edits (message);

-- Every event that is not the creation of a message.
CREATE TABLE events (
    place INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    -- 2 message.updated, 3 message.deleted, 4 participant.added, 5 participant.removed,
    -- 6 session.updated, 7 session.deleted
    kind INTEGER NOT NULL,
    actor_id BLOB NOT NULL,
    -- messages.number
    message INTEGER,
    user_id BLOB,
    participant_id BLOB,
    title TEXT
) STRICT;
