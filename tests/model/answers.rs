//! What answers mean for the model, and which answers can't be.
//!
//! Where somebody's membership is sure from before a request to behind its answer, the answer is
//! determined; where it changes meanwhile, both are right.

use std::time::Instant;

use protocol::Message;
use serde_json::Value;

use super::wire::Reply;
use super::world::{State, is_restart, text};

/// What was known when a request began.
#[derive(Clone, Copy, Debug)]
pub struct Before {
    pub user: usize,
    pub session: usize,
    pub began: Instant,
    glimpse: (Option<bool>, u64),
    is_gone: bool,
    restarts: u32,
}

/// How a request ended.
pub enum Outcome {
    Done(Value),
    /// With that code, which fits to what is known of session and membership.
    Refused(String),
    /// The server restarts: it may have happened or not.
    Unknown,
}

impl State {
    pub fn before(&self, user: usize, session: usize) -> Before {
        let known = &self.sessions[session];
        Before {
            user,
            session,
            began: Instant::now(),
            glimpse: known.glimpse(user),
            is_gone: known.is_gone,
            restarts: self.restarts,
        }
    }

    /// What a reply is, seen from session and membership.
    pub fn judge(&self, before: &Before, reply: Reply) -> Result<Outcome, String> {
        let (status, body) = match reply {
            Ok(answer) => answer,
            Err(_) if is_restart(self, before.restarts) => return Ok(Outcome::Unknown),
            Err(error) => return Err(format!("a call broke: {error}")),
        };
        if (200..300).contains(&status) {
            self.check_allowed(before)?;
            return Ok(Outcome::Done(body));
        }
        let code = text(&body["code"]).to_owned();
        if code == "unavailable" && is_restart(self, before.restarts) {
            return Ok(Outcome::Unknown);
        }
        self.check_refusal(before, &code)?;
        Ok(Outcome::Refused(code))
    }

    /// Something was done: nothing must have forbidden it all the time.
    pub fn check_allowed(&self, before: &Before) -> Result<(), String> {
        let known = &self.sessions[before.session];
        if before.is_gone {
            return Err("something was done in a deleted session".into());
        }
        match known.held(before.user, before.glimpse) {
            Some(false) => Err(format!("user {} did something as a stranger", before.user)),
            _ => Ok(()),
        }
    }

    /// Something was refused: nothing must have allowed it all the time.
    pub fn check_refusal(&self, before: &Before, code: &str) -> Result<(), String> {
        let known = &self.sessions[before.session];
        let is_wrong = match code {
            "not_a_member" => known.held(before.user, before.glimpse) == Some(true),
            "session_not_found" => !known.is_ending,
            "internal" | "unavailable" | "unauthorized" | "rate_limited" => true,
            _ => false,
        };
        if is_wrong { Err(format!("refused with {code}, {before:?}")) } else { Ok(()) }
    }

    /// A send is answered with a message; `is_created` where it is told that this is the first.
    pub fn sent(
        &mut self,
        before: &Before,
        send: usize,
        message: &Message,
        is_created: bool,
    ) -> Result<(), String> {
        let seen = self.see_message(before.session, message, before.began)?;
        if seen != send {
            return Err(format!("a send is answered with another message: {message:?}"));
        }
        let known = &mut self.sessions[before.session];
        known.head = known.head.max(message.seq);
        let send = &mut known.sends[send];
        send.is_acknowledged = true;
        send.created += u32::from(is_created);
        if send.created > 1 {
            return Err(format!("message {} was created twice", message.id));
        }
        Ok(())
    }

    /// A send is refused.
    pub fn refused(&mut self, before: &Before, send: usize, code: &str) -> Result<(), String> {
        let send = &mut self.sessions[before.session].sends[send];
        let fits = match code {
            "client_id_reused" => send.is_twisted,
            "message_deleted" => send.deletes_asked > 0,
            "not_a_member" | "session_not_found" => true,
            _ => false,
        };
        if !fits {
            return Err(format!("a send is refused with {code}: {send:?}"));
        }
        send.refused += 1;
        // A repeat of what is deleted was stored once.
        if code != "message_deleted" && send.refused == send.asked && send.found.is_some() {
            return Err(format!("what was refused is stored: {send:?}"));
        }
        Ok(())
    }
}
