//! A WebSocket on one session, plain or v1, of a client whose server may die at any moment.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async};

use crate::person::Person;
use crate::rest::{Gone, PATIENCE};

/// How a socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    Plain,
    V1,
}

/// What comes over a socket.
#[derive(Debug)]
pub enum Heard {
    Frame(Value),
    /// Closed in good order, with that code.
    Closed(u16),
    /// It broke.
    Gone,
}

/// One socket on one session.
pub struct Line {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    speech: Speech,
    session: String,
    closed: Option<u16>,
}

impl Line {
    /// Opens a socket, with everything above `after` or what is live alone. Panics where the
    /// server refuses.
    pub async fn open(
        url: &str,
        person: &Person,
        session: &str,
        speech: Speech,
        after: Option<u64>,
    ) -> Result<Self, Gone> {
        let authority = url.trim_start_matches("http://");
        let stream = TcpStream::connect(authority).await.map_err(|_| Gone)?;
        let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
        let query = format!("session_id={session}&token={}{after}", person.token);
        Self::open_on(stream, &format!("ws://{authority}/ws?{query}"), session, speech).await
    }

    /// The same on a TCP connection that the caller has made.
    pub async fn open_on(
        stream: TcpStream,
        ws_url: &str,
        session: &str,
        speech: Speech,
    ) -> Result<Self, Gone> {
        let mut request = ws_url.into_client_request().expect("a URL");
        if speech == Speech::V1 {
            let protocol = "assistdeck.v1".parse().expect("a header value");
            request.headers_mut().insert("sec-websocket-protocol", protocol);
        }
        let stream = MaybeTlsStream::Plain(stream);
        match timeout(PATIENCE, client_async(request, stream)).await.expect("a handshake") {
            Ok((socket, _)) => {
                Ok(Self { socket, speech, session: session.to_owned(), closed: None })
            }
            Err(Error::Http(response)) => {
                let body = response.body().as_deref().unwrap_or_default();
                let text = String::from_utf8_lossy(body);
                panic!("the handshake was refused: {} {text}", response.status())
            }
            Err(_) => Err(Gone),
        }
    }

    /// Sends a message.
    pub async fn say(&mut self, client_id: &str, content: &str) -> Result<(), Gone> {
        let frame = self.frame(client_id, content);
        let sent = timeout(PATIENCE, self.socket.send(frame)).await;
        sent.expect("the server reads").map_err(|_| Gone)
    }

    /// Sends messages in one piece, each its own `client_id`.
    pub async fn say_at_once(&mut self, contents: &[String]) -> Result<(), Gone> {
        for content in contents {
            let frame = self.frame(content, content);
            self.socket.feed(frame).await.map_err(|_| Gone)?;
        }
        let sent = timeout(PATIENCE, self.socket.flush()).await;
        sent.expect("the server reads").map_err(|_| Gone)
    }

    fn frame(&self, client_id: &str, content: &str) -> Message {
        let mut frame = json!({"client_id": client_id, "content": content});
        if self.speech == Speech::V1 {
            frame["type"] = "message.send".into();
            frame["session_id"] = self.session.clone().into();
        }
        Message::text(frame.to_string())
    }

    /// What comes next. Panics when nothing comes for very long.
    pub async fn hear(&mut self) -> Heard {
        timeout(PATIENCE, self.hear_some_day()).await.expect("something comes in time")
    }

    /// What comes next, whenever.
    pub async fn hear_some_day(&mut self) -> Heard {
        loop {
            if let Some(code) = self.closed {
                // Our close frame goes out with this; then the peer ends it.
                let _ = timeout(PATIENCE, self.socket.next()).await;
                return Heard::Closed(code);
            }
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    return Heard::Frame(serde_json::from_str(&text).expect("JSON"));
                }
                Some(Ok(Message::Close(Some(frame)))) => self.closed = Some(frame.code.into()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(other)) => panic!("the server sends text alone, not {other:?}"),
                Some(Err(_)) | None => return Heard::Gone,
            }
        }
    }
}
