//! Where the NATS servers are, and how a connection to them begins.
//!
//! The library takes a user and a password, or a token, beside the address; people write them into
//! it. What can't work however long one waits is told from what may.

use std::error::Error as _;
use std::{fmt, io};

use async_nats::{Client, ConnectErrorKind, ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;

use super::{
    ANSWER_WITHIN, COMMANDS_MAX, PING_EVERY, RETRY, SERVER_PAYLOAD_BYTES_MIN, SUBSCRIPTION_MAX,
};

/// One server, or several of one cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    servers: Vec<ServerAddr>,
    user: Option<String>,
    password: Option<String>,
}

/// Why there is no connection.
pub struct Failure {
    /// It would be the same later.
    pub is_final: bool,
    /// In words, without secrets.
    pub what: String,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl Address {
    /// Of `nats://` and `tls://` addresses with commas between them. The error does not repeat
    /// what was given, which may hold a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut address = Self { servers: Vec::new(), user: None, password: None };
        for part in text.split(',') {
            let form = "is no address like nats://host:4222 or tls://user:password@host:4222";
            let server: ServerAddr = part.trim().parse().map_err(|_| form.to_owned())?;
            let is_bare = matches!(server.clone().into_inner().path(), "" | "/");
            if !matches!(server.scheme(), "nats" | "tls") || server.host().is_empty() || !is_bare {
                return Err(form.to_owned());
            }
            let plain = |text: &str| {
                let text = percent_decode_str(text).decode_utf8().map(|text| text.into_owned());
                text.map_err(|_| "has a user or password that is no UTF-8".to_owned())
            };
            if let Some(user) = server.username() {
                address.user = Some(plain(user)?);
                address.password = server.password().map(plain).transpose()?;
            }
            address.servers.push(server);
        }
        Ok(address)
    }

    pub(super) fn options(&self) -> ConnectOptions {
        let options = ConnectOptions::new()
            .name("assistdeck")
            .no_echo()
            .connection_timeout(ANSWER_WITHIN)
            .ping_interval(PING_EVERY)
            .client_capacity(COMMANDS_MAX)
            .subscription_capacity(SUBSCRIPTION_MAX)
            .reconnect_delay_callback(|attempts| if attempts > 1 { RETRY } else { RETRY / 10 });
        match (&self.user, &self.password) {
            (Some(user), Some(password)) => {
                options.user_and_password(user.clone(), password.clone())
            }
            (Some(token), None) => options.token(token.clone()),
            _ => options,
        }
    }

    pub(super) async fn connect(&self, options: ConnectOptions) -> Result<Client, Failure> {
        let client = async_nats::connect_with_options(&self.servers[..], options).await;
        let client = client.map_err(|error| self.failure(&error))?;
        if client.max_payload() < SERVER_PAYLOAD_BYTES_MIN {
            let most = SERVER_PAYLOAD_BYTES_MIN;
            let what = format!("max_payload of the NATS server is too small: set {most} or more");
            return Err(Failure { is_final: true, what });
        }
        Ok(client)
    }

    fn failure(&self, error: &async_nats::ConnectError) -> Failure {
        let mut causes = Vec::new();
        let mut next = error.source();
        let mut is_tls = error.kind() == ConnectErrorKind::Tls;
        while let Some(cause) = next {
            // A handshake that fails comes as this.
            let io = cause.downcast_ref::<io::Error>();
            is_tls |= io.is_some_and(|error| error.kind() == io::ErrorKind::InvalidData);
            causes.push(cause.to_string());
            next = cause.source();
        }
        let cause = causes.pop().unwrap_or_else(|| error.kind().to_string());
        let places: Vec<String> =
            self.servers.iter().map(|at| format!("{}:{}", at.host(), at.port())).collect();
        let place = places.join(", ");
        let (is_final, what) = match error.kind() {
            ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => (
                true,
                format!("NATS at {place} refuses the user, password or token in bus_url: {cause}"),
            ),
            _ if is_tls => (
                true,
                format!(
                    "TLS with NATS at {place} fails: {cause}. The certificate must be of that host, \
                     from an authority of this machine or of the file that SSL_CERT_FILE names"
                ),
            ),
            _ => (false, format!("NATS at {place} is out of reach: {cause}")),
        };
        Failure { is_final, what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_connects_stands_in_the_address() {
        let of = |text: &str| {
            let address = Address::parse(text).expect(text);
            (address.servers.len(), address.user, address.password)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("nats://a"), (1, None, None));
        assert_eq!(of("tls://ann:p%40ss@a:4223"), (1, some("ann"), some("p@ss")));
        assert_eq!(of("nats://token@a, nats://token@b:1"), (2, some("token"), None));
        for wrong in ["", "nats://", "http://a", "nats://a:x", "nats://a,", "ws://a", "nats://a/b"]
        {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }
}
