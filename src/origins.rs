//! Which browser pages may call: those of the server's own origin, those of a loopback origin,
//! and those that the setting `allowed_origins` names. One rule for REST (CORS) and `/ws`.
//!
//! It is no protection against programs, which send what they like: it keeps foreign pages from
//! using the reader's browser. There are no cookies, so a page needs a token besides.

use std::net::Ipv4Addr;

/// The rule, from the setting `allowed_origins`.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    allowed: Vec<String>,
    all: bool,
}

impl Origins {
    /// `allowed`: origins as a browser writes them (`https://chat.example`), or `*` for all.
    #[must_use]
    pub fn new(allowed: &[impl AsRef<str>]) -> Self {
        let allowed = allowed.iter().map(|origin| normal(origin.as_ref()));
        let (all, allowed): (Vec<_>, Vec<_>) = allowed.partition(|origin| origin == "*");
        Self { allowed, all: !all.is_empty() }
    }

    /// Whether a request with these headers may be answered to the page that made it. Without
    /// `Origin` no page made it.
    #[must_use]
    pub fn allows(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        let Some(origin) = origin else { return true };
        if self.all {
            return true;
        }
        let origin = normal(origin);
        let Some((scheme, authority)) = origin.split_once("://") else { return false };
        let is_own = host.is_some_and(|host| {
            authority == without_default_port(scheme, &host.to_ascii_lowercase())
        });
        let is_web = matches!(scheme, "http" | "https");
        is_web && (is_own || is_loopback(authority)) || self.allowed.contains(&origin)
    }
}

/// Lower case, without a slash at the end, without the scheme's own port.
fn normal(origin: &str) -> String {
    let origin = origin.trim().trim_end_matches('/').to_ascii_lowercase();
    match origin.split_once("://") {
        Some((scheme, authority)) => {
            format!("{scheme}://{}", without_default_port(scheme, authority))
        }
        None => origin,
    }
}

fn without_default_port<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return authority,
    };
    authority.strip_suffix(port).unwrap_or(authority)
}

fn is_loopback(authority: &str) -> bool {
    if let Some(rest) = authority.strip_prefix("[::1]") {
        return rest.is_empty() || is_port(rest);
    }
    let host = match authority.find(':') {
        Some(at) if is_port(&authority[at..]) => &authority[..at],
        Some(_) => return false,
        None => authority,
    };
    host == "localhost" || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

fn is_port(text: &str) -> bool {
    text.strip_prefix(':').is_some_and(|digits| digits.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_and_loopback_pages_may_call() {
        let origins = Origins::default();
        let allows = |origin| origins.allows(Some(origin), Some("chat.example:8080"));
        assert!(origins.allows(None, None));
        for good in [
            "http://chat.example:8080",
            "https://CHAT.example:8080",
            "http://localhost",
            "https://localhost:3000",
            "http://127.0.0.1:1",
            "http://127.8.9.1",
            "http://[::1]:5173",
            "http://[::1]",
        ] {
            assert!(allows(good), "{good}");
        }
        for bad in [
            "",
            "null",
            "http://chat.example",
            "http://chat.example:8081",
            "http://chat.example:8080.evil.example",
            "http://localhost.evil.example",
            "http://localhost:3000@evil.example",
            "http://127.0.0.1.evil.example",
            "http://128.0.0.1",
            "http://[::1].evil.example",
            "http://evil.example/localhost",
            "file://localhost",
        ] {
            assert!(!allows(bad), "{bad}");
        }
    }

    #[test]
    fn a_schemes_own_port_makes_no_difference() {
        let origins = Origins::default();
        assert!(origins.allows(Some("https://chat.example"), Some("chat.example:443")));
        assert!(origins.allows(Some("https://chat.example:443"), Some("Chat.Example")));
        assert!(!origins.allows(Some("https://chat.example"), Some("chat.example:80")));
        assert!(!origins.allows(Some("https://chat.example"), None));
    }

    #[test]
    fn others_are_allowed_by_name() {
        let origins = Origins::new(&["https://App.example/", "app://desktop"]);
        let allows = |origin| origins.allows(Some(origin), Some("chat.example"));
        assert!(allows("https://app.example") && allows("https://app.example:443"));
        assert!(allows("app://desktop"));
        assert!(!allows("http://app.example") && !allows("https://app.example:8443"));
        assert!(Origins::new(&["*"]).allows(Some("null"), None));
    }
}
