//! THE DOMAIN: what people may do in shared sessions, and what then happens.
//!
//! Whatever comes over REST, the socket or the CLI goes through the same functions here. They
//! check the form of what is asked ([`messages`], [`sessions`]), look membership up ([`access`]:
//! a [`Member`] is the key to everything that needs it), and leave rights that must hold at a
//! place in the order to the store's transaction. What was committed is delivered by
//! [`deliver`]; who follows a session reads it through a [`Follower`]: replay, live and every
//! kind of gap are the same code there.
//!
//! It knows nothing of HTTP, sockets, tokens or databases.

mod access;
mod activity;
mod cursor;
pub mod deliver;
mod early;
mod error;
mod events;
mod fill;
mod follow;
mod hear;
mod messages;
mod nodes;
mod note;
mod pages;
mod participants;
mod rate;
mod sessions;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::frame::ServerFrame;
use protocol::{UserId, UserKind, websocket};

use tokio_util::sync::CancellationToken;

pub use crate::hub::Identity;

use crate::bus::Ears;
use crate::hub::{Hub, PULSE};
use crate::metrics::Metrics;
use crate::store::Store;

pub use access::Member;
pub use error::Error;
pub use events::{Ask, Feed};
pub use follow::{Follower, Position, Step};
pub use messages::{
    Admitted, Checked, Range, Sent, check_content, is_client_id, is_content, is_file_url,
};
pub use nodes::Nodes;
pub use pages::Page;
pub use sessions::check_title;

/// What the domain answers.
pub type Result<T> = std::result::Result<T, Error>;

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actor {
    pub user: UserId,
    pub kind: UserKind,
}

/// What may be set about the domain.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// Humans may mark messages as an AI's.
    pub trust_client_ai_flag: bool,
    /// Messages a second and user; 0: no limit.
    pub message_rate_max: u32,
    /// Sockets and streams of one user; 0: no limit.
    pub connections_per_user_max: usize,
    /// Sockets and streams from one address; 0: no limit.
    pub connections_per_address_max: usize,
    /// Between two looks at the heads of all followed sessions, where there are other nodes.
    pub head_check_interval: Duration,
}

/// The domain. One a node.
pub struct Chat {
    store: Arc<dyn Store>,
    hub: Arc<Hub>,
    metrics: Arc<Metrics>,
    settings: Settings,
    /// Of the store, as of the start of this node.
    epoch: String,
    pages: Arc<pages::Pages>,
    activity: activity::Activity,
    rates: rate::Rates,
    fills: fill::Fills,
    early: early::Early,
    /// None on a node that is alone.
    nodes: Option<nodes::Nodes>,
}

impl Chat {
    /// Reads the epoch; fails where the store does.
    pub async fn new(
        store: Arc<dyn Store>,
        hub: Arc<Hub>,
        metrics: Arc<Metrics>,
        settings: Settings,
        nodes: Option<Nodes>,
    ) -> Result<Arc<Self>> {
        let epoch = store.epoch().await?;
        let pages = Arc::new(pages::Pages::new(store.clone(), metrics.clone()));
        let activity = activity::Activity::default();
        let rates = rate::Rates::new(settings.message_rate_max);
        let (fills, early) = (fill::Fills::default(), early::Early::default());
        Ok(Arc::new(Self {
            store,
            hub,
            metrics,
            settings,
            epoch,
            pages,
            activity,
            rates,
            fills,
            early,
            nodes,
        }))
    }

    /// What has to be done beside the connections, until `stop`: what is due by the clock, news of
    /// sessions for those who do not follow them, pages that are out of date; and, where there are
    /// other nodes, what is told to them and heard by `ears`.
    pub async fn tend(self: Arc<Self>, ears: Option<Ears>, stop: CancellationToken) {
        tokio::join!(
            self.beat(&stop),
            self.tell_activity(&stop),
            self.pages.keep_fresh(&stop),
            self.fill_rings(&stop),
            self.end_waiting(&stop),
            self.tell_nodes(&stop),
            self.hear_nodes(ears, &stop),
            self.watch_nodes(&stop),
        );
    }

    /// Keeps the hub's clock, as the hub itself waits for nothing.
    async fn beat(&self, stop: &CancellationToken) {
        let mut round = 0_u32;
        while stop.run_until_cancelled(tokio::time::sleep(PULSE)).await.is_some() {
            round = round.wrapping_add(1);
            self.hub.beat(round);
        }
    }

    #[must_use]
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    #[must_use]
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// How the bus is, where there is one.
    #[must_use]
    pub fn bus_state(&self) -> Option<std::result::Result<(), String>> {
        self.nodes.as_ref().map(Nodes::state)
    }

    /// The health of what everything stands on.
    pub async fn health(&self) -> crate::store::Health {
        self.store.health().await
    }
}

/// One finished v1 frame.
fn frame_of(frame: &ServerFrame) -> Bytes {
    let mut out = Vec::with_capacity(256);
    websocket::put_json(&mut out, frame);
    Bytes::from(out)
}
