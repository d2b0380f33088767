//! How a device hears: a WebSocket, a stream of server-sent events, or one poll after the other.
//!
//! Nothing is judged here. A link that is not asked is not read, so its peer has to wait.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use futures_util::future::BoxFuture;
use futures_util::{Sink, Stream};
use http_body_util::BodyExt;
use protocol::Event;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::plan::Cut;
use super::wire::{Body, Reply};

/// So small that a reader who stalls is felt by the server.
const RECEIVE_BYTES: u32 = 8 * 1024;

/// What was heard.
pub enum Heard {
    Frame(String),
    Event(Box<Event>),
    Page(Reply),
    End(End),
}

/// How a link ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A WebSocket, with that code.
    Closed(u16),
    /// A stream, in good order.
    Over,
    Broken(String),
    /// What came can't be.
    Faulty(String),
}

/// How a device hears.
pub enum Link {
    Socket(Box<Socket>),
    Stream(Feed),
    Poll(BoxFuture<'static, Reply>),
}

impl Link {
    /// What comes next. Nothing is lost where this is given up.
    pub async fn next(&mut self) -> Heard {
        match self {
            Self::Socket(socket) => socket.next().await,
            Self::Stream(feed) => feed.next().await,
            Self::Poll(poll) => Heard::Page(poll.await),
        }
    }
}

/// A WebSocket that writes while it reads.
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    has_unsent: bool,
}

impl Socket {
    /// Opens `/ws?{query}`; the HTTP answer where it is refused.
    pub async fn open(
        authority: &str,
        query: &str,
        protocol: Option<&str>,
        is_small: bool,
    ) -> Result<Self, Reply> {
        let broken = |error: &dyn std::fmt::Display| Err(error.to_string());
        let address = authority.parse().expect("an address");
        let socket = TcpSocket::new_v4().map_err(|e| broken(&e))?;
        if is_small {
            socket.set_recv_buffer_size(RECEIVE_BYTES).map_err(|e| broken(&e))?;
        }
        let stream = socket.connect(address).await.map_err(|e| broken(&e))?;
        stream.set_nodelay(true).map_err(|e| broken(&e))?;
        let url = format!("ws://{authority}/ws?{query}");
        let mut request = url.into_client_request().expect("a URL");
        if let Some(protocol) = protocol {
            let value = protocol.parse().expect("a header value");
            request.headers_mut().insert("sec-websocket-protocol", value);
        }
        let config = WebSocketConfig::default().read_buffer_size(16 * 1024);
        match client_async_with_config(request, stream, Some(config)).await {
            Ok((stream, _)) => Ok(Self { stream, has_unsent: false }),
            Err(tungstenite::Error::Http(response)) => {
                let status = response.status().as_u16();
                let body = response.into_body().unwrap_or_default();
                let body = serde_json::from_slice(&body).map_err(|e| broken(&e))?;
                Err(Ok((status, body)))
            }
            Err(error) => Err(broken(&error)),
        }
    }

    /// Queues a frame; it goes out while the socket is read.
    pub fn put(&mut self, text: String) -> bool {
        self.has_unsent = true;
        Pin::new(&mut self.stream).start_send(Message::text(text)).is_ok()
    }

    /// Writes what is queued, as far as the peer takes it, and reads on if it may.
    pub async fn turn(&mut self, reads: bool) -> Heard {
        poll_fn(|context| {
            if self.has_unsent {
                match Pin::new(&mut self.stream).poll_flush(context) {
                    Poll::Ready(Ok(())) => self.has_unsent = false,
                    Poll::Ready(Err(error)) if !reads => {
                        return Poll::Ready(Heard::End(End::Broken(error.to_string())));
                    }
                    // What still came is read first.
                    Poll::Ready(Err(_)) => self.has_unsent = false,
                    Poll::Pending => {}
                }
            }
            if !reads {
                return Poll::Pending;
            }
            loop {
                let Poll::Ready(next) = Pin::new(&mut self.stream).poll_next(context) else {
                    return Poll::Pending;
                };
                return Poll::Ready(match next {
                    Some(Ok(Message::Text(text))) => Heard::Frame(text.as_str().to_owned()),
                    Some(Ok(Message::Close(Some(frame)))) => {
                        Heard::End(End::Closed(frame.code.into()))
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    Some(Ok(other)) => Heard::End(End::Faulty(format!("{other:?}"))),
                    Some(Err(error)) => Heard::End(End::Broken(error.to_string())),
                    None => Heard::End(End::Broken("the end".into())),
                });
            }
        })
        .await
    }

    async fn next(&mut self) -> Heard {
        self.turn(true).await
    }

    /// Gives the connection up.
    pub fn cut(mut self, how: Cut) {
        let tcp = self.stream.get_ref();
        match how {
            Cut::Drop => {}
            // Where the kernel can't, it is dropped all the same.
            Cut::Reset => drop(tcp.set_zero_linger()),
            // A masked text frame of 40 bytes, of which 9 come.
            Cut::MidFrame => drop(tcp.try_write(&[0x81, 0xA8, 1, 2, 3, 4, 5, 6, 7, 8, 9])),
            Cut::Close => {
                let waker = std::task::Waker::noop();
                let context = &mut std::task::Context::from_waker(waker);
                let mut stream = Pin::new(&mut self.stream);
                let _ = stream.as_mut().start_send(Message::Close(None));
                let _ = stream.poll_flush(context);
            }
        }
    }
}

/// A stream of server-sent events (HTML living standard, 9.2) as far as the server uses them.
pub struct Feed {
    body: Body,
    read: Vec<u8>,
    /// Up to here there is no end of a block.
    searched: usize,
}

impl Feed {
    pub fn new(body: Body) -> Self {
        Self { body, read: Vec::new(), searched: 0 }
    }

    async fn next(&mut self) -> Heard {
        loop {
            if let Some(block) = self.block() {
                match event_of(&block) {
                    Ok(Some(event)) => return Heard::Event(Box::new(event)),
                    Ok(None) => continue,
                    Err(error) => return Heard::End(End::Faulty(error)),
                }
            }
            match self.body.incoming.frame().await {
                None => return Heard::End(End::Over),
                Some(Err(error)) => return Heard::End(End::Broken(error.to_string())),
                Some(Ok(frame)) => {
                    self.read.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
                }
            }
        }
    }

    fn block(&mut self) -> Option<String> {
        let from = self.searched.saturating_sub(1);
        let found = self.read[from..].windows(2).position(|pair| pair == b"\n\n");
        let Some(end) = found else {
            self.searched = self.read.len();
            return None;
        };
        self.searched = 0;
        let block = self.read.drain(..from + end + 2).collect();
        Some(String::from_utf8(block).unwrap_or_default())
    }
}

/// The event of a block, whose id is its number; comments are none.
fn event_of(block: &str) -> Result<Option<Event>, String> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
    let Some(data) = field("data: ") else { return Ok(None) };
    let event: Event = serde_json::from_str(data).map_err(|e| format!("{e} in {data}"))?;
    if field("id: ") != Some(event.seq.to_string().as_str()) {
        return Err(format!("the id is not the number in {block}"));
    }
    Ok(Some(event))
}
