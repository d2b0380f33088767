//! Log lines on standard error: text on a terminal, JSON otherwise.
//!
//! A plain level speaks of this server alone; libraries say no more than `info`. Those that
//! would write bytes, headers or addresses with a query into their lines are held at `info`
//! whatever is asked for: no token, password, message or query string may reach a log.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::LogFormat;

/// Libraries that would log what passes through them.
const HELD: [&str; 6] = [
    "hyper=info",
    "hyper_util=info",
    "tungstenite=info",
    "tokio_tungstenite=info",
    "rustls=info",
    // It repeats every attempt to connect; the bus says once what matters.
    "async_nats=off",
];
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Says whether a text is a level or directives; gives it back.
pub(crate) fn check_level(text: &str) -> Result<String, String> {
    filter(text).map(|_| text.to_owned())
}

/// Starts logging, once for the process. `RUST_LOG` goes before `level`.
pub fn start(format: LogFormat, level: &str) {
    let asked = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let filter = asked
        .and_then(|text| filter(&text).ok())
        .or_else(|| filter(level).ok())
        .unwrap_or_else(|| EnvFilter::new("info"));
    let is_text = match format {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => io::stderr().is_terminal(),
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_span_events(FmtSpan::NONE);
    let started = match is_text {
        true => lines.with_ansi(io::stderr().is_terminal()).try_init(),
        false => lines.json().flatten_event(true).with_span_list(false).try_init(),
    };
    // A second start (in tests) changes nothing.
    let _ = started;
}

fn filter(text: &str) -> Result<EnvFilter, String> {
    let wrong =
        || format!("{text:?} is neither a level (error, warn, info, debug, trace) nor directives");
    let word = text.trim().to_ascii_lowercase();
    let directives = match LEVELS.contains(&word.as_str()) {
        true => match word.as_str() {
            "debug" | "trace" => format!("info,assistdeck={word}"),
            _ => word,
        },
        // `EnvFilter` would take any word for the name of a crate.
        false if !text.contains('=') => return Err(wrong()),
        false => text.to_owned(),
    };
    let held = HELD.iter().filter(|_| directives != "off").copied();
    let all = std::iter::once(directives.as_str()).chain(held).collect::<Vec<_>>().join(",");
    EnvFilter::try_new(all).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_directives() {
        for good in ["info", "WARN", "off", "assistdeck::ws=debug,info", "debug"] {
            assert_eq!(check_level(good).as_deref(), Ok(good));
        }
        for bad in ["", "loud", "a=b=c", "assistdeck=loud"] {
            assert!(check_level(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn libraries_that_log_contents_are_held() {
        let held = filter("trace").expect("a level").to_string();
        assert!(held.contains("tungstenite=info") && held.contains("assistdeck=trace"), "{held}");
        assert!(!filter("error").expect("a level").to_string().contains("assistdeck"));
    }
}
