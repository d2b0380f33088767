//! A WebSocket client that waits for what has to come, and for nothing else.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::Answer;

/// What has to come has come long before this.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Socket(pub WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// Opens `/ws?{query}`; the HTTP answer if it is refused.
    pub async fn open(
        authority: &str,
        query: &str,
        protocol: Option<&str>,
    ) -> Result<Self, Box<Answer>> {
        let url = format!("ws://{authority}/ws?{query}");
        let mut request = url.into_client_request().expect("a URL");
        if let Some(protocol) = protocol {
            let value = protocol.parse().expect("a header value");
            request.headers_mut().insert("sec-websocket-protocol", value);
        }
        match connect_async(request).await {
            Ok((stream, _)) => Ok(Self(stream)),
            Err(Error::Http(response)) => {
                let (parts, body) = response.into_parts();
                let text = String::from_utf8(body.unwrap_or_default()).expect("text");
                let (status, headers) = (parts.status.as_u16(), parts.headers);
                Err(Box::new(Answer { status, headers, text }))
            }
            Err(error) => panic!("no handshake: {error}"),
        }
    }

    pub async fn send(&mut self, frame: &Value) {
        self.send_text(&frame.to_string()).await;
    }

    pub async fn send_text(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.expect("the socket is open");
    }

    /// The next frame, which must be JSON text.
    pub async fn next(&mut self) -> Value {
        match self.message().await {
            Message::Text(text) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("no text frame: {other:?}"),
        }
    }

    /// Reads up to the next frame of that type and gives it; frames before it are dropped.
    pub async fn until(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// Reads up to the message with that content; the contents before it.
    pub async fn contents_before(&mut self, marker: &str) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            let frame = self.next().await;
            let message = if frame["data"].is_object() { &frame["data"] } else { &frame };
            match message["content"].as_str() {
                Some(content) if content == marker => return before,
                Some(content) => before.push(content.to_owned()),
                None => {}
            }
        }
    }

    /// The close code; what came before it is given too.
    pub async fn rest(mut self) -> (u16, Vec<Value>) {
        let mut before = Vec::new();
        loop {
            match self.message().await {
                Message::Text(text) => before.push(serde_json::from_str(&text).expect("JSON")),
                Message::Close(Some(frame)) => return (frame.code.into(), before),
                Message::Close(None) => panic!("closed without a code"),
                _ => {}
            }
        }
    }

    async fn message(&mut self) -> Message {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.0.next()).await;
            match next.expect("something comes in time").expect("the socket is open") {
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(message) => return message,
                Err(error) => panic!("the socket broke: {error}"),
            }
        }
    }
}

/// The code with which a socket ends, whatever comes before.
pub async fn closed(socket: Socket) -> u16 {
    socket.rest().await.0
}
