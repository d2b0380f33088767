//! How the server is reached, and how each connection is set.
//!
//! The address is a `postgres://` URL as libpq knows it. TLS is all or nothing: `sslmode=disable`,
//! or `verify-full` (`require` is the same here), which checks the certificate and the host's name
//! against the machine's authorities or those of `sslrootcert`. Without `sslmode` a socket of this
//! machine and loopback go without, everything else is verified.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::tls::TlsStream;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::store::postgres::fault::with_causes;
use crate::store::{Error, Result};

/// The oldest server that this program is tested with, as `server_version_num` has it.
const SERVER_VERSION_MIN: i32 = 150_000;
/// To reach a machine: for all of those named together, so that the last one is tried within the
/// time that others give to a connection.
const REACH_PATIENCE: Duration = Duration::from_secs(4);
/// From the first step to a connection that can be used.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// What was sent and is not acknowledged for so long ends the connection, as does silence.
const NETWORK_PATIENCE: Duration = Duration::from_secs(15);

/// Set on every connection. An answer means durable, whatever the server's default; a node whose
/// network was cut lets go of its locks; nobody waits for ever. Each statement is planned once and
/// never compiled: it works along an index, whatever it is asked for, and planning a page of a log
/// costs several times what reading it does.
const OPTIONS: &str = "-c synchronous_commit=on -c idle_in_transaction_session_timeout=15s \
                       -c lock_timeout=10s -c statement_timeout=30s \
                       -c plan_cache_mode=force_generic_plan -c jit=off \
                       -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 \
                       -c tcp_keepalives_count=3 -c tcp_user_timeout=20s \
                       -c client_min_messages=warning";

/// What to do when this is what was said.
const ADVICE: &[(&str, &str)] = &[
    ("(28P01)", "check user and password in database_url"),
    ("(28000)", "check the user in database_url, and pg_hba.conf there"),
    ("(3D000)", "make it by createdb --encoding=UTF8 --template=template0, or check database_url"),
    ("server does not support TLS", "set ssl=on there, or sslmode=disable in database_url"),
    (
        "invalid peer certificate",
        "the host in database_url must be the certificate's, and sslrootcert must name the file of \
         the authority that signed it, unless this machine knows it",
    ),
    ("Connection refused", "does it run, and listen on that address and port?"),
    ("does not answer", "does it run, and is the network open?"),
    ("timed out", "does it run, and is the network open?"),
    ("failed to lookup", "check the host in database_url"),
];

/// A server, and how to get in.
#[derive(Clone)]
pub struct Address {
    pub config: Config,
    pub tls: MakeRustlsConnect,
}

impl Address {
    /// Understands a URL. The error names what is wrong with it, and nothing secret.
    pub fn parse(url: &str) -> Result<Self> {
        let (url, ssl_mode, root_file) = take_tls(url)?;
        let mut config: Config = url.parse().map_err(|error| {
            wrong(&format!("is no address of PostgreSQL: {}", with_causes(&error)))
        })?;
        let verified = match ssl_mode.as_deref() {
            Some("disable") => false,
            Some("require" | "verify-full") => true,
            Some(other) => {
                return Err(wrong(&format!(
                    "has sslmode={other}: this program knows disable and verify-full"
                )));
            }
            None => !config.get_hosts().iter().all(is_of_this_machine),
        };
        config.ssl_mode(if verified { SslMode::Require } else { SslMode::Disable });
        let options = config.get_options().map_or_else(String::new, |own| format!("{own} "));
        let hosts = config.get_hosts().len().max(1) as u32;
        config
            .options(options + OPTIONS)
            .application_name("assistdeck")
            .connect_timeout(REACH_PATIENCE / hosts)
            .tcp_user_timeout(NETWORK_PATIENCE)
            .keepalives_idle(NETWORK_PATIENCE)
            .keepalives_interval(NETWORK_PATIENCE / 3)
            .keepalives_retries(3)
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        let tls = MakeRustlsConnect::new(client_config(verified, root_file.as_deref())?);
        Ok(Self { config, tls })
    }

    /// The same without what is set for a store of ours: the server may be old, and a standby.
    pub fn of_another(mut self) -> Self {
        let own = self.config.get_options().and_then(|all| all.strip_suffix(OPTIONS));
        let own = own.unwrap_or_default().trim_end().to_owned();
        self.config.options(own).target_session_attrs(TargetSessionAttrs::Any);
        self
    }

    /// A connection. Whoever gets it has to drive the second part.
    pub async fn connect(
        &self,
    ) -> Result<(Client, Connection<Socket, impl TlsStream + Unpin + Send + 'static>)> {
        let connecting = self.config.connect(self.tls.clone());
        match timeout(CONNECT_PATIENCE, connecting).await {
            Ok(connected) => connected.map_err(|error| self.unreachable(&error)),
            Err(_) => Err(self.unreachable_because("it does not answer")),
        }
    }

    fn unreachable(&self, error: &tokio_postgres::Error) -> Error {
        let said = error.as_db_error().map_or_else(
            || with_causes(error),
            |said| format!("{} ({})", said.message(), said.code().code()),
        );
        self.unreachable_because(&said)
    }

    fn unreachable_because(&self, said: &str) -> Error {
        let hosts = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        let hosts = hosts.collect::<Vec<_>>().join(", ");
        let advice = ADVICE.iter().find(|(sign, _)| said.contains(sign));
        let advice = advice.map_or(String::new(), |(_, advice)| format!(": {advice}"));
        Error::Unavailable(format!("can't connect to PostgreSQL at {hosts}: {said}{advice}"))
    }
}

fn wrong(what: &str) -> Error {
    Error::Other(format!("database_url {what}"))
}

fn is_of_this_machine(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        }
    }
}

/// The URL without what it says of TLS, and that.
fn take_tls(url: &str) -> Result<(String, Option<String>, Option<String>)> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    if !base.starts_with("postgres://") && !base.starts_with("postgresql://") {
        return Err(wrong("begins with neither postgres:// nor postgresql://"));
    }
    let (mut mode, mut file, mut rest) =
        (None, None, form_urlencoded::Serializer::new(String::new()));
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "sslmode" => mode = Some(value.into_owned()),
            "sslrootcert" => file = Some(value.into_owned()),
            _ => {
                rest.append_pair(&key, &value);
            }
        }
    }
    // A blank is `%20` for libpq, and `+` is a plus.
    let rest = rest.finish().replace('+', "%20");
    let mark = if rest.is_empty() { "" } else { "?" };
    Ok((format!("{base}{mark}{rest}"), mode, file))
}

fn client_config(verified: bool, root_file: Option<&str>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = root_file {
        let odd =
            |error: &dyn std::fmt::Display| wrong(&format!("has sslrootcert={file}: {error}"));
        let certificates = CertificateDer::pem_file_iter(file).map_err(|error| odd(&error))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| odd(&error))?;
            roots.add(certificate).map_err(|error| odd(&error))?;
        }
    } else if verified {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Other(format!("TLS: {error}")))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Drives a connection until it ends; its end is felt by whoever holds the client.
pub async fn drive<T>(mut connection: Connection<Socket, T>)
where
    T: TlsStream + Unpin + Send + 'static,
{
    loop {
        let message = std::future::poll_fn(|context| connection.poll_message(context)).await;
        match message {
            Some(Ok(AsyncMessage::Notice(notice))) => {
                tracing::debug!(notice = notice.message(), "PostgreSQL says");
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return,
        }
    }
}

/// Refuses a server that this program can't work with.
pub async fn check_server(client: &Client) -> Result<()> {
    let sql = "SELECT current_setting('server_version_num')::int,
                      current_setting('server_version'), current_setting('server_encoding')";
    let row = client.query_one(sql, &[]).await?;
    let (number, version, encoding): (i32, String, String) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    check_version(number, &version, &encoding)
}

/// As the server says them itself.
fn check_version(number: i32, version: &str, encoding: &str) -> Result<()> {
    if number < SERVER_VERSION_MIN {
        let needed = SERVER_VERSION_MIN / 10_000;
        return Err(Error::Other(format!(
            "the server is PostgreSQL {version}, and {needed} or newer is needed: upgrade it \
             (pg_upgrade), or name another in database_url"
        )));
    }
    if encoding != "UTF8" {
        return Err(Error::Other(format!(
            "the database has the encoding {encoding}, and UTF8 is needed: \
             make one by CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> SslMode {
        Address::parse(url).map_err(|error| error.to_string()).expect(url).config.get_ssl_mode()
    }

    #[test]
    fn tls_is_verified_wherever_the_way_leaves_the_machine() {
        for url in ["postgres://a@127.0.0.1/b", "postgresql:///b?host=/run", "postgres://localhost"]
        {
            assert_eq!(mode(url), SslMode::Disable, "{url}");
        }
        assert_eq!(mode("postgres://db.example/b"), SslMode::Require);
        assert_eq!(mode("postgres://db.example/b?sslmode=disable"), SslMode::Disable);
        assert_eq!(mode("postgres://a@127.0.0.1/b?sslmode=verify-full"), SslMode::Require);
    }

    #[test]
    fn a_wrong_url_is_told_without_its_password() {
        for (url, what) in [
            ("mysql://u:secret@h/d", "begins with neither"),
            ("postgres://u:secret@h/d?sslmode=prefer", "sslmode=prefer"),
            ("postgres://u:secret@h:x/d", "is no address"),
            ("postgres://u:secret@h/d?colour=red", "colour"),
            ("postgres://u:secret@h/d?sslrootcert=/none", "sslrootcert=/none"),
        ] {
            let said = Address::parse(url).err().expect(url).to_string();
            assert!(said.contains(what) && !said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn a_server_that_is_too_old_or_speaks_otherwise_is_refused() {
        for number in [150_000, 150_004, 170_002] {
            assert_eq!(check_version(number, "any", "UTF8"), Ok(()));
        }
        for (number, version) in [(90_600, "9.6.24"), (140_011, "14.11 (Debian 14.11-1)")] {
            let said = check_version(number, version, "UTF8").expect_err(version).to_string();
            assert!(said.contains(version) && said.contains("15 or newer"), "{said}");
        }
        let said = check_version(150_000, "15", "LATIN1").expect_err("refused").to_string();
        assert!(said.contains("LATIN1") && said.contains("ENCODING 'UTF8'"), "{said}");
    }

    #[test]
    fn other_parameters_stay() {
        let address = Address::parse("postgres://h/d?options=-c%20a%3Db&sslmode=disable");
        let config = address.map_err(|error| error.to_string()).expect("a URL").config;
        assert!(config.get_options().is_some_and(|options| options.starts_with("-c a=b -c sync")));
    }
}
