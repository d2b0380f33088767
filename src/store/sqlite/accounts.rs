//! Accounts.

use protocol::{Timestamp, User, UserId, UserKind};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::store::kind;
use crate::store::rows::email_key;
use crate::store::sqlite::fault::refuse;
use crate::store::sqlite::tokens;
use crate::store::{Account, NewAccount, NewPassword, Refusal, Result, Revocation};

const COLUMNS: &str = "id, name, email, kind, created_at, password_hash, disabled, \
                       tokens_valid_from_ms";

/// An account and the number of its kind.
fn read(row: &Row<'_>) -> rusqlite::Result<(Account, i64)> {
    let user = User {
        id: UserId::from_bytes(row.get(0)?),
        name: row.get(1)?,
        email: row.get(2)?,
        kind: UserKind::Human,
        created_at: Timestamp(row.get(4)?),
    };
    let account = Account {
        user,
        password_hash: row.get(5)?,
        disabled: row.get(6)?,
        tokens_valid_from_ms: row.get(7)?,
    };
    Ok((account, row.get(3)?))
}

fn checked((mut account, number): (Account, i64)) -> Result<Account> {
    account.user.kind = kind::user_kind(number, account.user.id)?;
    Ok(account)
}

pub fn create(connection: &Connection, new: NewAccount) -> Result<User> {
    let inserted = connection
        .prepare_cached(
            "INSERT INTO users (id, name, email, email_key, kind, password_hash, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            new.id.as_bytes(),
            new.name,
            new.email,
            email_key(&new.email),
            kind::of_user(new.kind),
            new.password_hash,
            new.at.0,
        ])?;
    if inserted == 0 {
        let exists = find(connection, new.id)?.is_some();
        return refuse(if exists { Refusal::UserExists } else { Refusal::EmailTaken });
    }
    Ok(User { id: new.id, name: new.name, email: new.email, kind: new.kind, created_at: new.at })
}

pub fn find(connection: &Connection, user: UserId) -> Result<Option<Account>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM users WHERE id = ?1"))?
        .query_row([user.as_bytes()], read)
        .optional()?
        .map(checked)
        .transpose()
}

pub fn find_by_email(connection: &Connection, email: &str) -> Result<Option<Account>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM users WHERE email_key = ?1"))?
        .query_row([email_key(email)], read)
        .optional()?
        .map(checked)
        .transpose()
}

pub fn list(connection: &Connection, after: Option<UserId>, limit: usize) -> Result<Vec<Account>> {
    // Every id sorts above the empty blob.
    let after: &[u8] = after.as_ref().map_or(&[], |id| id.as_bytes());
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM users WHERE id > ?1 ORDER BY id LIMIT ?2"
    ))?;
    let rows = statement.query_map(params![after, limit as i64], read)?;
    rows.map(|row| checked(row?)).collect()
}

pub fn set_password(
    connection: &Connection,
    user: UserId,
    new: &NewPassword,
    at: Timestamp,
) -> Result<bool> {
    let changed = connection
        .prepare_cached(
            "UPDATE users SET password_hash = ?2
             WHERE id = ?1 AND (?3 IS NULL OR password_hash = ?3)",
        )?
        .execute(params![user.as_bytes(), new.hash, new.instead_of])?;
    if changed == 0 {
        return Ok(false);
    }
    if let Some(issued_before_ms) = new.valid_from_ms {
        tokens::revoke(connection, Revocation::User { user, issued_before_ms }, at)?;
    }
    Ok(true)
}

pub fn set_disabled(
    connection: &Connection,
    user: UserId,
    disabled: bool,
    at: Timestamp,
) -> Result<bool> {
    let changed = connection
        .prepare_cached("UPDATE users SET disabled = ?2 WHERE id = ?1")?
        .execute(params![user.as_bytes(), disabled])?;
    if changed > 0 && disabled {
        // What is told is "all"; what stays, should the account be enabled again, is "until now".
        tokens::end_before(connection, user, at.as_ms() + 1)?;
        let all = Revocation::User { user, issued_before_ms: i64::MAX };
        tokens::log(connection, all, at)?;
    }
    Ok(changed > 0)
}
