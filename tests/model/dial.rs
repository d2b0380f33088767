//! How a device connects: to which position, over which door, and what becomes of a refusal.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Instant;

use protocol::Timestamp;
use protocol::frame::{EventPage, PLAIN, V1};

use super::copy::{Copy, Following};
use super::device::{Device, Judged, lock};
use super::link::{End, Feed, Link, Socket};
use super::memory::{Asked, Line, Span, What};
use super::plan::{Cut, From, Way};
use super::wire::{Call, Reply};
use super::world::{is_restart, text};

/// Beyond every head.
const BEYOND: u64 = 1_000_000;
/// The longest wait of a poll, in seconds.
const POLL_SECONDS: u64 = 30;

impl Device {
    /// A position as parameters of a query, and its `after`.
    pub(super) fn position(
        &self,
        session: usize,
        from: From,
        is_plain: bool,
    ) -> (Option<u64>, String) {
        let memory = lock(&self.memory);
        let state = self.world.state();
        let at = if is_plain {
            let spans = memory.spans.iter().rev();
            spans.filter(|span| span.session == session).map(Span::at).find(|&at| at > 0)
        } else {
            memory.copies.get(&session).map(Copy::at)
        };
        let after = match from {
            From::Live => None,
            From::Kept => at,
            From::Zero => Some(0),
            From::Back(count) => at.map(|at| at.saturating_sub(count)),
            From::Beyond => Some(state.sessions[session].head + BEYOND),
            From::OtherEpoch => Some(at.unwrap_or(0)),
        };
        let epoch = if from == From::OtherEpoch { "another" } else { &state.epoch };
        (after, after.map_or(String::new(), |after| format!("&after={after}&epoch={epoch}")))
    }

    pub(super) async fn connect(&mut self, way: Way, session: usize, from: From) -> Judged {
        self.cut(Cut::Drop);
        let (after, query) = self.position(session, from, way == Way::Plain);
        let (line, asked, id, authority) = {
            let state = self.world.state();
            let known = &state.sessions[session];
            let (began, before) = (Instant::now(), state.before(self.user, session));
            let line = Line {
                way,
                began,
                generation: state.restarts,
                bound: (way != Way::Free).then_some(session),
                followings: HashMap::new(),
                asked: VecDeque::new(),
                before,
                deleted: HashSet::new(),
                has_greeted: false,
                was_stalled: false,
                must_fail: way != Way::Free && matches!(from, From::Beyond | From::OtherEpoch),
            };
            let what = What::Follow { from, after };
            let (name, head_min) = (String::new(), known.head);
            let is_overtaken = false;
            let asked = Asked { what, session, name, before, head_min, is_overtaken };
            (line, asked, known.id, state.authority.clone())
        };
        let token = &self.world.people[self.user].token;
        let opened = match way {
            Way::Free | Way::Bound | Way::Plain => {
                let protocol = match way {
                    Way::Plain if self.number.is_multiple_of(2) => None,
                    Way::Plain => Some(PLAIN),
                    _ => Some(V1),
                };
                let query = match way {
                    Way::Free => format!("token={token}"),
                    _ => format!("session_id={id}&token={token}{query}"),
                };
                let is_small = !self.number.is_multiple_of(3);
                let socket = Socket::open(&authority, &query, protocol, is_small).await;
                socket.map(|socket| Link::Socket(Box::new(socket)))
            }
            Way::Stream => {
                let feed = format!("/api/chat/sessions/{id}/events");
                let at = after.unwrap_or(0);
                let call = if at % 2 == 0 {
                    Call::new(&authority, token, "GET", &format!("{feed}?after={at}"))
                } else {
                    Call::new(&authority, token, "GET", &feed)
                        .header("last-event-id", &at.to_string())
                };
                let body = call.header("accept", "text/event-stream").stream().await;
                body.map(|body| Link::Stream(Feed::new(body)))
            }
            Way::Poll => {
                self.enter(line, asked);
                self.poll(session, after.unwrap_or(0));
                return Ok(());
            }
        };
        match opened {
            Ok(link) => {
                self.enter(line, asked);
                self.link = Some(link);
                Ok(())
            }
            Err(reply) => self.refused(line, &asked, reply),
        }
    }

    /// The connection stands.
    fn enter(&mut self, mut line: Line, asked: Asked) {
        let mut memory = lock(&self.memory);
        let What::Follow { from, after } = asked.what else { return };
        let mut following = Following {
            began: asked.before.began,
            head_min: asked.head_min,
            head: None,
            granted: Timestamp::now(),
            over: None,
            is_caught_up: true,
        };
        self.world.state().note(format!(
            "device {} connects {:?} to {} from {from:?} {after:?}",
            self.number, line.way, asked.session,
        ));
        match line.way {
            Way::Free => {}
            Way::Bound => line.asked.push_back(asked),
            Way::Plain => {
                let (session, after) = (asked.session, after.filter(|_| !line.must_fail));
                line.followings.insert(session, following.clone());
                let (messages, is_removed, is_open) = (Vec::new(), false, true);
                memory.spans.push(Span {
                    session,
                    after,
                    following,
                    messages,
                    is_removed,
                    is_open,
                });
            }
            Way::Stream | Way::Poll => {
                if line.way == Way::Poll {
                    // Each page is authorised anew; a removal within it is no end for sure.
                    following.granted = Timestamp(i64::MAX);
                }
                // There is no epoch to give.
                line.must_fail &= from == From::Beyond;
                line.followings.insert(asked.session, following);
                if !line.must_fail {
                    memory.copies.entry(asked.session).or_default().rewind(after.unwrap_or(0));
                }
            }
        }
        memory.line = Some(line);
    }

    /// The connection is refused, before it stands.
    fn refused(&self, line: Line, asked: &Asked, reply: Reply) -> Judged {
        let mut state = self.world.state();
        state.note(format!("device {} is refused: {reply:?}", self.number));
        let (status, body) = match reply {
            Err(_) if is_restart(&state, line.generation) => return Ok(()),
            Err(error) => return Err(format!("no connection: {error}")),
            Ok(answer) => answer,
        };
        let code = text(&body["code"]);
        match code {
            "unavailable" if is_restart(&state, line.generation) => Ok(()),
            "position_unknown" if line.must_fail => Ok(()),
            "not_a_member" | "session_not_found" => state.check_refusal(&asked.before, code),
            _ => Err(format!("a connection is refused with {status} {body}")),
        }
    }

    fn poll(&mut self, session: usize, after: u64) {
        let id = self.world.state().sessions[session].id;
        let limit = 1 + after % 200;
        let path = format!(
            "/api/chat/sessions/{id}/events?after={after}&limit={limit}&wait={POLL_SECONDS}"
        );
        let call = self.world.call(self.user, "GET", &path);
        self.link = Some(Link::Poll(Box::pin(call.send())));
    }

    /// A page came; the next one is asked for at once.
    pub(super) fn hear_page(&mut self, reply: Reply) -> Judged {
        let me = self.world.people[self.user].id;
        let mut memory = lock(&self.memory);
        let line = memory.line.as_ref().ok_or("a page without a line")?;
        let (session, generation) = (line.bound.ok_or("no session")?, line.generation);
        let mut state = self.world.state();
        let body = match reply {
            Ok((200, body)) => body,
            Err(_) if is_restart(&state, generation) => {
                return memory.end(&state, &End::Broken("a restart".into()));
            }
            Err(error) => return Err(format!("a poll broke: {error}")),
            Ok((status, body)) => {
                let code = text(&body["code"]);
                let fits = match code {
                    "not_a_member" => state.check_refusal(&line.before, code).is_ok(),
                    "session_not_found" => state.sessions[session].is_ending,
                    "position_unknown" => line.must_fail,
                    "unavailable" => is_restart(&state, generation),
                    _ => false,
                };
                if code == "unavailable" && fits {
                    return memory.end(&state, &End::Broken("a restart".into()));
                }
                memory.hang_up();
                return if fits { Ok(()) } else { Err(format!("a poll gets {status} {body}")) };
            }
        };
        let page: EventPage = serde_json::from_value(body).map_err(|e| e.to_string())?;
        if page.epoch != state.epoch {
            return Err(format!("a page of epoch {}", page.epoch));
        }
        let last = page.events.last().map_or(0, |event| event.seq);
        for event in page.events {
            memory.take(&mut state, me, event)?;
        }
        let at = memory.copies.get(&session).map_or(0, Copy::at);
        let known = &mut state.sessions[session];
        if page.head < last {
            return Err(format!("a page up to {last} with head {}", page.head));
        }
        known.head = known.head.max(page.head);
        let head = known.head;
        let line = memory.line.as_mut().ok_or("no line")?;
        let following = line.followings.get_mut(&session).ok_or("no following")?;
        if following.over.is_some() {
            memory.hang_up();
            return Ok(());
        }
        following.began = Instant::now();
        following.head_min = head;
        line.before = state.before(self.user, session);
        drop((memory, state));
        self.poll(session, at);
        Ok(())
    }
}
