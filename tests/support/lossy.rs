//! A bus that is as bad as a bus may be: between the nodes and the server that carries their notes
//! stands a proxy that understands just enough to find the notes, and drops, repeats, delays and
//! reorders them, or cuts the connections that carry them. All else passes as it is.
#![allow(dead_code)]

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, JoinSet};

use super::Dice;

/// A note that is delayed comes so much later, at most.
const DELAY_MS_MAX: u64 = 800;
/// Of a hundred notes so many are dropped, repeated, delayed.
const DROPPED: u64 = 25;
const REPEATED: u64 = 15;
const DELAYED: u64 = 25;
/// One note of so many is the last of the connection that carries it.
const CUT_AFTER: u64 = 300;

/// PostgreSQL, section "Message Formats": a client asks for TLS with this code, and a notification
/// begins with this byte.
const SSL_REQUEST: u32 = 80_877_103;
const NOTIFICATION: u8 = b'A';

/// What carries the notes.
#[derive(Clone, Debug)]
pub enum Carrier {
    /// A PostgreSQL, by its socket.
    Postgres(PathBuf),
    /// A NATS server.
    Nats(SocketAddr),
}

/// The proxy. It ends with its value, and so does what it carries.
pub struct Lossy {
    address: SocketAddr,
    told: Arc<Told>,
    task: AbortHandle,
}

/// What became of the notes.
#[derive(Default)]
struct Told {
    passed: AtomicU64,
    dropped: AtomicU64,
    repeated: AtomicU64,
    delayed: AtomicU64,
    cuts: AtomicU64,
}

impl Lossy {
    pub async fn before(carrier: Carrier, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it has an address");
        let told = Arc::<Told>::default();
        let dice = Arc::new(Mutex::new(Dice::new(seed)));
        let serve = serve(listener, carrier, dice, told.clone());
        Self { address, told, task: tokio::spawn(serve).abort_handle() }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it did, for whoever wonders whether it did anything.
    pub fn summary(&self) -> String {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Told { passed, dropped, repeated, delayed, cuts } = &*self.told;
        format!(
            "{} notes passed, {} dropped, {} repeated, {} delayed, {} cuts",
            of(passed),
            of(dropped),
            of(repeated),
            of(delayed),
            of(cuts),
        )
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, carrier: Carrier, dice: Arc<Mutex<Dice>>, told: Arc<Told>) {
    let mut carried = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while carried.try_join_next().is_some() {}
        let chance = Chance { dice: dice.clone(), told: told.clone(), cut: Notify::new() };
        // Either end's end is the other's.
        let carry = carry(client, carrier.clone(), chance);
        carried.spawn(async move { drop(carry.await) });
    }
}

type FromServer = BufReader<Box<dyn AsyncRead + Send + Unpin>>;
type ToServer = Box<dyn AsyncWrite + Send + Unpin>;

impl Carrier {
    /// A connection to it, begun as the client begins.
    async fn connect(&self, client: &mut TcpStream) -> io::Result<(FromServer, ToServer)> {
        let (from, to): (Box<dyn AsyncRead + Send + Unpin>, ToServer) = match self {
            Self::Postgres(socket) => {
                let first = start_of(client).await?;
                let (from, mut to) = UnixStream::connect(socket).await?.into_split();
                to.write_all(&first).await?;
                (Box::new(from), Box::new(to))
            }
            Self::Nats(address) => {
                let server = TcpStream::connect(address).await?;
                server.set_nodelay(true)?;
                let (from, to) = server.into_split();
                (Box::new(from), Box::new(to))
            }
        };
        Ok((BufReader::new(from), to))
    }

    /// The server's next message, whole, and whether it carries notes; none at the end.
    async fn next(&self, from: &mut FromServer) -> io::Result<Option<(Vec<u8>, bool)>> {
        let mut message = Vec::new();
        match self {
            Self::Postgres(_) => {
                let mut head = [0; 5];
                if from.read(&mut head[..1]).await? == 0 {
                    return Ok(None);
                }
                from.read_exact(&mut head[1..]).await?;
                let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
                message.extend(head);
                message.resize(1 + length.max(4), 0);
                from.read_exact(&mut message[5..]).await?;
                let is_note = head[0] == NOTIFICATION;
                Ok(Some((message, is_note)))
            }
            Self::Nats(_) => {
                if from.read_until(b'\n', &mut message).await? == 0 {
                    return Ok(None);
                }
                let line = String::from_utf8_lossy(&message);
                let is_note = line.starts_with("MSG ") || line.starts_with("HMSG ");
                let length = line.split_whitespace().last().and_then(|it| it.parse::<usize>().ok());
                if let Some(length) = length.filter(|_| is_note) {
                    let start = message.len();
                    // Behind the payload is another end of line.
                    message.resize(start + length + 2, 0);
                    from.read_exact(&mut message[start..]).await?;
                }
                Ok(Some((message, is_note)))
            }
        }
    }
}

async fn carry(mut client: TcpStream, carrier: Carrier, chance: Chance) -> io::Result<()> {
    client.set_nodelay(true)?;
    let (mut from_server, mut to_server) = carrier.connect(&mut client).await?;
    let (mut from_client, to_client) = client.into_split();
    let up = async { tokio::io::copy(&mut from_client, &mut to_server).await.map(drop) };
    let (sender, messages) = mpsc::channel(64);
    let down = async {
        while let Some((message, is_note)) = carrier.next(&mut from_server).await? {
            let fate = if is_note { chance.fate() } else { Fate::Passed };
            fate.meet(message, &sender).await?;
        }
        Ok(())
    };
    // The first that ends, ends all.
    tokio::select! {
        ended = up => ended,
        ended = down => ended,
        ended = write(messages, to_client) => ended,
        () = chance.cut.notified() => Ok(()),
    }
}

/// The client's first message; if it asks for TLS, there is none.
async fn start_of(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    loop {
        let mut head = [0; 8];
        client.read_exact(&mut head).await?;
        let [length, code] = [&head[..4], &head[4..]]
            .map(|part| u32::from_be_bytes(part.try_into().expect("four bytes")));
        if code == SSL_REQUEST {
            client.write_all(b"N").await?;
            continue;
        }
        let mut first = head.to_vec();
        first.resize((length as usize).max(8), 0);
        client.read_exact(&mut first[8..]).await?;
        return Ok(first);
    }
}

async fn write(
    mut messages: mpsc::Receiver<Vec<u8>>,
    mut client: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    while let Some(message) = messages.recv().await {
        client.write_all(&message).await?;
    }
    Ok(())
}

/// What happens to the notes of one connection.
struct Chance {
    dice: Arc<Mutex<Dice>>,
    told: Arc<Told>,
    cut: Notify,
}

/// What happens to one note.
enum Fate {
    Dropped,
    Passed,
    Repeated,
    Delayed(Duration),
}

impl Chance {
    fn fate(&self) -> Fate {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        let (roll, told) = (dice.below(100), &self.told);
        let (count, fate) = if roll < DROPPED {
            (&told.dropped, Fate::Dropped)
        } else if roll < DROPPED + REPEATED {
            (&told.repeated, Fate::Repeated)
        } else if roll < DROPPED + REPEATED + DELAYED {
            let time = Duration::from_millis(dice.below(DELAY_MS_MAX));
            (&told.delayed, Fate::Delayed(time))
        } else {
            (&told.passed, Fate::Passed)
        };
        count.fetch_add(1, Ordering::Relaxed);
        if dice.below(CUT_AFTER) == 0 {
            told.cuts.fetch_add(1, Ordering::Relaxed);
            self.cut.notify_one();
        }
        fate
    }
}

impl Fate {
    async fn meet(self, message: Vec<u8>, to: &mpsc::Sender<Vec<u8>>) -> io::Result<()> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        match self {
            Self::Dropped => Ok(()),
            Self::Passed => to.send(message).await.map_err(gone),
            Self::Repeated => {
                to.send(message.clone()).await.map_err(gone)?;
                to.send(message).await.map_err(gone)
            }
            Self::Delayed(time) => {
                let to = to.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(time).await;
                    // The connection may have ended.
                    let _ = to.send(message).await;
                });
                Ok(())
            }
        }
    }
}
