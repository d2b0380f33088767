//! `health`: asks a running server whether it is ready, for supervisors and containers.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde_json::{Value, json};

use super::exit::{Exit, Failure, Outcome};
use super::flags::ServeFlags;
use super::output::Output;

/// For connecting and for each read.
const TIMEOUT: Duration = Duration::from_secs(5);
/// More than the answer has, in bytes.
const ANSWER_BYTES_MAX: u64 = 65_536;

#[derive(clap::Args)]
pub struct Health {
    /// Where the server is, as http://host:port; the setting `listen` when not given
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    flags: ServeFlags,
}

pub fn run(health: Health) -> Outcome {
    let addresses = match health.url {
        Some(url) => addresses_of(&url)?,
        None => health.flags.config()?.listen.into_iter().map(reachable).collect(),
    };
    let mut last = Failure::new(Exit::Unavailable, "no address to ask");
    for address in addresses {
        match ask(address) {
            Ok((status, body)) => return judge(health.output, address, status, &body),
            Err(error) => last = Failure::new(Exit::Unavailable, format!("{address}: {error}")),
        }
    }
    Err(last)
}

fn judge(output: Output, address: SocketAddr, status: u16, body: &str) -> Outcome {
    let detail: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    let is_ready = status == 200;
    let url = format!("http://{address}");
    let json = json!({ "ready": is_ready, "status": status, "url": url, "detail": detail });
    output.tell(&json, || match is_ready {
        true => format!("ready: {url}"),
        false => format!("not ready: {url} answered {status} {}", body.trim()),
    });
    match is_ready {
        true => Ok(()),
        false => Err(Failure::new(Exit::Unavailable, format!("{url} is not ready"))),
    }
}

/// The status and the body of `GET /readyz`.
fn ask(address: SocketAddr) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let no_http = || std::io::Error::new(std::io::ErrorKind::InvalidData, "the answer is no HTTP");
    Ok((status.ok_or_else(no_http)?, body.to_owned()))
}

fn addresses_of(url: &str) -> Outcome<Vec<SocketAddr>> {
    let wrong = |why: &str| Failure::new(Exit::Usage, format!("--url {url}: {why}"));
    let host = url.strip_prefix("http://").ok_or_else(|| wrong("begins with http://"))?;
    let host = host.split('/').next().unwrap_or(host);
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let host = if has_port { host.to_owned() } else { format!("{host}:80") };
    let found = host.to_socket_addrs();
    found.map(Iterator::collect).map_err(|error| Failure::new(Exit::Unavailable, error))
}

/// An address that means "all" is asked on this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
