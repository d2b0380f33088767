//! What each step of a plan does.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::deeds::{self, Judged};
use super::device::Order;
use super::plan::{By, FULL_DEVICES, From, Step, USERS, Way};
use super::run::{DEEDS_MAX, Run};

impl Run {
    pub(super) async fn step(&mut self, step: &Step) -> Judged {
        self.world.state().note(format!("-- {step:?}"));
        self.until(|run| run.busy.load(Ordering::Acquire) < DEEDS_MAX).await?;
        match *step {
            Step::Connect { device, way, session, from } => {
                self.tell(device, Order::Connect { way, session: self.slot(session), from }).await;
            }
            Step::Cut { device, how } => self.tell(device, Order::Cut(how)).await,
            Step::Stall { device } => self.tell(device, Order::Stall).await,
            Step::Wake { device } => self.tell(device, Order::Wake).await,
            Step::Follow { device, session, from } => {
                self.tell(device, Order::Follow { session: self.slot(session), from }).await;
            }
            Step::Leave { device, session } => {
                self.tell(device, Order::Leave { session: self.slot(session) }).await;
            }
            Step::Flurry { device, session, other } => {
                let (session, other) = (self.slot(session), self.slot(other));
                self.tell(device, Order::Follow { session, from: From::Live }).await;
                self.tell(device, Order::Leave { session }).await;
                self.tell(device, Order::Follow { session: other, from: From::Kept }).await;
            }
            Step::Type { device, session, on } => {
                self.tell(device, Order::Type { session: self.slot(session), on }).await;
            }
            Step::JoinAndSay { device, user, session } => {
                let session = self.slot(session);
                let order = match self.way(device) {
                    Some(Way::Free) => Order::Follow { session, from: From::Live },
                    _ if device >= FULL_DEVICES => {
                        Order::Connect { way: Way::Plain, session, from: From::Live }
                    }
                    _ => Order::Connect { way: Way::Bound, session, from: From::Live },
                };
                let send = self.world.state().new_send(session, user, 30, true);
                self.send(By::Rest(user), session, send).await;
                self.tell(device, order).await;
            }
            Step::Mark { by, session, pick } => {
                let session = self.slot(session);
                match by {
                    By::Socket(device) if self.speaks(device, session) => {
                        self.tell(device, Order::Mark { session, pick }).await;
                    }
                    by => self.deed(deeds::mark(self.world.clone(), by.user(), session, pick)),
                }
            }
            Step::Ambush { device, user, rounds, delay_us } => {
                self.ambush(device, user, rounds, Duration::from_micros(delay_us)).await?;
            }
            Step::Settle => drop(self.settle().await?),
            Step::Check => self.check().await?,
            Step::Restart => self.restart().await,
            ref other => self.message(other).await,
        }
        Ok(())
    }

    /// What is sent.
    async fn message(&mut self, step: &Step) {
        let world = self.world.clone();
        match *step {
            Step::Say { by, session, bytes, named } => {
                let session = self.slot(session);
                let is_socket = matches!(by, By::Socket(_));
                let named = named || is_socket;
                let send = world.state().new_send(session, by.user(), bytes, named);
                self.send(by, session, send).await;
            }
            Step::Burst { device, session, count, bytes } => {
                let session = self.slot(session);
                for _ in 0..count {
                    let user = device % USERS;
                    let send = world.state().new_send(session, user, bytes, true);
                    self.send(By::Socket(device), session, send).await;
                }
            }
            Step::Again { by, session, pick } => {
                let session = self.slot(session);
                let chosen = self.pick(session, pick, |send| {
                    let may = send.client_id.is_some() && !send.is_twisted;
                    // Over a plain socket the first must not turn out to be the repeat.
                    send.user == by.user() && may && (!send.is_plain || send.found.is_some())
                });
                if let Some(send) = chosen {
                    self.send(self.unless_plain(by), session, send).await;
                }
            }
            Step::Twice { device, session } => {
                let (session, user) = (self.slot(session), device % USERS);
                let send = world.state().new_send(session, user, 40, true);
                self.send(By::Rest(user), session, send).await;
                self.send(self.unless_plain(By::Socket(device)), session, send).await;
                self.send(By::Rest(user), session, send).await;
            }
            Step::Twist { by, session, pick } => {
                let session = self.slot(session);
                let chosen = self.pick(session, pick, |send| {
                    send.user == by.user() && send.client_id.is_some() && send.is_acknowledged
                });
                if let Some(send) = chosen {
                    let twisted = world.state().twisted_send(session, send);
                    self.send(by, session, twisted).await;
                }
            }
            ref other => self.change(other),
        }
    }

    /// What changes what is there already.
    fn change(&self, step: &Step) {
        let world = self.world.clone();
        match *step {
            Step::Edit { user, session, pick, bytes } => {
                let session = self.slot(session);
                let chosen = self.pick(session, pick, |send| {
                    send.found.is_some() && (send.user == user || pick % 10 == 0)
                });
                if let Some(send) = chosen {
                    self.deed(deeds::edit(world, user, session, send, bytes));
                }
            }
            Step::Delete { user, session, pick } => {
                let session = self.slot(session);
                let chosen = self.pick(session, pick, |send| {
                    send.found.is_some() && (send.user == user || pick % 4 == 0)
                });
                if let Some(send) = chosen {
                    self.deed(deeds::delete(world, user, session, send));
                }
            }
            Step::Add { session, user } => self.deed(deeds::add(world, self.slot(session), user)),
            Step::Remove { session, user } => {
                self.deed(deeds::remove(world, self.slot(session), user));
            }
            Step::Depart { session, user } => {
                self.deed(deeds::depart(world, self.slot(session), user));
            }
            Step::Swing { session, user } => {
                let session = self.slot(session);
                self.deed(async move {
                    deeds::remove(world.clone(), session, user).await?;
                    deeds::add(world, session, user).await
                });
            }
            Step::Rename { session } => self.deed(deeds::rename(world, self.slot(session))),
            Step::Replace { session } => self.deed(deeds::replace(world, session)),
            _ => {}
        }
    }
}
