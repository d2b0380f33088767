//! Tickets: what a browser puts into a WebSocket's URL in place of its token.
//!
//! A ticket is 32 random bytes, good once and for half a minute. The store keeps its hash, so any
//! node can take it, and whoever reads the store can't.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::Timestamp;
use protocol::limits::TICKET_TTL_SECONDS;
use protocol::rest;

use super::verify::digest_of;
use super::{Auth, Caller, Cause, Error, Result, TokenStamp, secret};
use crate::store::Ticket;

/// What a ticket's text has in characters: 32 bytes in base64.
const TICKET_CHARS: usize = 43;

impl Auth {
    /// A ticket in the name of the caller's token.
    pub async fn make_ticket(&self, caller: &Caller) -> Result<rest::Ticket> {
        let text = URL_SAFE_NO_PAD.encode(secret::random::<32>());
        let now = self.now();
        let ticket = Ticket {
            hash: digest_of(text.as_bytes()),
            user: caller.user,
            token_id: caller.token.id,
            token_issued_ms: caller.token.issued_ms,
            token_expires: caller.token.expires,
            expires: Timestamp(now.0 + TICKET_TTL_SECONDS as i64 * 1_000_000),
        };
        self.store.put_ticket(ticket, now).await?;
        Ok(rest::Ticket { ticket: text, expires_in: TICKET_TTL_SECONDS })
    }

    /// Takes a ticket: whose it is, with the token that it was made with, if that still opens
    /// the account.
    pub async fn take_ticket(&self, ticket: &str) -> Result<Caller> {
        let outcome = self.caller_of_ticket(ticket).await;
        if let Err(Error::Unauthorized(cause)) = &outcome {
            tracing::debug!(%cause, "a ticket was refused");
        }
        outcome
    }

    async fn caller_of_ticket(&self, ticket: &str) -> Result<Caller> {
        if ticket.len() != TICKET_CHARS {
            return Err(Cause::UnknownTicket.into());
        }
        let now = self.now();
        let hash = digest_of(ticket.as_bytes());
        let taken = self.store.take_ticket(hash, now).await?.ok_or(Cause::UnknownTicket)?;
        if taken.token_expires <= now {
            return Err(Cause::Expired.into());
        }
        let token = TokenStamp {
            id: taken.token_id,
            issued_ms: taken.token_issued_ms,
            expires: taken.token_expires,
        };
        let account = self.account_by_stamp(taken.user, &token).await?;
        Ok(Caller { user: account.user.id, kind: account.user.kind, token })
    }
}
