//! Does a plan: tells devices and users what to do, without waiting for either, but at the quiet
//! points; there it waits until everybody has everything, and compares.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::deeds::{self, Judged};
use super::device::{Device, Order, Remote};
use super::home::{Home, Restarts};
use super::memory::Standing;
use super::plan::{By, DEVICES, FULL_DEVICES, From, QUIET, SESSIONS, Step, USERS, Way};
use super::world::World;
use super::{truth, verdict};

/// Calls under way at the same time.
pub(super) const DEEDS_MAX: usize = 24;

/// What came of a run.
#[derive(Debug, Default)]
pub struct Summary {
    /// Of the longest log.
    pub events: u64,
}

/// A run of a plan.
pub(super) struct Run {
    home: Home,
    pub(super) world: Arc<World>,
    devices: Vec<Remote>,
    pub(super) busy: Arc<AtomicUsize>,
    /// What has to come has come long before this.
    patience: Duration,
    summary: Summary,
}

/// Does a plan on a server of its own, a check at its end. An error tells what was wrong, and
/// the number of the step at which that was known.
pub async fn run(
    plan: &[Step],
    (restarts, seed): (Restarts, u64),
    patience: Duration,
) -> Result<Summary, (usize, String)> {
    let home = Home::new(restarts, seed).await;
    let world = Arc::new(World::new(&home.authority()));
    let devices = (0..DEVICES).map(|number| Device::start(&world, number)).collect();
    let busy = Arc::default();
    let mut run = Run { home, world, devices, busy, patience, summary: Summary::default() };
    let done = run.all(plan).await;
    let failure = run.world.state().failure.take();
    run.devices.clear();
    run.home.stop().await;
    match (failure, done) {
        (Some(failure), Ok(())) => Err((plan.len(), failure)),
        (Some(failure), Err((step, _))) => Err((step, failure)),
        (None, Err(error)) => Err(error),
        (None, Ok(())) => Ok(run.summary),
    }
}

impl Run {
    async fn all(&mut self, plan: &[Step]) -> Result<(), (usize, String)> {
        for user in 0..USERS {
            let reply = self.world.call(user, "GET", "/api/users/profile").send().await;
            reply.map_err(|error| (0, error))?;
        }
        for slot in 0..=QUIET {
            self.world.create_session(slot).await.map_err(|error| (0, error))?;
        }
        for user in 0..USERS {
            deeds::add(self.world.clone(), self.slot(QUIET), user).await.map_err(|e| (0, e))?;
        }
        let end = [Step::Check];
        for (number, step) in plan.iter().chain(&end).enumerate() {
            let done = self.step(step).await;
            if let Err(what) = done {
                self.world.fail(&format!("{step:?}"), &what);
            }
            if self.world.has_failed() {
                return Err((number, String::new()));
            }
        }
        Ok(())
    }

    /// The session that is in a slot now.
    pub(super) fn slot(&self, slot: usize) -> usize {
        self.world.state().slots[slot]
    }

    /// One of the session's sends that are as wanted.
    pub(super) fn pick(
        &self,
        session: usize,
        pick: u64,
        is_wanted: impl Fn(&super::known::Send) -> bool,
    ) -> Option<usize> {
        let state = self.world.state();
        let sends = state.sessions[session].sends.iter().enumerate();
        let wanted: Vec<_> = sends.filter(|(_, send)| is_wanted(send)).map(|(n, _)| n).collect();
        // The last ones are under way, or were a moment ago.
        let recent = &wanted[wanted.len().saturating_sub(12)..];
        let pool = if pick.is_multiple_of(3) { &wanted } else { recent };
        (!pool.is_empty()).then(|| pool[pick as usize % pool.len()])
    }

    pub(super) async fn tell(&self, device: usize, order: Order) {
        // A device that has failed takes no orders; the failure is known.
        let _ = self.devices[device].orders.send(order).await;
    }

    pub(super) fn way(&self, device: usize) -> Option<Way> {
        self.devices[device].memory().line.as_ref().map(|line| line.way)
    }

    /// Whether the device can send to that session over its socket.
    pub(super) fn speaks(&self, device: usize, session: usize) -> bool {
        let memory = self.devices[device].memory();
        memory.line.as_ref().is_some_and(|line| match line.way {
            Way::Free | Way::Bound => line.followings.contains_key(&session),
            Way::Plain => line.bound == Some(session),
            Way::Stream | Way::Poll => false,
        })
    }

    /// Over a plain socket a repeat can't be told from an event.
    pub(super) fn unless_plain(&self, by: By) -> By {
        match by {
            By::Socket(device) if self.way(device) == Some(Way::Plain) => By::Rest(device % USERS),
            by => by,
        }
    }

    pub(super) async fn send(&self, by: By, session: usize, send: usize) {
        match by {
            By::Socket(device) if self.speaks(device, session) => {
                let is_plain = device >= FULL_DEVICES;
                self.world.state().sessions[session].sends[send].is_plain |= is_plain;
                self.tell(device, Order::Send { session, send }).await;
            }
            by => self.deed(deeds::send(self.world.clone(), by.user(), session, send)),
        }
    }

    /// Something that a user does beside all others.
    pub(super) fn deed(&self, deed: impl Future<Output = Judged> + std::marker::Send + 'static) {
        let (world, busy) = (self.world.clone(), self.busy.clone());
        busy.fetch_add(1, Ordering::AcqRel);
        tokio::spawn(async move {
            if let Err(what) = deed.await {
                world.fail("a call", &what);
            }
            busy.fetch_sub(1, Ordering::AcqRel);
            world.news.notify_waiters();
        });
    }

    /// Waits for what has to come.
    pub(super) async fn until(&self, is_so: impl Fn(&Self) -> bool) -> Judged {
        self.wait(|run| if is_so(run) { None } else { Some("calls are not answered".into()) }).await
    }

    /// Waits until nothing is lacking any more.
    async fn wait(&self, lacks: impl Fn(&Self) -> Option<String>) -> Judged {
        let deadline = Instant::now() + self.patience;
        loop {
            let news = self.world.news.notified();
            tokio::pin!(news);
            // From here on no news is lost.
            news.as_mut().enable();
            let Some(lack) = lacks(self) else { return Ok(()) };
            if self.world.has_failed() {
                return Ok(());
            }
            if tokio::time::timeout_at(deadline.into(), news).await.is_err() {
                return Err(lack);
            }
        }
    }

    /// Rounds of a message and the only follower at once: what falls between is missing, as
    /// nothing comes behind it.
    pub(super) async fn ambush(
        &self,
        device: usize,
        user: usize,
        rounds: u64,
        delay: Duration,
    ) -> Judged {
        let session = self.slot(QUIET);
        self.tell(device, Order::Wake).await;
        if self.way(device) != Some(Way::Free) {
            let order = Order::Connect { way: Way::Free, session, from: From::Live };
            self.tell(device, order).await;
        }
        let from = From::Live;
        for round in 1..=rounds {
            let send = self.world.state().new_send(session, user, 30, true);
            let join = async {
                pause(delay * u32::try_from(round).unwrap_or(1)).await;
                self.tell(device, Order::Follow { session, from }).await;
            };
            let deed = deeds::send(self.world.clone(), user, session, send);
            tokio::join!(deed, join).0?;
            self.rest_of(device).await;
            let standing = truth::standing(&self.world, session).await?;
            let standings = HashMap::from([(session, standing)]);
            self.wait(|run| run.lack_of(device, &standings)).await?;
            self.tell(device, Order::Leave { session }).await;
        }
        Ok(())
    }

    /// What a device waits for.
    fn lack_of(&self, device: usize, standings: &HashMap<usize, Standing>) -> Option<String> {
        let remote = &self.devices[device];
        let lack = remote.memory().lacks(self.world.people[remote.user].id, standings)?;
        Some(format!("device {device} of user {}: {lack}", remote.user))
    }

    async fn rest_of(&self, device: usize) {
        let (done, is_done) = oneshot::channel();
        self.tell(device, Order::Rest(done)).await;
        // One that has failed does not answer; the failure is known.
        let _ = is_done.await;
    }

    pub(super) async fn restart(&mut self) {
        self.world.state().restarts += 1;
        self.home.restart().await;
        {
            let mut state = self.world.state();
            state.authority = self.home.authority();
            state.restarts += 1;
        }
        for device in 0..DEVICES {
            self.tell(device, Order::ComeBack).await;
        }
    }

    /// All orders are obeyed, all calls answered.
    async fn rest(&self) -> Judged {
        for device in 0..DEVICES {
            self.rest_of(device).await;
        }
        self.until(|run| run.busy.load(Ordering::Acquire) == 0).await?;
        self.wait(|run| {
            run.devices.iter().enumerate().find_map(|(number, device)| {
                let memory = device.memory();
                let line = memory.line.as_ref().filter(|_| !memory.is_stalled)?;
                let asked = line.asked.front()?;
                Some(format!("device {number} waits for the answer to {asked:?}"))
            })
        })
        .await
    }

    /// Waits until everybody who reads has everything.
    pub(super) async fn settle(&self) -> Result<HashMap<usize, Standing>, String> {
        self.rest().await?;
        let mut standings = HashMap::new();
        if self.world.has_failed() {
            return Ok(standings);
        }
        let count = self.world.state().sessions.len();
        for session in 0..count {
            standings.insert(session, truth::standing(&self.world, session).await?);
        }
        self.wait(|run| (0..DEVICES).find_map(|device| run.lack_of(device, &standings))).await?;
        Ok(standings)
    }

    /// Everybody awake and settled, everything asked again that was not answered, all compared.
    pub(super) async fn check(&mut self) -> Judged {
        for device in 0..DEVICES {
            self.tell(device, Order::Wake).await;
        }
        self.settle().await?;
        self.ask_again();
        let standings = self.settle().await?;
        if self.world.has_failed() {
            return Ok(());
        }
        let mut truths = HashMap::new();
        for (&session, _) in standings.iter().filter(|(_, standing)| !standing.is_gone) {
            let began = Instant::now();
            let told = |error| format!("session {session}: {error}");
            let truth = truth::read(&self.world, session).await.map_err(told)?;
            truth.check(&self.world.state().sessions[session]).map_err(told)?;
            verdict::see_all(&self.world, session, &truth, began).map_err(told)?;
            verdict::check_sends(&self.world.state().sessions[session], &truth).map_err(told)?;
            self.summary.events = self.summary.events.max(truth.session.last_seq);
            truths.insert(session, truth);
        }
        for user in 0..USERS {
            let list = truth::list(&self.world, user).await?;
            verdict::check_list(&self.world, user, &list, &truths)?;
        }
        for (number, device) in self.devices.iter().enumerate() {
            let compared = device.memory().compare(&truths, &self.world, device.user);
            compared.map_err(|error| format!("device {number}: {error}"))?;
        }
        self.go_on(&standings).await
    }

    /// What was sent under a name and not answered is sent once more.
    fn ask_again(&self) {
        let mut open = Vec::new();
        for (session, known) in self.world.state().sessions.iter().enumerate() {
            let sends = known.sends.iter().enumerate().filter(|(_, send)| {
                send.is_open() && send.client_id.is_some() && !send.is_twisted && !known.is_gone
            });
            open.extend(sends.map(|(number, send)| (send.user, session, number)));
        }
        for (user, session, number) in open {
            self.deed(deeds::send(self.world.clone(), user, session, number));
        }
    }

    /// What is certain now; slots whose session is gone get another.
    async fn go_on(&self, standings: &HashMap<usize, Standing>) -> Judged {
        {
            let mut state = self.world.state();
            for (&session, standing) in standings.iter().filter(|(_, one)| !one.is_gone) {
                let known = &mut state.sessions[session];
                known.is_ending = false;
                for (person, member) in self.world.people.iter().zip(&mut known.members) {
                    member.certain = Some(standing.members.contains(&person.id));
                }
            }
        }
        for slot in 0..SESSIONS {
            let session = self.slot(slot);
            let is_gone = self.world.state().sessions[session].is_gone;
            if is_gone {
                self.world.create_session(slot).await?;
            }
        }
        Ok(())
    }
}

/// A short time, more exactly than a timer has it.
async fn pause(time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        tokio::task::yield_now().await;
    }
}
