//! Who is there: the sessions, their members and tokens, before anything is measured.
//!
//! For AssistDeck a world is built over REST as any application would: every user makes one
//! authenticated call (which creates the user from the token), owners create sessions and add
//! their members. The limit programs know no users: there a world is nothing but names, and a
//! member's token is the id that shall stand as `sender_id`.

use crate::rest::{self, Client, Request};
use crate::server::{Program, Running, Target};
use crate::token;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::net::SocketAddr;
use uuid::Uuid;

#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub sessions: usize,
    /// The owner among them.
    pub members: usize,
}

#[derive(Debug)]
pub struct World {
    pub sessions: Vec<Session>,
}

#[derive(Debug, Clone)]
pub struct Session {
    pub id: String,
    /// The owner first.
    pub members: Vec<Member>,
    /// The last number given; the driver carries it on as it sends.
    pub head: u64,
}

#[derive(Debug, Clone)]
pub struct Member {
    pub user: Uuid,
    pub token: String,
}

impl World {
    pub fn build(target: &Target, running: &Running, shape: Shape) -> Result<Self> {
        match target.program {
            Program::AssistDeck { .. } => {
                Self::over_rest(running.addr, shape).context("the setup over REST failed")
            }
            _ => Self::of_names(shape),
        }
    }

    fn of_names(shape: Shape) -> Result<Self> {
        let named = |members| Session { id: Uuid::new_v4().to_string(), members, head: 0 };
        let sessions = (0..shape.sessions).map(|_| Ok(named(members(shape.members, plain)?)));
        Ok(Self { sessions: sessions.collect::<Result<_>>()? })
    }

    fn over_rest(addr: SocketAddr, shape: Shape) -> Result<Self> {
        let teams = (0..shape.sessions).map(|_| members(shape.members, token::sign));
        let teams: Vec<Vec<Member>> = teams.collect::<Result<_>>()?;
        let everyone: Vec<&Member> = teams.iter().flatten().collect();
        rest::each(addr, &everyone, |client, member| {
            client.json(200, &Request::get("/api/users/profile").by(&member.token))
        })?;
        let ids = rest::each(addr, &teams, |client, team| create_session(client, &team[0]))?;
        let additions: Vec<(&String, &Member, &Member)> = ids
            .iter()
            .zip(&teams)
            .flat_map(|(id, team)| team[1..].iter().map(move |member| (id, &team[0], member)))
            .collect();
        rest::each(addr, &additions, |client, (id, owner, member)| {
            let path = format!("/api/chat/sessions/{id}/participants");
            let body = json!({ "user_id": member.user });
            client.json(201, &Request::post(path, body).by(&owner.token))
        })?;
        let mut sessions: Vec<Session> = ids
            .into_iter()
            .zip(teams)
            .map(|(id, members)| Session { id, members, head: 0 })
            .collect();
        let heads = rest::each(addr, &sessions, Session::read_head)?;
        for (session, head) in sessions.iter_mut().zip(heads) {
            session.head = head;
        }
        Ok(Self { sessions })
    }

    pub fn members(&self) -> usize {
        self.sessions.iter().map(|session| session.members.len()).sum()
    }
}

impl Session {
    fn read_head(client: &mut Client, session: &Self) -> Result<u64> {
        let path = format!("/api/chat/sessions/{}", session.id);
        let body = client.json(200, &Request::get(path).by(&session.members[0].token))?;
        body.get("last_seq").and_then(Value::as_u64).context("a session without last_seq")
    }
}

fn create_session(client: &mut Client, owner: &Member) -> Result<String> {
    let request = Request::post("/api/chat/sessions", json!({ "title": "Bench" }));
    let body = client.json(201, &request.by(&owner.token))?;
    let id = body.get("id").and_then(Value::as_str).context("a session without id")?;
    Ok(id.to_owned())
}

pub fn members(count: usize, sign: impl Fn(Uuid) -> Result<String>) -> Result<Vec<Member>> {
    (0..count)
        .map(|_| {
            let user = Uuid::new_v4();
            Ok(Member { user, token: sign(user)? })
        })
        .collect()
}

#[expect(clippy::unnecessary_wraps, reason = "stands where token::sign may fail")]
fn plain(user: Uuid) -> Result<String> {
    Ok(user.to_string())
}
