//! Where a request comes from: the peer's address, or what trusted proxies say about it.
//!
//! The accept loop puts [`Peer`] into every request. A forwarded address counts only as far as
//! the addresses that forwarded it are trusted: from the right of `Forwarded` (RFC 7239) or
//! `X-Forwarded-For`, the first that is no trusted proxy is the client. What a client writes
//! into these headers itself stands further left and is never reached.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::{Extensions, HeaderMap};

use crate::config::Network;

/// The other end of the connection; an extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// When the request has to be complete: an extension that the accept loop may give, since it
/// alone sees a request's first byte.
#[derive(Clone, Copy, Debug)]
pub struct CompleteBy(pub tokio::time::Instant);

/// The address that a request counts for.
#[must_use]
pub fn address_of(extensions: &Extensions, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    // Without an accept loop (tests of the router alone) there is no peer.
    let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let peer = extensions.get::<Peer>().map_or(unknown, |peer| plain(peer.0.ip()));
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(peer) {
        return peer;
    }
    let mut client = peer;
    for step in hops(headers).into_iter().rev() {
        // What is no address ("unknown", a hidden name) ends the chain at who said so.
        let Some(address) = step else { break };
        client = address;
        if !is_trusted(address) {
            break;
        }
    }
    client
}

/// The forwarded addresses from left to right; `Forwarded` wins where both are there.
fn hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let items = |name: &str| {
        let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?"));
        values.flat_map(|text| text.split(',')).map(str::trim).collect::<Vec<_>>()
    };
    let forwarded = items("forwarded");
    if forwarded.is_empty() {
        return items("x-forwarded-for").into_iter().map(address).collect();
    }
    forwarded.into_iter().map(|item| address(for_of(item)?)).collect()
}

/// The value of `for=` in one element of `Forwarded`.
fn for_of(item: &str) -> Option<&str> {
    let pairs = item.split(';').filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    values.next().map(|(_, value)| value.trim().trim_matches('"'))
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let ip = bare.parse::<IpAddr>().ok();
    ip.or_else(|| text.parse::<SocketAddr>().ok().map(|with_port| with_port.ip())).map(plain)
}

/// An IPv4 address that came over an IPv6 socket counts as IPv4.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, headers: &[(&str, &str)], trusted: &[&str]) -> String {
        let mut builder = http::Request::builder();
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let mut request = builder.body(()).expect("a request");
        let address: IpAddr = peer.parse().expect("an address");
        request.extensions_mut().insert(Peer(SocketAddr::new(address, 4)));
        let trusted: Vec<Network> =
            trusted.iter().map(|text| text.parse().expect("a network")).collect();
        address_of(request.extensions(), request.headers(), &trusted).to_string()
    }

    #[test]
    fn nobody_is_believed_unless_trusted() {
        let lie = [("x-forwarded-for", "192.0.2.1")];
        assert_eq!(client("198.51.100.1", &lie, &[]), "198.51.100.1");
        assert_eq!(client("198.51.100.1", &lie, &["10.0.0.0/8"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &lie, &["10.0.0.0/8"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &[], &["10.0.0.0/8"]), "10.0.0.1");
    }

    #[test]
    fn the_rightmost_untrusted_address_is_the_client() {
        let chain = [("x-forwarded-for", "1.1.1.1, 192.0.2.1"), ("x-forwarded-for", "10.0.0.2")];
        assert_eq!(client("10.0.0.1", &chain, &["10.0.0.0/8"]), "192.0.2.1");
        let unknown = [("x-forwarded-for", "192.0.2.1, unknown")];
        assert_eq!(client("10.0.0.1", &unknown, &["10.0.0.0/8"]), "10.0.0.1");
        let all = [("x-forwarded-for", "10.0.0.3, 10.0.0.2")];
        assert_eq!(client("10.0.0.1", &all, &["10.0.0.0/8"]), "10.0.0.3");
    }

    #[test]
    fn forwarded_is_read_as_the_rfc_writes_it() {
        let header = [
            ("forwarded", "for=1.1.1.1, For=\"[2001:db8::1]:4711\";proto=https;by=10.0.0.1"),
            ("x-forwarded-for", "192.0.2.9"),
        ];
        assert_eq!(client("::1", &header, &["::1"]), "2001:db8::1");
        assert_eq!(client("::1", &[("forwarded", "for=_hidden")], &["::1"]), "::1");
        assert_eq!(client("::1", &[("x-forwarded-for", "192.0.2.1:80")], &["::1"]), "192.0.2.1");
    }
}
