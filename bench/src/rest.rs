//! A small blocking HTTP client for everything that is prepared but not measured.
//!
//! One [`Client`] is one kept-alive connection with one request at a time; [`each`] works
//! through a list on several of them, so that ten thousand users take seconds: their writes
//! gather in the server's group commit. What is measured over REST goes through the event loop
//! of `rest_load.rs` instead.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const CONNECTIONS: usize = 16;
const TIME_LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Client {
    addr: SocketAddr,
    stream: BufReader<TcpStream>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Client {
    pub fn connect(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIME_LIMIT))?;
        Ok(Self { addr, stream: BufReader::new(stream) })
    }

    /// One call that must be answered with `status`.
    pub fn json(&mut self, status: u16, request: &Request) -> Result<Value> {
        let answer = self.call(request)?;
        if answer.status != status {
            let text = String::from_utf8_lossy(&answer.body);
            bail!("{} {}: {} {text}", request.method, request.path, answer.status);
        }
        serde_json::from_slice(&answer.body).context("the body is not JSON")
    }

    pub fn call(&mut self, request: &Request) -> Result<Answer> {
        self.stream.get_mut().write_all(&request.bytes(self.addr))?;
        self.read_answer().with_context(|| format!("{} {}", request.method, request.path))
    }

    fn read_answer(&mut self) -> Result<Answer> {
        let line = self.read_line()?;
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.with_context(|| format!("no status line: {line:?}"))?;
        let mut length = 0;
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').context("a header without a colon")?;
            ensure!(!name.eq_ignore_ascii_case("transfer-encoding"), "a chunked answer");
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Answer { status, body })
    }

    fn read_line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.stream.read_line(&mut line)? > 0, "the server closed the connection");
        Ok(line.trim_end().to_owned())
    }
}

#[derive(Debug)]
pub struct Request {
    method: &'static str,
    path: String,
    token: Option<String>,
    body: Option<Value>,
}

impl Request {
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: "GET", path: path.into(), token: None, body: None }
    }

    pub fn delete(path: impl Into<String>) -> Self {
        Self { method: "DELETE", path: path.into(), token: None, body: None }
    }

    pub fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: "POST", path: path.into(), token: None, body: Some(body) }
    }

    pub fn by(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    pub fn bytes(&self, addr: SocketAddr) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\nHost: {addr}\r\n", self.method, self.path);
        if let Some(token) = &self.token {
            text += &format!("Authorization: Bearer {token}\r\n");
        }
        let body = self.body.as_ref().map(Value::to_string);
        if let Some(body) = &body {
            text += "Content-Type: application/json\r\n";
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        text += "\r\n";
        text += body.as_deref().unwrap_or("");
        text.into_bytes()
    }
}

/// Does `work` for every item on several connections; the results stand in the items' order.
pub fn each<T, R, W>(addr: SocketAddr, items: &[T], work: W) -> Result<Vec<R>>
where
    T: Sync,
    R: Send,
    W: Fn(&mut Client, &T) -> Result<R> + Sync,
{
    let share = items.len().div_ceil(CONNECTIONS).max(1);
    let work = &work;
    std::thread::scope(|scope| {
        let shares: Vec<_> = items
            .chunks(share)
            .map(|share| {
                scope.spawn(move || {
                    let mut client = Client::connect(addr)?;
                    share.iter().map(|item| work(&mut client, item)).collect::<Result<Vec<R>>>()
                })
            })
            .collect();
        let mut results = Vec::with_capacity(items.len());
        for share in shares {
            results.extend(share.join().expect("the client threads do not panic")?);
        }
        Ok(results)
    })
}
