//! A device: one task that does as it is told and hears what comes, and judges it at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::link::{Heard, Link};
use super::memory::{Asked, Memory, What};
use super::plan::{Cut, From, USERS, Way};
use super::world::World;

/// What a device is told to do. Sessions are numbers of the model.
pub enum Order {
    Connect {
        way: Way,
        session: usize,
        from: From,
    },
    Cut(Cut),
    Stall,
    Wake,
    Follow {
        session: usize,
        from: From,
    },
    Leave {
        session: usize,
    },
    Type {
        session: usize,
        on: bool,
    },
    Send {
        session: usize,
        send: usize,
    },
    Mark {
        session: usize,
        pick: u64,
    },
    /// Connects as before the restart.
    ComeBack,
    /// Answered when all orders before it were obeyed.
    Rest(oneshot::Sender<()>),
}

/// One device.
pub struct Device {
    pub(super) number: usize,
    pub(super) user: usize,
    pub(super) world: Arc<World>,
    pub(super) memory: Arc<Mutex<Memory>>,
    orders: mpsc::Receiver<Order>,
    pub(super) link: Option<Link>,
    names: u64,
}

/// The driver's end of a device.
pub struct Remote {
    pub user: usize,
    pub orders: mpsc::Sender<Order>,
    memory: Arc<Mutex<Memory>>,
}

impl Remote {
    pub fn memory(&self) -> MutexGuard<'_, Memory> {
        lock(&self.memory)
    }
}

pub(super) fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) type Judged = Result<(), String>;

impl Device {
    /// Starts the device. It ends when its remote is dropped.
    pub fn start(world: &Arc<World>, number: usize) -> Remote {
        let (sender, orders) = mpsc::channel(16);
        let memory = Arc::<Mutex<Memory>>::default();
        let user = number % USERS;
        let device = Self {
            number,
            user,
            world: world.clone(),
            memory: memory.clone(),
            orders,
            link: None,
            names: 0,
        };
        tokio::spawn(device.run());
        Remote { user, orders: sender, memory }
    }

    async fn run(mut self) {
        loop {
            let is_stalled = lock(&self.memory).is_stalled;
            let judged = tokio::select! {
                order = self.orders.recv() => match order {
                    Some(order) => self.obey(order).await,
                    None => return,
                },
                heard = hear(&mut self.link, is_stalled) => self.hear(heard),
            };
            if let Err(what) = judged {
                self.world.fail(&format!("device {} of user {}", self.number, self.user), &what);
                return;
            }
            self.world.news.notify_waiters();
        }
    }

    async fn obey(&mut self, order: Order) -> Judged {
        match order {
            Order::Connect { way, session, from } => self.connect(way, session, from).await,
            Order::Cut(how) => {
                self.cut(how);
                Ok(())
            }
            Order::Stall => {
                let mut memory = lock(&self.memory);
                memory.is_stalled = memory.line.is_some();
                memory.line.iter_mut().for_each(|line| line.was_stalled = true);
                Ok(())
            }
            Order::Wake => {
                lock(&self.memory).is_stalled = false;
                Ok(())
            }
            Order::Follow { session, from } => self.follow(session, from),
            Order::Leave { session } => {
                self.ask(session, What::Leave, |id| json!({"type": "leave", "session_id": id}))
            }
            Order::Type { session, on } => self.ask(
                session,
                What::Type,
                |id| json!({"type": "typing", "session_id": id, "is_typing": on}),
            ),
            Order::Send { session, send } => self.send(session, send),
            Order::Mark { session, pick } => self.mark(session, pick),
            Order::ComeBack => self.come_back().await,
            Order::Rest(done) => {
                let is_asking =
                    lock(&self.memory).line.as_ref().is_some_and(|line| !line.asked.is_empty());
                if is_asking && self.speaks_v1() {
                    let nowhere = protocol::SessionId::new();
                    self.ask(
                        0,
                        What::Probe,
                        |_| json!({"type": "read", "session_id": nowhere, "seq": 0}),
                    )?;
                }
                // The driver may have given up.
                let _ = done.send(());
                Ok(())
            }
        }
    }

    fn speaks_v1(&self) -> bool {
        let memory = lock(&self.memory);
        memory.line.as_ref().is_some_and(|line| matches!(line.way, Way::Free | Way::Bound))
    }

    pub(super) fn cut(&mut self, how: Cut) {
        if let Some(Link::Socket(socket)) = self.link.take() {
            socket.cut(how);
        }
        let mut memory = lock(&self.memory);
        memory.hang_up();
        memory.is_stalled = false;
    }

    async fn come_back(&mut self) -> Judged {
        let Some((way, sessions)) = lock(&self.memory).lost.take() else { return Ok(()) };
        let Some(&first) = sessions.first() else { return Ok(()) };
        self.connect(way, first, From::Kept).await?;
        let others = if way == Way::Free { &sessions[..] } else { &sessions[1..] };
        others.iter().try_for_each(|&session| self.follow(session, From::Kept))
    }

    /// Follows, unless an earlier follow of the session is not answered: a `following` does not
    /// say which of the two it answers.
    fn follow(&mut self, session: usize, from: From) -> Judged {
        let is_open = lock(&self.memory).line.as_ref().is_some_and(|line| {
            let mut follows = line.asked.iter().filter(|asked| asked.session == session);
            follows.any(|asked| matches!(asked.what, What::Follow { .. }))
        });
        if is_open {
            return Ok(());
        }
        let (after, _) = self.position(session, from, false);
        let epoch = if from == From::OtherEpoch {
            "another".into()
        } else {
            self.world.state().epoch.clone()
        };
        self.ask(session, What::Follow { from, after }, |id| {
            let mut frame = json!({"type": "follow", "session_id": id});
            if let Some(after) = after {
                frame["after"] = json!(after);
                frame["epoch"] = json!(epoch);
            }
            frame
        })
    }

    fn send(&mut self, session: usize, send: usize) -> Judged {
        let is_plain = !self.speaks_v1();
        let bound = lock(&self.memory).line.as_ref().and_then(|line| line.bound);
        if is_plain && bound != Some(session) {
            return Ok(());
        }
        let body = self.world.state().body_of(session, send);
        self.ask(session, What::Send(send), |id| {
            let mut frame = body;
            if !is_plain {
                frame["type"] = json!("message.send");
                frame["session_id"] = json!(id);
            }
            frame
        })
    }

    fn mark(&mut self, session: usize, pick: u64) -> Judged {
        let (seq, is_beyond) = {
            let mut state = self.world.state();
            let known = &mut state.sessions[session];
            let (seq, is_beyond) = super::deeds::mark_of(known.head, pick);
            if !is_beyond {
                let mark_max = &mut known.members[self.user].mark_max;
                *mark_max = seq.max(*mark_max);
            }
            (seq, is_beyond)
        };
        self.ask(
            session,
            What::Mark { seq, is_beyond },
            |id| json!({"type": "read", "session_id": id, "seq": seq}),
        )
    }

    /// Sends a command, if there is a socket, and remembers that an answer is due.
    fn ask(&mut self, session: usize, what: What, frame: impl FnOnce(String) -> Value) -> Judged {
        let Some(Link::Socket(socket)) = &mut self.link else { return Ok(()) };
        let mut memory = lock(&self.memory);
        let Some(line) = &mut memory.line else { return Ok(()) };
        if line.way == Way::Plain && !matches!(what, What::Send(_)) {
            return Ok(());
        }
        let mut state = self.world.state();
        let mut frame = frame(state.sessions[session].id.to_string());
        self.names += 1;
        let name = match frame["client_id"].as_str() {
            Some(client_id) => client_id.to_owned(),
            None => format!("r-{}", self.names),
        };
        if !matches!(what, What::Send(_)) {
            frame["ref"] = json!(name);
        }
        if matches!(what, What::Leave | What::Follow { .. }) {
            for earlier in line.asked.iter_mut().filter(|asked| asked.session == session) {
                earlier.is_overtaken = true;
            }
        }
        let (before, head_min) = (state.before(self.user, session), state.sessions[session].head);
        state.note(format!("device {} asks {session} for {what:?}", self.number));
        line.asked.push_back(Asked { what, session, name, before, head_min, is_overtaken: false });
        // Where the socket is broken, that is heard next.
        socket.put(frame.to_string());
        Ok(())
    }

    fn hear(&mut self, heard: Heard) -> Judged {
        let mut memory = lock(&self.memory);
        let mut state = self.world.state();
        let way = memory.line.as_ref().map(|line| line.way).ok_or("heard without a line")?;
        match heard {
            Heard::Frame(frame) if way == Way::Plain => memory.hear_plain(&mut state, &frame),
            Heard::Frame(frame) => memory.hear_v1(&self.world, &mut state, self.user, &frame),
            Heard::Event(event) => {
                let me = self.world.people[self.user].id;
                memory.take(&mut state, me, *event)
            }
            Heard::End(end) => {
                self.link = None;
                memory.is_stalled = false;
                state.note(format!("device {}: {end:?}", self.number));
                memory.end(&state, &end)
            }
            Heard::Page(reply) => {
                drop((memory, state));
                self.link = None;
                self.hear_page(reply)
            }
        }
    }
}

/// What the link brings, if there is one and the device listens.
async fn hear(link: &mut Option<Link>, is_stalled: bool) -> Heard {
    match link {
        Some(Link::Socket(socket)) if is_stalled => socket.turn(false).await,
        Some(link) if !is_stalled => link.next().await,
        _ => std::future::pending().await,
    }
}
