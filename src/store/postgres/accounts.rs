//! Accounts.

use protocol::{Timestamp, User, UserId};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::store::fault::refuse;
use crate::store::kind;
use crate::store::postgres::column::{time, user};
use crate::store::postgres::pool::{Reader, Work};
use crate::store::postgres::tokens;
use crate::store::rows::email_key;
use crate::store::{Account, NewAccount, NewPassword, Refusal, Result, Revocation};

pub const COLUMNS: &str = "id, name, email, kind, created_at, password_hash, disabled, \
                       tokens_valid_from_ms";

pub fn read(row: &Row) -> Result<Account> {
    let id = user(row, 0)?;
    let user = User {
        id,
        name: row.try_get(1)?,
        email: row.try_get(2)?,
        kind: kind::user_kind(row.try_get::<_, i16>(3)?.into(), id)?,
        created_at: time(row, 4)?,
    };
    Ok(Account {
        user,
        password_hash: row.try_get(5)?,
        disabled: row.try_get(6)?,
        tokens_valid_from_ms: row.try_get(7)?,
    })
}

pub async fn create(work: &Work<'_>, new: NewAccount) -> Result<User> {
    let inserted = work
        .execute(
            "INSERT INTO users (id, name, email, email_key, kind, password_hash, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            &[
                &new.id.0,
                &new.name,
                &new.email,
                &email_key(&new.email),
                &(kind::of_user(new.kind) as i16),
                &new.password_hash,
                &new.at.0,
            ],
        )
        .await?;
    if inserted == 0 {
        let sql = "SELECT 1 FROM users WHERE id = $1";
        let exists = work.row(sql, &[&new.id.0]).await?.is_some();
        return refuse(if exists { Refusal::UserExists } else { Refusal::EmailTaken });
    }
    Ok(User { id: new.id, name: new.name, email: new.email, kind: new.kind, created_at: new.at })
}

pub async fn find(reader: &Reader, user: UserId) -> Result<Option<Account>> {
    let sql = format!("SELECT {COLUMNS} FROM users WHERE id = $1");
    reader.row(&sql, &[&user.0]).await?.as_ref().map(read).transpose()
}

pub async fn find_by_email(reader: &Reader, email: &str) -> Result<Option<Account>> {
    // Nobody has such an email, and PostgreSQL would take it for a fault.
    if email.contains('\0') {
        return Ok(None);
    }
    let sql = format!("SELECT {COLUMNS} FROM users WHERE email_key = $1");
    reader.row(&sql, &[&email_key(email)]).await?.as_ref().map(read).transpose()
}

pub async fn list(reader: &Reader, after: Option<UserId>, limit: usize) -> Result<Vec<Account>> {
    // Every id of ours sorts above it.
    let after = after.map_or(Uuid::nil(), |id| id.0);
    let sql = format!("SELECT {COLUMNS} FROM users WHERE id > $1 ORDER BY id LIMIT $2");
    reader.rows(&sql, &[&after, &(limit as i64)]).await?.iter().map(read).collect()
}

pub async fn set_password(
    work: &Work<'_>,
    user: UserId,
    new: &NewPassword,
    at: Timestamp,
) -> Result<bool> {
    let sql = "UPDATE users SET password_hash = $2
         WHERE id = $1 AND ($3::text IS NULL OR password_hash = $3)";
    if work.execute(sql, &[&user.0, &new.hash, &new.instead_of]).await? == 0 {
        return Ok(false);
    }
    if let Some(issued_before_ms) = new.valid_from_ms {
        tokens::revoke(work, Revocation::User { user, issued_before_ms }, at).await?;
    }
    Ok(true)
}

pub async fn set_disabled(
    work: &Work<'_>,
    user: UserId,
    disabled: bool,
    at: Timestamp,
) -> Result<bool> {
    let sql = "UPDATE users SET disabled = $2 WHERE id = $1";
    let changed = work.execute(sql, &[&user.0, &disabled]).await?;
    if changed > 0 && disabled {
        // What is told is "all"; what stays, should the account be enabled again, is "until now".
        tokens::end_before(work, user, at.as_ms() + 1).await?;
        let all = Revocation::User { user, issued_before_ms: i64::MAX };
        tokens::log(work, all, at).await?;
    }
    Ok(changed > 0)
}
