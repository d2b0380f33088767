//! Who may: a [`Member`] is made only here, by looking the membership up.
//!
//! It is a snapshot. What must hold at a place in the order (an append, a removal) is checked
//! again by the store in the transaction that gives the number.

use protocol::{ErrorCode, Session, SessionId};

use super::{Actor, Chat, Result};

/// Proof that somebody was a member of a session when it was looked up.
#[derive(Clone, Debug)]
pub struct Member {
    actor: Actor,
    session: Session,
}

impl Member {
    #[must_use]
    pub fn actor(&self) -> Actor {
        self.actor
    }

    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.session.id
    }

    /// The session as it was, with `is_owner` set.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    #[must_use]
    pub fn into_session(self) -> Session {
        self.session
    }

    /// The head when this was looked up.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.session.last_seq
    }

    /// Only the owner goes on.
    pub fn as_owner(&self) -> Result<&Self> {
        match self.session.is_owner {
            Some(true) => Ok(self),
            _ => Err(ErrorCode::NotSessionOwner.into()),
        }
    }
}

impl Chat {
    /// Looks membership up: `session_not_found`, then `not_a_member`.
    pub async fn member(&self, actor: Actor, session: SessionId) -> Result<Member> {
        let access = self.store.access(session, actor.user).await?;
        let access = access.ok_or(ErrorCode::SessionNotFound)?;
        if !access.is_member {
            return Err(ErrorCode::NotAMember.into());
        }
        Ok(Member { actor, session: access.session })
    }

    /// Looks ownership up: `session_not_found`, then `not_session_owner`.
    pub async fn owner(&self, actor: Actor, session: SessionId) -> Result<Member> {
        match self.member(actor, session).await {
            Err(error) if error.code() == ErrorCode::NotAMember => {
                Err(ErrorCode::NotSessionOwner.into())
            }
            Err(error) => Err(error),
            Ok(member) => member.as_owner().cloned(),
        }
    }
}
