//! What is to be done: a list of steps, which its seed alone determines.
//!
//! A step names devices, users and sessions by small numbers, and what it picks (one of my
//! messages, say) by a number that is taken modulo what is there when it runs. So any part of a
//! plan is a plan, and a failing one can be shrunk by leaving steps out.
//!
//! Each seed has a climate of its own: some kinds of steps are frequent in it, others do not
//! occur. Plans that do everything a little find less.

use crate::support::Dice;

pub const USERS: usize = 4;
pub const SESSIONS: usize = 5;
/// The slot of a session that nobody follows but in ambushes, and whose members stay.
pub const QUIET: usize = SESSIONS;
/// Devices that keep the whole log; device `d` belongs to user `d % USERS`.
pub const FULL_DEVICES: usize = 8;
/// Devices behind them that speak the plain protocol.
pub const PLAIN_DEVICES: usize = 4;
pub const DEVICES: usize = FULL_DEVICES + PLAIN_DEVICES;

/// How a device is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `assistdeck.v1` without a session; it follows what it likes.
    Free,
    /// `assistdeck.v1`, opened with a session.
    Bound,
    Plain,
    Stream,
    Poll,
}

/// Where a following begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// Without `after`.
    Live,
    /// Behind what the device has.
    Kept,
    /// At the beginning.
    Zero,
    /// So much before the end of what the device has.
    Back(u64),
    /// Beyond the head.
    Beyond,
    /// Where the device is, but of another epoch.
    OtherEpoch,
}

/// How a connection is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// With a close frame.
    Close,
    /// Without a word.
    Drop,
    /// With a reset.
    Reset,
    /// In the middle of a frame.
    MidFrame,
}

/// Who sends, and thereby over which door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Socket(usize),
    Rest(usize),
}

impl By {
    /// Whoever it is.
    pub fn user(self) -> usize {
        match self {
            Self::Rest(user) => user,
            Self::Socket(device) => device % USERS,
        }
    }
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Connect {
        device: usize,
        way: Way,
        session: usize,
        from: From,
    },
    Cut {
        device: usize,
        how: Cut,
    },
    /// The device reads no more, until it is woken or a check comes.
    Stall {
        device: usize,
    },
    Wake {
        device: usize,
    },
    Follow {
        device: usize,
        session: usize,
        from: From,
    },
    Leave {
        device: usize,
        session: usize,
    },
    /// Followed, left, and another one followed, in one breath.
    Flurry {
        device: usize,
        session: usize,
        other: usize,
    },
    Type {
        device: usize,
        session: usize,
        on: bool,
    },
    Say {
        by: By,
        session: usize,
        bytes: usize,
        named: bool,
    },
    /// Many at once, all in flight together.
    Burst {
        device: usize,
        session: usize,
        count: usize,
        bytes: usize,
    },
    /// A message while somebody joins.
    JoinAndSay {
        device: usize,
        user: usize,
        session: usize,
    },
    /// A message at the very moment when the only follower joins, again and again.
    Ambush {
        device: usize,
        user: usize,
        rounds: u64,
        delay_us: u64,
    },
    /// The same request once more.
    Again {
        by: By,
        session: usize,
        pick: u64,
    },
    /// The same new request over socket and REST at once, and over REST twice.
    Twice {
        device: usize,
        session: usize,
    },
    /// Other contents under a `client_id` that was used.
    Twist {
        by: By,
        session: usize,
        pick: u64,
    },
    Edit {
        user: usize,
        session: usize,
        pick: u64,
        bytes: usize,
    },
    Delete {
        user: usize,
        session: usize,
        pick: u64,
    },
    Add {
        session: usize,
        user: usize,
    },
    Remove {
        session: usize,
        user: usize,
    },
    /// A participant leaves by themselves.
    Depart {
        session: usize,
        user: usize,
    },
    /// Removed and added again, at once.
    Swing {
        session: usize,
        user: usize,
    },
    Rename {
        session: usize,
    },
    /// A read mark, over REST or (`device`) over the socket.
    Mark {
        by: By,
        session: usize,
        pick: u64,
    },
    /// The session is deleted, and another one takes its slot.
    Replace {
        session: usize,
    },
    /// Nothing new until everybody who reads has everything.
    Settle,
    /// The same with everybody awake; then all is compared with the store.
    Check,
    /// The server stops in good order and starts again on the same folder.
    Restart,
}

/// Kinds of steps by their usual weight.
const WEIGHTS: [(Kind, u64); 22] = [
    (Kind::Connect, 60),
    (Kind::Cut, 25),
    (Kind::Stall, 15),
    (Kind::Wake, 12),
    (Kind::Follow, 60),
    (Kind::Leave, 12),
    (Kind::Flurry, 8),
    (Kind::Type, 6),
    (Kind::Say, 130),
    (Kind::Burst, 6),
    (Kind::JoinAndSay, 25),
    (Kind::Ambush, 12),
    (Kind::Again, 25),
    (Kind::Twice, 12),
    (Kind::Twist, 10),
    (Kind::Edit, 30),
    (Kind::Delete, 18),
    (Kind::Membership, 60),
    (Kind::Rename, 8),
    (Kind::Mark, 25),
    (Kind::Replace, 3),
    (Kind::Settle, 70),
];

#[derive(Clone, Copy)]
enum Kind {
    Connect,
    Cut,
    Stall,
    Wake,
    Follow,
    Leave,
    Flurry,
    Type,
    Say,
    Burst,
    JoinAndSay,
    Ambush,
    Again,
    Twice,
    Twist,
    Edit,
    Delete,
    Membership,
    Rename,
    Mark,
    Replace,
    Settle,
}

/// Steps between two checks.
const CHECK_EVERY: usize = 125;
/// Steps between two restarts, where there are any.
const RESTART_EVERY: usize = 170;

/// The plan of a seed.
pub fn plan(seed: u64, steps: usize, restarts: bool) -> Vec<Step> {
    let mut maker = Maker::new(seed);
    let mut plan = maker.beginning();
    while plan.len() < steps {
        if restarts && plan.len() % RESTART_EVERY == RESTART_EVERY - 1 {
            plan.push(Step::Restart);
        }
        if plan.len() % CHECK_EVERY == CHECK_EVERY - 1 {
            plan.push(Step::Check);
        }
        let step = maker.step();
        plan.push(step);
    }
    plan
}

struct Maker {
    dice: Dice,
    weights: Vec<(Kind, u64)>,
    /// How many of the sessions are busy.
    busy: u64,
}

impl Maker {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed.wrapping_mul(0x9E37_79B9).wrapping_add(0xA55));
        let weights = WEIGHTS.map(|(kind, weight)| {
            let climate = [0, 1, 1, 2, 4][dice.below(5) as usize];
            let always = matches!(kind, Kind::Connect | Kind::Follow | Kind::Say | Kind::Settle);
            (kind, weight * if always { climate.max(1) } else { climate })
        });
        let busy = 2 + dice.below(SESSIONS as u64 - 1);
        Self { dice, weights: weights.to_vec(), busy }
    }

    /// Some members and some connections to begin with.
    fn beginning(&mut self) -> Vec<Step> {
        let mut plan = Vec::new();
        for session in 0..SESSIONS {
            for user in 0..USERS {
                if user != session % USERS && self.dice.below(4) > 0 {
                    plan.push(Step::Add { session, user });
                }
            }
        }
        for device in 0..DEVICES {
            if self.dice.below(3) > 0 {
                plan.push(self.connect(device));
            }
        }
        plan
    }

    fn step(&mut self) -> Step {
        let (device, user, session) = (self.device(), self.user(), self.session());
        let pick = self.dice.below(1_000);
        match self.kind() {
            Kind::Connect => self.connect(device),
            Kind::Cut => Step::Cut { device, how: self.cut() },
            Kind::Stall => Step::Stall { device },
            Kind::Wake => Step::Wake { device },
            Kind::Follow => Step::Follow { device, session, from: self.from() },
            Kind::Leave => Step::Leave { device, session },
            Kind::Flurry => Step::Flurry { device, session, other: self.session() },
            Kind::Type => Step::Type { device, session, on: !pick.is_multiple_of(3) },
            Kind::Say => Step::Say {
                by: self.by(),
                session,
                bytes: self.bytes(),
                named: !pick.is_multiple_of(4),
            },
            Kind::Burst => {
                let (count, bytes) = (4 + self.dice.below(24) as usize, self.burst_bytes());
                Step::Burst { device, session, count, bytes }
            }
            Kind::JoinAndSay => Step::JoinAndSay { device, user, session },
            Kind::Ambush => {
                let (rounds, delay_us) = (4 + pick % 5, 50 + self.dice.below(1_000));
                Step::Ambush { device: device % FULL_DEVICES, user, rounds, delay_us }
            }
            Kind::Again => Step::Again { by: self.by(), session, pick },
            Kind::Twice => Step::Twice { device, session },
            Kind::Twist => Step::Twist { by: self.by(), session, pick },
            Kind::Edit => Step::Edit { user, session, pick, bytes: self.bytes() },
            Kind::Delete => Step::Delete { user, session, pick },
            Kind::Membership => match pick % 8 {
                0..4 => Step::Add { session, user },
                4 | 5 => Step::Remove { session, user },
                6 => Step::Swing { session, user },
                _ => Step::Depart { session, user },
            },
            Kind::Rename => Step::Rename { session },
            Kind::Mark => Step::Mark { by: self.by(), session, pick },
            Kind::Replace => Step::Replace { session },
            Kind::Settle => Step::Settle,
        }
    }

    fn kind(&mut self) -> Kind {
        let sum = self.weights.iter().map(|(_, weight)| weight).sum();
        let mut rolled = self.dice.below(sum);
        for &(kind, weight) in &self.weights {
            if rolled < weight {
                return kind;
            }
            rolled -= weight;
        }
        Kind::Settle
    }

    fn connect(&mut self, device: usize) -> Step {
        let way = match self.dice.below(8) {
            _ if device >= FULL_DEVICES => Way::Plain,
            0..4 => Way::Free,
            4 | 5 => Way::Bound,
            6 => Way::Stream,
            _ => Way::Poll,
        };
        Step::Connect { device, way, session: self.session(), from: self.from() }
    }

    fn from(&mut self) -> From {
        match self.dice.below(24) {
            0..6 => From::Live,
            6..16 => From::Kept,
            16..19 => From::Zero,
            19..22 => From::Back(1 + self.dice.below(20)),
            22 => From::Beyond,
            _ => From::OtherEpoch,
        }
    }

    fn cut(&mut self) -> Cut {
        [Cut::Close, Cut::Drop, Cut::Reset, Cut::MidFrame][self.dice.below(4) as usize]
    }

    fn by(&mut self) -> By {
        match self.dice.below(2) {
            0 => By::Socket(self.device()),
            _ => By::Rest(self.user()),
        }
    }

    /// Mostly small; sometimes large enough that a few of them overrun a ring.
    fn bytes(&mut self) -> usize {
        match self.dice.below(24) {
            0 => 20_000 + self.dice.below(45_000) as usize,
            1..4 => 1_000 + self.dice.below(5_000) as usize,
            _ => 16 + self.dice.below(100) as usize,
        }
    }

    fn burst_bytes(&mut self) -> usize {
        [60, 5_000, 60_000][self.dice.below(3) as usize]
    }

    fn device(&mut self) -> usize {
        self.dice.below(DEVICES as u64) as usize
    }

    fn user(&mut self) -> usize {
        self.dice.below(USERS as u64) as usize
    }

    fn session(&mut self) -> usize {
        let sessions = if self.dice.below(5) > 0 { self.busy } else { SESSIONS as u64 };
        self.dice.below(sessions) as usize
    }
}
