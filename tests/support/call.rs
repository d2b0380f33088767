//! REST calls to the shipped binary, one at a time, each on a connection of its own.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::process::ServerProcess;

/// A call: its status, and the body if it is JSON.
pub fn call(server: &ServerProcess, head: &str, token: &str, body: &Value) -> (u16, Value) {
    let host = server.url().strip_prefix("http://").expect("http");
    let mut stream = TcpStream::connect(host).expect("it listens");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let bearer = match token {
        "" => String::new(),
        token => format!("Authorization: Bearer {token}\r\n"),
    };
    let request = format!(
        "{head} HTTP/1.1\r\nHost: {host}\r\n{bearer}Connection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head[9..12].parse().expect("a status");
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

pub fn login(server: &ServerProcess, email: &str, word: &str) -> (u16, Value) {
    call(server, "POST /api/login", "", &json!({"email": email, "password": word}))
}
