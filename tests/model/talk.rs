//! The conversation on a socket: what frames mean, and in which order they may come.

use protocol::frame::ServerFrame;
use protocol::{Event, Message, Timestamp, UserId};
use serde_json::Value;

use super::copy::Following;
use super::memory::{Asked, Line, Memory, What};
use super::plan::From;
use super::world::{State, World, text};

/// Types of events; all other frames are no part of a log.
const EVENTS: [&str; 7] = [
    "message.created",
    "message.updated",
    "message.deleted",
    "participant.added",
    "participant.removed",
    "session.updated",
    "session.deleted",
];

impl Memory {
    /// A frame of `assistdeck.v1` came.
    pub fn hear_v1(
        &mut self,
        world: &World,
        state: &mut State,
        user: usize,
        frame: &str,
    ) -> Result<(), String> {
        let me = world.people[user].id;
        let value: Value = serde_json::from_str(frame).map_err(|e| e.to_string())?;
        if EVENTS.contains(&text(&value["type"])) {
            let event: Event =
                serde_json::from_value(value).map_err(|e| format!("{e} in {frame}"))?;
            return self.take(state, me, event);
        }
        let told: ServerFrame =
            serde_json::from_value(value).map_err(|e| format!("{e} in {frame}"))?;
        let line = self.line.as_mut().ok_or("a frame without a connection")?;
        let is_hello = matches!(told, ServerFrame::Hello { .. });
        if std::mem::replace(&mut line.has_greeted, true) == is_hello {
            return Err(format!("hello comes first, and once: {frame}"));
        }
        match told {
            ServerFrame::Hello { user_id, .. } if user_id != me => Err(frame.into()),
            ServerFrame::Following { .. } => self.begin(world, state, &told),
            ServerFrame::CaughtUp { session_id, seq } => {
                let session = state.session_of(session_id).ok_or("no session")?;
                self.catch_up(session, seq)
            }
            ServerFrame::MessageSent { client_id, message } => {
                let is_it =
                    |asked: &Asked| matches!(asked.what, What::Send(_)) && asked.name == client_id;
                let asked = line.answered(state, is_it)?;
                let What::Send(send) = asked.what else { return Err("no send".into()) };
                line.check_not_deleted(&message)?;
                state.check_allowed(&asked.before)?;
                state.sent(&asked.before, send, &message, false)
            }
            ServerFrame::Error { code, client_id, reference, .. } => {
                let name = reference.or(client_id).ok_or(format!("who is meant by {frame}?"))?;
                let asked = line.answered(state, |asked| asked.name == name)?;
                line.refuse(state, &asked, &code)
            }
            told => line.hear_signal(world, state, me, &told),
        }
    }

    /// A log is followed from here on.
    fn begin(
        &mut self,
        world: &World,
        state: &mut State,
        frame: &ServerFrame,
    ) -> Result<(), String> {
        let ServerFrame::Following { session_id, session: told, after, head, online, .. } = frame
        else {
            return Err("no following".into());
        };
        let session = state.session_of(*session_id).ok_or("no session")?;
        let line = self.line.as_mut().ok_or("no connection")?;
        let asked = line.follow_answered(state, session, (*after, *head))?;
        state.check_allowed(&asked.before)?;
        if told.last_seq != *head || told.epoch != state.epoch {
            return Err(format!("{asked:?} is answered with {frame:?}"));
        }
        for &other in online.iter().flatten() {
            check_is_known(world, state, session, other)?;
        }
        state.sessions[session].head = state.sessions[session].head.max(*head);
        let following = Following {
            began: asked.before.began,
            head_min: asked.head_min,
            head: Some(*head),
            granted: Timestamp::now(),
            over: None,
            is_caught_up: false,
        };
        line.followings.insert(session, following);
        self.copies.entry(session).or_default().rewind(*after);
        Ok(())
    }

    fn catch_up(&mut self, session: usize, seq: u64) -> Result<(), String> {
        let at = self.copies.get(&session).map_or(0, |copy| copy.at());
        let followings = self.line.as_mut().map(|line| &mut line.followings);
        let following = followings.and_then(|all| all.get_mut(&session));
        let following = following.ok_or("caught up with what is not followed")?;
        let was = std::mem::replace(&mut following.is_caught_up, true);
        if was || seq != at || following.head.is_none_or(|head| seq < head) {
            return Err(format!("caught up at {seq}, being at {at}: {following:?}"));
        }
        Ok(())
    }
}

impl Line {
    /// The follow to which a `following` belongs. It does not say so, but no session has two
    /// follows that are not answered yet.
    fn follow_answered(
        &mut self,
        state: &mut State,
        session: usize,
        (after, head): (u64, u64),
    ) -> Result<Asked, String> {
        let fits = |asked: &Asked| match asked.what {
            What::Follow { from: From::Beyond | From::OtherEpoch, .. } => false,
            What::Follow { after: wanted, .. } => {
                let is_at = after == wanted.unwrap_or(head) && head >= asked.head_min.max(after);
                asked.session == session && is_at
            }
            _ => false,
        };
        if !self.asked.iter().any(fits) {
            return Err(format!("following {session} from {after} answers nothing"));
        }
        self.answered(state, fits)
    }

    /// The command to which an answer belongs; those before it had nothing to tell.
    fn answered(
        &mut self,
        state: &mut State,
        is_it: impl Fn(&Asked) -> bool,
    ) -> Result<Asked, String> {
        while let Some(asked) = self.asked.pop_front() {
            if is_it(&asked) {
                return Ok(asked);
            }
            if !asked.may_be_silent() {
                return Err(format!("{asked:?} is left out of the answers"));
            }
            match asked.what {
                What::Leave | What::Follow { .. } => {
                    self.followings.remove(&asked.session);
                    if self.bound == Some(asked.session) && asked.what == What::Leave {
                        // Nor does a refused follow close it that was left again at once.
                        (self.bound, self.must_fail) = (None, false);
                    }
                }
                What::Mark { seq, .. } => {
                    let mark = &mut state.sessions[asked.session].members[asked.before.user];
                    mark.mark_min = mark.mark_min.max(seq);
                }
                _ => {}
            }
        }
        Err("an answer to nothing that was asked".into())
    }

    /// A command is refused.
    fn refuse(&mut self, state: &mut State, asked: &Asked, code: &str) -> Result<(), String> {
        let session = asked.session;
        if code == "unavailable" && super::world::is_restart(state, self.generation) {
            self.followings.remove(&session);
            return Ok(());
        }
        let is_followed = self.followings.get(&session).is_some_and(|f| f.over.is_none());
        let fits = match asked.what {
            What::Probe => code == "session_not_found",
            What::Send(send) => {
                // Who does not follow may not send here, member or not.
                if is_followed || code != "not_a_member" {
                    state.check_refusal(&asked.before, code)?;
                }
                return state.refused(&asked.before, send, code);
            }
            What::Follow { from, .. } => {
                self.followings.remove(&session);
                // Whose connection is about that session, is closed behind it.
                self.must_fail |= self.bound == Some(session);
                match code {
                    "position_unknown" => matches!(from, From::Beyond | From::OtherEpoch),
                    "not_a_member" | "session_not_found" => {
                        state.check_refusal(&asked.before, code)?;
                        true
                    }
                    _ => false,
                }
            }
            What::Mark { is_beyond, .. } => match code {
                "position_unknown" => is_beyond,
                "not_a_member" if !is_followed => true,
                "not_a_member" | "session_not_found" => {
                    state.check_refusal(&asked.before, code)?;
                    true
                }
                _ => false,
            },
            What::Leave | What::Type if is_followed => false,
            What::Leave | What::Type => match code {
                "not_a_member" => true,
                "session_not_found" => {
                    state.check_refusal(&asked.before, code)?;
                    true
                }
                _ => false,
            },
        };
        if fits { Ok(()) } else { Err(format!("{asked:?} is refused with {code}")) }
    }

    /// What may be lost, but not be wrong.
    fn hear_signal(
        &self,
        world: &World,
        state: &mut State,
        me: UserId,
        told: &ServerFrame,
    ) -> Result<(), String> {
        match told {
            ServerFrame::Presence { session_id, user_id, .. } => {
                let session = state.session_of(*session_id).ok_or("no session")?;
                check_is_known(world, state, session, *user_id)
            }
            ServerFrame::Typing { session_id, user_id, .. } => {
                let session = state.session_of(*session_id).ok_or("no session")?;
                if *user_id == me {
                    return Err("my own typing is told to me".into());
                }
                check_is_known(world, state, session, *user_id)
            }
            ServerFrame::Read { session_id, user_id, seq } => {
                let session = state.session_of(*session_id).ok_or("no session")?;
                let user = world.user_of(*user_id).ok_or("no user")?;
                let asked = state.sessions[session].members[user].mark_max;
                if *seq > asked {
                    return Err(format!("user {user} never read up to {seq}"));
                }
                Ok(())
            }
            ServerFrame::SessionActivity { session_id, last_message: Some(message), .. } => {
                // Of a session that was made a moment ago the answer is still on its way.
                let Some(session) = state.session_of(*session_id) else { return Ok(()) };
                self.check_not_deleted(message)?;
                state.see_message(session, message, self.began).map(|_| ())
            }
            _ => Ok(()),
        }
    }
}

/// Whether somebody was ever given access, or is about to be.
fn check_is_known(
    world: &World,
    state: &State,
    session: usize,
    user: UserId,
) -> Result<(), String> {
    let user = world.user_of(user).ok_or("a user whom nobody made")?;
    if state.sessions[session].members[user].is_ever {
        return Ok(());
    }
    Err(format!("user {user}, a stranger to session {session}, is told to be there"))
}

impl Memory {
    /// A frame of the plain protocol came: a message, or an error.
    pub fn hear_plain(&mut self, state: &mut State, frame: &str) -> Result<(), String> {
        let value: Value = serde_json::from_str(frame).map_err(|e| e.to_string())?;
        let line = self.line.as_mut().ok_or("a frame without a connection")?;
        let session = line.bound.ok_or("a plain connection has a session")?;
        if value["code"].is_string() {
            let code = text(&value["code"]);
            // Errors come in the order of what they answer; what is taken is not answered.
            let is_it = |asked: &Asked| match asked.what {
                What::Send(send) => {
                    state.sessions[session].sends[send].is_twisted == (code == "client_id_reused")
                }
                _ => false,
            };
            let place = line.asked.iter().position(is_it);
            let place = place.ok_or_else(|| format!("{code} answers nothing"))?;
            let asked = line.asked.remove(place).ok_or("just found")?;
            return line.refuse(state, &asked, code);
        }
        let message: Message =
            serde_json::from_value(value).map_err(|e| format!("{e} in {frame}"))?;
        let span = self.spans.last_mut().ok_or("no span")?;
        let at = span.at();
        if message.seq <= at {
            return Err(format!("number {} after {at}", message.seq));
        }
        span.messages.push((message.seq, message.id));
        let send = state.see_message(session, &message, line.began)?;
        let known = &mut state.sessions[session];
        known.head = known.head.max(message.seq);
        let place = line.asked.iter().position(|asked| asked.what == What::Send(send));
        if let Some(asked) = place.and_then(|place| line.asked.remove(place)) {
            return state.sent(&asked.before, send, &message, false);
        }
        Ok(())
    }
}
