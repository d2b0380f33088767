//! The server as a whole: joins the doors, accepts connections, stops in good order.
//!
//! [`Server::start`] opens everything and serves; tests start it in process. [`run`] is what the
//! program does: start, tell the URL, wait for a signal, stop. Stop: readiness goes, the
//! listeners close, sockets are closed spread over the drain time, what is under way is
//! finished up to a deadline, then the store is closed.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use protocol::CloseCode;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use crate::app::{App, Backend, OpenError};
use crate::config::Config;
use crate::heads::Watched;
use crate::hub::Mail;
use crate::peer::{CompleteBy, Peer};
use crate::{http as rest, ws};

/// A request has to be complete this long after its first byte; also the time that a silent
/// connection is given.
const COMPLETE_WITHIN: Duration = Duration::from_secs(10);
/// So long a connection may stand between an answer and the end of the next request's head.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// The head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Sockets are closed at this rate a second or faster when the server stops.
const CLOSES_PER_SECOND: usize = 1_000;
/// Time between two groups of sockets that are closed.
const CLOSE_STEP: Duration = Duration::from_millis(20);
/// How long an accept that failed (no file descriptors, say) is not tried again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections that the system holds until they are accepted.
const ACCEPTS_WAITING_MAX: u32 = 1_024;
/// What the system keeps for a peer that reads slowly, and can't send yet. Left to itself it keeps
/// 4 MiB, and tells of room so rarely that a peer who reads 50 kB a second seems to stand still.
const UNSENT_BYTES_MAX: u32 = 512 * 1024;

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("can't listen on {address}: {error}")]
    Listen { address: SocketAddr, error: io::Error },
}

/// A server that runs.
pub struct Server {
    app: App,
    backend: Backend,
    addresses: Vec<SocketAddr>,
    listeners: TaskTracker,
}

impl Server {
    /// Opens the store, listens, and serves. It is ready when this returns.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let listeners = listen(&config).await?;
        let metrics_listener = match config.metrics_listen {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let (app, backend) = App::open(config).await?;
        let addresses = listeners.iter().filter_map(|l| l.local_addr().ok()).collect();
        let doors = rest::routes(app.clone()).merge(ws::router(app.clone()));
        let router = rest::dress(app.clone(), doors);
        let tasks = TaskTracker::new();
        for listener in listeners {
            tasks.spawn(accept(listener, router.clone(), app.clone()));
        }
        if let Some(listener) = metrics_listener {
            tasks.spawn(accept(listener, rest::metrics_router(app.clone()), app.clone()));
        }
        tasks.close();
        Ok(Self { app, backend, addresses, listeners: tasks })
    }

    /// Where it listens, ports resolved.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Stops in good order, within the drain time and a little.
    pub async fn stop(self) {
        let drain = Duration::from_secs(self.app.config.drain_seconds);
        let deadline = Instant::now() + drain;
        self.app.stop.cancel();
        self.listeners.wait().await;
        close_all(&self.app, drain).await;
        self.app.tracker.close();
        if timeout_at(deadline, self.app.tracker.wait()).await.is_err() {
            let left = self.app.tracker.len();
            tracing::warn!(left, "connections did not end within the drain time");
        }
        self.backend.close().await;
    }
}

/// Runs until a signal comes. A second one ends the process at once.
pub async fn run(config: Config) -> Result<(), StartError> {
    raise_open_files();
    let data_place = config.data_place();
    let mut signals = Signals::new();
    let server = Server::start(config).await?;
    tell(&server, &data_place);
    signals.next().await;
    tracing::info!("stops");
    let stopped = tokio::spawn(server.stop());
    tokio::select! {
        _ = stopped => {}
        () = signals.next() => tracing::warn!("stops at once"),
    }
    Ok(())
}

/// The shipped socket layer as an echo, until a signal comes.
pub async fn run_echo(
    address: SocketAddr,
    frame_bytes_max: usize,
    frame_fragments_max: usize,
) -> Result<(), StartError> {
    let listener = bind(address).await?;
    if let Ok(address) = listener.local_addr() {
        println!("echo ws://{address}/");
    }
    let limits =
        ws::echo::Limits { bytes_max: frame_bytes_max, fragments_max: frame_fragments_max };
    let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
    tokio::select! {
        () = accept_until(listener, ws::echo::router(limits), stop, tracker) => {}
        () = async { Signals::new().next().await } => {}
    }
    Ok(())
}

/// All addresses, or none. Of the defaults one is enough: a machine may have no IPv6.
async fn listen(config: &Config) -> Result<Vec<TcpListener>, StartError> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    for &address in &config.listen {
        match bind(address).await {
            Ok(listener) => listeners.push(listener),
            Err(StartError::Listen { error, .. })
                if config.listen_is_default
                    && !listeners.is_empty()
                    && error.kind() != io::ErrorKind::AddrInUse =>
            {
                tracing::debug!(%address, %error, "this machine has no such address");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(listeners)
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        // Connections inherit it.
        SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
        socket.bind(address)?;
        socket.listen(ACCEPTS_WAITING_MAX)
    };
    listen().map_err(|error| StartError::Listen { address, error })
}

async fn accept(listener: TcpListener, router: Router, app: App) {
    accept_until(listener, router, app.stop.clone(), app.tracker.clone()).await;
}

async fn accept_until(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
    tracker: TaskTracker,
) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => {
                // Frames are written whole: nothing is gained by waiting for more.
                let _ = stream.set_nodelay(true);
                tracker.spawn(serve(stream, peer, router.clone(), stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, router: Router, stop: CancellationToken) {
    let mut byte = [0];
    let first_byte = timeout(COMPLETE_WITHIN, stream.peek(&mut byte));
    if !matches!(stop.run_until_cancelled(first_byte).await, Some(Ok(Ok(1)))) {
        return;
    }
    let (stream, watch) = Watched::new(stream);
    let heads = watch.clone();
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        if let Some(head) = watch.next_head() {
            request.extensions_mut().insert(CompleteBy(head.began + COMPLETE_WITHIN));
            request.extensions_mut().insert(head);
        }
        router.clone().call(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        // Head and body in one piece: a small answer is written by one plain call.
        .writev(false)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let outcome = tokio::select! {
        outcome = &mut connection => outcome,
        () = heads.overdue(COMPLETE_WITHIN) => return,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::trace!(%error, "a connection ended early");
    }
}

/// Tells all sockets to close, spread over the drain time.
async fn close_all(app: &App, drain: Duration) {
    let connections = app.chat.hub().connections();
    let steps = (drain.as_secs_f64() * 0.5 / CLOSE_STEP.as_secs_f64()).max(1.0);
    let at_rate = (CLOSES_PER_SECOND as f64 * CLOSE_STEP.as_secs_f64()).ceil();
    let group = (connections.len() as f64 / steps).ceil().max(at_rate) as usize;
    for (index, group) in connections.chunks(group).enumerate() {
        if index > 0 {
            sleep(CLOSE_STEP).await;
        }
        for inbox in group {
            inbox.put(Mail::Close(CloseCode::GoingAway));
        }
    }
}

/// The limit on open files, raised as far as it goes: a connection is a file.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit on open files could not be raised");
    }
}

/// The first lines that a person sees.
fn tell(server: &Server, data_place: &str) {
    let version = env!("CARGO_PKG_VERSION");
    let urls = urls(&server.addresses);
    let Some(first) = urls.first() else { return };
    println!("AssistDeck {version} is ready: {first}");
    for url in &urls[1..] {
        println!("  also at {url}");
    }
    println!("  data in {data_place}, API documentation at {first}/docs");
    tracing::info!(addresses = ?server.addresses, version, "ready");
}

/// The loopback addresses of both families are one machine, which people know by its name.
fn urls(addresses: &[SocketAddr]) -> Vec<String> {
    use std::net::{Ipv4Addr, Ipv6Addr};
    if let [one, other] = addresses {
        let is_both = one.ip() == Ipv4Addr::LOCALHOST && other.ip() == Ipv6Addr::LOCALHOST;
        if is_both && one.port() == other.port() {
            return vec![format!("http://localhost:{}", one.port())];
        }
    }
    addresses.iter().map(|address| format!("http://{address}")).collect()
}

struct Signals {
    terminate: Option<tokio::signal::unix::Signal>,
    interrupt: Option<tokio::signal::unix::Signal>,
}

impl Signals {
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self {
            terminate: signal(SignalKind::terminate()).ok(),
            interrupt: signal(SignalKind::interrupt()).ok(),
        }
    }

    async fn next(&mut self) {
        let one = async |signal: &mut Option<tokio::signal::unix::Signal>| match signal {
            Some(signal) => {
                signal.recv().await;
            }
            None => std::future::pending().await,
        };
        tokio::select! {
            () = one(&mut self.terminate) => {}
            () = one(&mut self.interrupt) => {}
        }
    }
}
