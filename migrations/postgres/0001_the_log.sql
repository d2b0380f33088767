-- The first schema.
--
-- Times are microseconds since 1970. What belongs to a session carries its `session_id` first in
-- every key, so that these tables can be sharded by it; users, tokens and `meta` are small and are
-- looked up by their own ids. There are no foreign keys between sessions' tables for that reason,
-- and because every insert would pay for them: the transactions themselves check.

-- epoch · store_id · revocation_head
CREATE TABLE meta (
    key text PRIMARY KEY,
    value text NOT NULL
);

CREATE TABLE users (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    email text NOT NULL,
    -- Lowercase: what "the same email" means.
    email_key text NOT NULL UNIQUE,
    -- 1 human, 2 agent
    kind smallint NOT NULL,
    password_hash text,
    disabled boolean NOT NULL DEFAULT false,
    tokens_valid_from_ms bigint NOT NULL DEFAULT 0,
    created_at bigint NOT NULL
);

-- One of user_id (with issued_before_ms) and token_id is there. Numbers are given under the lock of
-- `meta.revocation_head`, so that none appears behind a larger one.
CREATE TABLE revocations (
    number bigint PRIMARY KEY,
    user_id uuid,
    issued_before_ms bigint,
    token_id uuid,
    at bigint NOT NULL
);

CREATE INDEX revoked_tokens ON revocations (token_id) WHERE token_id IS NOT NULL;

CREATE TABLE tickets (
    hash bytea PRIMARY KEY,
    user_id uuid NOT NULL,
    token_id uuid,
    token_issued_ms bigint NOT NULL,
    token_expires bigint NOT NULL,
    expires bigint NOT NULL
);

CREATE INDEX tickets_by_end ON tickets (expires);

-- A deleted session keeps its row: its id is never given again. No index has what an append
-- changes, so that its update stays within the page.
CREATE TABLE sessions (
    session_id uuid PRIMARY KEY,
    owner_id uuid NOT NULL,
    title text NOT NULL,
    created_at bigint NOT NULL,
    -- Of the last event.
    updated_at bigint NOT NULL,
    last_seq bigint NOT NULL DEFAULT 0,
    -- Messages ever created, also deleted ones.
    message_count bigint NOT NULL DEFAULT 0,
    -- Of the last message that is not deleted; 0 when there is none.
    last_live_seq bigint NOT NULL DEFAULT 0,
    member_count bigint NOT NULL DEFAULT 1,
    deleted_at bigint,
    -- After the deletion: 1 when the contents are gone, 2 when the members are too.
    purged smallint NOT NULL DEFAULT 0
) WITH (fillfactor = 60);

CREATE INDEX sessions_to_purge ON sessions (session_id) WHERE deleted_at IS NOT NULL AND purged < 2;

CREATE TABLE members (
    session_id uuid NOT NULL,
    user_id uuid NOT NULL,
    -- The owner's is the session's.
    id uuid NOT NULL,
    created_at bigint NOT NULL,
    is_owner boolean NOT NULL,
    -- The read mark, and how many messages were ever created up to it.
    read_seq bigint NOT NULL,
    read_count bigint NOT NULL,
    PRIMARY KEY (session_id, user_id)
) WITH (fillfactor = 60);

CREATE INDEX members_by_user ON members (user_id);
CREATE INDEX members_in_order ON members (session_id, is_owner DESC, created_at, id);
CREATE UNIQUE INDEX member_ids ON members (session_id, id);

CREATE TABLE messages (
    session_id uuid NOT NULL,
    seq bigint NOT NULL,
    -- Counts the messages of the session.
    ordinal bigint NOT NULL,
    -- 2 as sent, 3 edited, 4 deleted
    state smallint NOT NULL,
    is_ai boolean NOT NULL,
    created_at bigint NOT NULL,
    edited_at bigint,
    id uuid NOT NULL,
    sender_id uuid NOT NULL,
    client_id text,
    request_hash bytea,
    file_url text,
    -- Null once deleted.
    content text,
    PRIMARY KEY (session_id, seq)
);

CREATE UNIQUE INDEX message_ids ON messages (session_id, id);
CREATE UNIQUE INDEX message_client_ids ON messages (session_id, sender_id, client_id)
    WHERE client_id IS NOT NULL;
CREATE INDEX deleted_messages ON messages (session_id, seq) WHERE state = 4;

-- Every event that is not the creation of a message.
CREATE TABLE events (
    session_id uuid NOT NULL,
    seq bigint NOT NULL,
    at bigint NOT NULL,
    -- 2 message.updated, 3 message.deleted, 4 participant.added, 5 participant.removed,
    -- 6 session.updated, 7 session.deleted
    kind smallint NOT NULL,
    actor_id uuid NOT NULL,
    -- Of the message's creation.
    message_seq bigint,
    user_id uuid,
    participant_id uuid,
    title text,
    PRIMARY KEY (session_id, seq)
);
