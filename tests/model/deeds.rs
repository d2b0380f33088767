//! What users do over REST, each a call that is judged by the model.

use std::sync::Arc;

use protocol::{Message, MessageId};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::answers::Outcome;
use super::wire::Reply;
use super::world::{World, text};

pub type Judged = Result<(), String>;

fn path(world: &World, session: usize, more: &str) -> String {
    format!("/api/chat/sessions/{}{more}", world.state().sessions[session].id)
}

fn read<T: DeserializeOwned>(body: &Value) -> Result<T, String> {
    T::deserialize(body).map_err(|error| format!("{error} in {body}"))
}

/// Sends a message, the first time or again.
pub async fn send(world: Arc<World>, user: usize, session: usize, send: usize) -> Judged {
    let (before, body, by_header) = {
        let mut state = world.state();
        let mut body = state.body_of(session, send);
        // The key stands in the body, in the header, or in both.
        let key = body["client_id"].as_str().map(str::to_owned);
        if send % 3 == 1 {
            body.as_object_mut().expect("an object").remove("client_id");
        }
        (state.before(user, session), body, key.filter(|_| !send.is_multiple_of(3)))
    };
    let mut call = world.call(user, "POST", &path(&world, session, "/messages")).json(&body);
    if let Some(key) = &by_header {
        call = call.header("idempotency-key", key);
    }
    let reply = call.send().await;
    let is_created = matches!(reply, Ok((201, _)));
    let mut state = world.state();
    state.note(format!("user {user} sends {session}/{send}: {}", brief(&reply)));
    match state.judge(&before, reply)? {
        Outcome::Done(body) => {
            let message: Message = read(&body)?;
            state.sent(&before, send, &message, is_created)
        }
        Outcome::Refused(code) => state.refused(&before, send, &code),
        Outcome::Unknown => Ok(()),
    }
}

fn brief(reply: &Reply) -> String {
    match reply {
        Ok((status, body)) if body["seq"].is_u64() => format!("{status} at {}", body["seq"]),
        Ok((status, body)) => format!("{status} {}", text(&body["code"])),
        Err(error) => error.clone(),
    }
}

/// A message that can be edited or deleted: its path, once it is known.
fn place_of(world: &World, session: usize, send: usize) -> Option<String> {
    let found: Option<(MessageId, u64)> = world.state().sessions[session].sends[send].found;
    found.map(|(id, _)| path(world, session, &format!("/messages/{id}")))
}

/// Edits a message, which is the sender's alone.
pub async fn edit(
    world: Arc<World>,
    user: usize,
    session: usize,
    send: usize,
    bytes: usize,
) -> Judged {
    let Some(path) = place_of(&world, session, send) else { return Ok(()) };
    let (before, content) = {
        let mut state = world.state();
        let state = &mut *state;
        let known = &mut state.sessions[session];
        let content = state.texts.make(known.id, send, 1, bytes);
        known.sends[send].edits_asked += 1;
        (state.before(user, session), content)
    };
    let reply = world.call(user, "PATCH", &path).json(&json!({"content": &*content})).send().await;
    let mut state = world.state();
    state.note(format!("user {user} edits {session}/{send}: {}", brief(&reply)));
    match state.judge(&before, reply)? {
        Outcome::Unknown => Ok(()),
        Outcome::Done(body) => {
            let message: Message = read(&body)?;
            let seen = state.see_message(session, &message, before.began)?;
            let sent = &mut state.sessions[session].sends[send];
            if seen != send || *message.content != *content || sent.user != user {
                return Err(format!("user {user}'s edit is answered with {message:?}"));
            }
            let at = message.edited_at.ok_or("an edit without edited_at")?;
            sent.edits.push((at, content));
            Ok(())
        }
        Outcome::Refused(code) => {
            let sent = &mut state.sessions[session].sends[send];
            sent.edits_asked -= 1;
            match code.as_str() {
                "not_message_sender" if sent.user != user => Ok(()),
                "message_not_found" if sent.deletes_asked > 0 => Ok(()),
                "not_a_member" | "session_not_found" => Ok(()),
                _ => Err(format!("user {user}'s edit is refused with {code}: {sent:?}")),
            }
        }
    }
}

/// Deletes a message: its sender, or the session's owner.
pub async fn delete(world: Arc<World>, user: usize, session: usize, send: usize) -> Judged {
    let Some(path) = place_of(&world, session, send) else { return Ok(()) };
    let (before, may) = {
        let mut state = world.state();
        let known = &mut state.sessions[session];
        let may = known.owner == user || known.sends[send].user == user;
        known.sends[send].deletes_asked += u32::from(may);
        (state.before(user, session), may)
    };
    let reply = world.call(user, "DELETE", &path).send().await;
    let mut state = world.state();
    state.note(format!("user {user} deletes {session}/{send}: {}", brief(&reply)));
    let outcome = state.judge(&before, reply)?;
    let sent = &mut state.sessions[session].sends[send];
    match outcome {
        Outcome::Unknown => Ok(()),
        Outcome::Done(_) if !may || sent.is_delete_acknowledged => {
            Err(format!("user {user} deleted what they can't: {sent:?}"))
        }
        Outcome::Done(_) => {
            sent.is_delete_acknowledged = true;
            sent.deleted.get_or_insert_with(std::time::Instant::now);
            Ok(())
        }
        Outcome::Refused(code) => match code.as_str() {
            "not_message_sender" if !may => Ok(()),
            "message_not_found" if sent.deletes_asked > u32::from(may) => Ok(()),
            "not_a_member" | "session_not_found" => Ok(()),
            _ => Err(format!("user {user}'s deletion is refused with {code}: {sent:?}")),
        },
    }
}

/// The owner gives access.
pub async fn add(world: Arc<World>, session: usize, user: usize) -> Judged {
    let owner = world.state().sessions[session].owner;
    let body = json!({"user_id": world.people[user].id});
    let path = path(&world, session, "/participants");
    let call = world.call(owner, "POST", &path).json(&body);
    change(&world, (session, user, owner), "already_participant", call.send()).await
}

/// The owner takes access.
pub async fn remove(world: Arc<World>, session: usize, user: usize) -> Judged {
    let owner = world.state().sessions[session].owner;
    let path = path(&world, session, &format!("/participants/{}", world.people[user].id));
    let call = world.call(owner, "DELETE", &path);
    change(&world, (session, user, owner), "participant_not_found", call.send()).await
}

/// A participant leaves.
pub async fn depart(world: Arc<World>, session: usize, user: usize) -> Judged {
    if world.state().sessions[session].owner == user {
        return Ok(());
    }
    let call = world.call(user, "POST", &path(&world, session, "/leave"));
    change(&world, (session, user, user), "not_a_member", call.send()).await
}

/// A change of a membership. `unchanged` is the code that says that it was so already.
async fn change(
    world: &World,
    (session, user, actor): (usize, usize, usize),
    unchanged: &str,
    call: impl Future<Output = Reply>,
) -> Judged {
    let adds = unchanged == "already_participant";
    let (before, was, began) = {
        let mut state = world.state();
        let before = state.before(actor, session);
        let known = &mut state.sessions[session];
        known.members[user].is_ever |= adds;
        let was = known.glimpse(user).0;
        (before, was, known.begin_change(user))
    };
    let reply = call.await;
    let mut state = world.state();
    let what = if adds { "is added to" } else { "is removed from" };
    state.note(format!("user {user} {what} {session}: {}", brief(&reply)));
    // My own leaving is what changes my membership: it proves nothing about it.
    let outcome = match reply {
        Ok((403, body)) if actor == user => Outcome::Refused(text(&body["code"]).to_owned()),
        Ok((200, body)) if actor == user => Outcome::Done(body),
        reply => state.judge(&before, reply)?,
    };
    let known = &mut state.sessions[session];
    let is_alone = known.members[user].in_flight == 1 && known.members[user].changes == began;
    let held = was.filter(|_| is_alone);
    let is_owner = known.owner == user;
    let now = match &outcome {
        // An owner is a member, come what may, and no participant.
        _ if is_owner => Some(true),
        Outcome::Done(_) => Some(adds),
        Outcome::Refused(code) if code == unchanged => Some(adds),
        Outcome::Refused(_) | Outcome::Unknown => None,
    };
    known.end_change(user, began, now);
    let fits = match outcome {
        Outcome::Done(_) => held != Some(adds) && !is_owner,
        Outcome::Refused(code) if code == unchanged => held != Some(!adds) || is_owner,
        Outcome::Refused(code) => code == "session_not_found",
        Outcome::Unknown => true,
    };
    if fits { Ok(()) } else { Err(format!("a change of user {user} does not fit to {held:?}")) }
}

/// The owner gives another title.
pub async fn rename(world: Arc<World>, session: usize) -> Judged {
    let (before, title) = {
        let mut state = world.state();
        let known = &mut state.sessions[session];
        let title = format!("title {} of {session}", known.titles.len());
        known.titles.push(title.clone());
        let owner = known.owner;
        (state.before(owner, session), title)
    };
    let call = world.call(before.user, "PATCH", &path(&world, session, ""));
    let reply = call.json(&json!({"title": title})).send().await;
    let state = world.state();
    match state.judge(&before, reply)? {
        Outcome::Done(body) if body["title"] != *title => Err(format!("{title} became {body}")),
        Outcome::Refused(code) if code != "session_not_found" => Err(format!("{code}: {title}")),
        _ => Ok(()),
    }
}

/// Which number a read mark of that pick stands for; one of forty is beyond the head.
pub fn mark_of(head: u64, pick: u64) -> (u64, bool) {
    if pick % 40 == 7 { (head + 1_000_000, true) } else { (head * (pick % 101) / 100, false) }
}

/// Raises a read mark.
pub async fn mark(world: Arc<World>, user: usize, session: usize, pick: u64) -> Judged {
    let (before, seq, is_beyond, was) = {
        let mut state = world.state();
        let known = &mut state.sessions[session];
        let (seq, is_beyond) = mark_of(known.head, pick);
        let member = &mut known.members[user];
        let was = member.mark_min;
        if !is_beyond {
            member.mark_max = seq.max(member.mark_max);
        }
        (state.before(user, session), seq, is_beyond, was)
    };
    let call = world.call(user, "POST", &path(&world, session, "/read"));
    let reply = call.json(&json!({"seq": seq})).send().await;
    let mut state = world.state();
    match state.judge(&before, reply)? {
        Outcome::Unknown => Ok(()),
        Outcome::Done(body) => {
            let now = body["seq"].as_u64().unwrap_or(0);
            let member = &mut state.sessions[session].members[user];
            if is_beyond || now < seq.max(was) {
                return Err(format!("the read mark {seq} became {now}, {member:?}"));
            }
            member.mark_min = seq.max(member.mark_min);
            Ok(())
        }
        Outcome::Refused(code) => match code.as_str() {
            "position_unknown" if is_beyond => Ok(()),
            "not_a_member" | "session_not_found" => Ok(()),
            _ => Err(format!("the read mark {seq} is refused with {code}")),
        },
    }
}

/// The owner deletes the session, and another one takes its slot.
pub async fn replace(world: Arc<World>, slot: usize) -> Judged {
    let (before, session) = {
        let mut state = world.state();
        let session = state.slots[slot];
        let known = &mut state.sessions[session];
        if std::mem::replace(&mut known.is_ending, true) {
            return Ok(());
        }
        let owner = known.owner;
        (state.before(owner, session), session)
    };
    let reply = world.call(before.user, "DELETE", &path(&world, session, "")).send().await;
    {
        let mut state = world.state();
        state.note(format!("session {session} is deleted: {}", brief(&reply)));
        match state.judge(&before, reply)? {
            Outcome::Done(_) => state.sessions[session].is_gone = true,
            Outcome::Refused(code) => return Err(format!("a deletion is refused with {code}")),
            // Whether it was, a check finds out.
            Outcome::Unknown => return Ok(()),
        }
    }
    match world.create_session(slot).await {
        Err(error) if world.state().restarts == 0 => Err(error),
        _ => Ok(()),
    }
}
