//! Pages for people: the chat page with its files, and the reference of the calls.
//!
//! The page is what lies in `web/`, beside the JavaScript client, byte for byte: this binary
//! carries it, no tool builds it. Files are named `/assets/BUILD/NAME`, where BUILD is a hash of
//! all of them: they may be kept for ever, and modules that import each other by relative names
//! always come from one build. The page itself is asked for each time, which costs a 304.
//!
//! A debug build looks into `web/` when the page is asked for: edit, reload, no compiler.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::io::Write as _;
use std::path::Path as FilePath;
use std::sync::{Arc, LazyLock, OnceLock, PoisonError, RwLock};

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, REFERRER_POLICY, VARY,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::{answer, asyncapi, openapi, reference};

/// For the chat page: our own scripts, styles and calls; text never becomes markup.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
/// For the reference, which has no script.
const DOCS_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const STYLE: &str = include_str!("pages/style.css");
const ICON: &str = include_str!("pages/favicon.svg");
/// Seconds for which what has no build in its name may be kept.
const KEEP: &str = "max-age=3600";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
/// All style sheets, one after the other as `FILES` has them: together they weigh less.
const STYLES: &str = "page.css";
const KEEP_FOR_EVER: &str = "public, max-age=31536000, immutable";

macro_rules! files {
    ($($name:literal)*) => { &[$((
        $name,
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/web/", $name)),
    ),)*] };
}

/// Everything that the page is made of, beside the client. A test holds it against the folder.
const FILES: &[(&str, &[u8])] = files!(
    "index.html" "style/base.css" "style/controls.css" "style/gate.css" "style/layout.css"
    "style/message.css" "style/session.css" "style/sessions.css" "app.js" "model/account.js"
    "model/deck.js" "model/history.js" "model/keep.js" "model/log.js" "model/opened.js"
    "model/people.js" "model/presence.js" "model/sessions.js" "model/source.js" "text/dates.js"
    "text/plain.js" "text/preview.js" "text/sentences.js" "view/account-dialog.js" "view/avatar.js"
    "view/composer.js" "view/connection-bar.js" "view/dialog.js" "view/dom.js" "view/icons.js"
    "view/inline.js" "view/link.js" "view/markdown.js" "view/members-sheet.js" "view/menu.js"
    "view/message-actions.js" "view/message-list.js" "view/message-row.js" "view/rows.js"
    "view/session-dialogs.js" "view/session-head.js" "view/session-list.js"
    "view/session-part.js" "view/session-states.js" "view/session-view.js" "view/shell.js"
    "view/sign-in.js" "view/theme.js" "view/toasts.js"
);
const CLIENT: &[u8] = include_bytes!("../../clients/js/dist/assistdeck-client.js");

pub(super) async fn show_start(headers: HeaderMap) -> Response {
    Site::refresh();
    let site = Site::current();
    let etag = format!("W/\"{}\"", site.build);
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut response = if known.is_some_and(|known| known.split(", ").any(|one| one == etag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        site.page.answer(&headers)
    };
    let etag = HeaderValue::try_from(etag).expect("a hash is a header value");
    let answered = response.headers_mut();
    answered.insert(ETAG, etag);
    answered.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answered.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    answered.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

pub(super) async fn show_asset(
    Path((build, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let site = Site::current();
    match site.files.get(name.as_str()) {
        Some(file) if build == site.build => {
            let mut response = file.answer(&headers);
            let forever = HeaderValue::from_static(KEEP_FOR_EVER);
            response.headers_mut().insert(CACHE_CONTROL, forever);
            response
        }
        _ => answer::not_found().await,
    }
}

pub(super) async fn show_docs() -> Response {
    static PAGE: LazyLock<String> = LazyLock::new(|| reference::page(openapi::document()));
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, DOCS_POLICY),
        (REFERRER_POLICY, "no-referrer"),
    ];
    (headers, Bytes::from_static(PAGE.as_bytes())).into_response()
}

pub(super) async fn show_openapi() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(|| openapi::document().to_string());
    json(&TEXT)
}

pub(super) async fn show_asyncapi() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(|| asyncapi::document().to_string());
    json(&TEXT)
}

pub(super) async fn show_style() -> Response {
    ([(CONTENT_TYPE, CSS), (CACHE_CONTROL, KEEP)], STYLE).into_response()
}

pub(super) async fn show_icon() -> Response {
    ([(CONTENT_TYPE, "image/svg+xml"), (CACHE_CONTROL, KEEP)], ICON).into_response()
}

fn json(text: &'static str) -> Response {
    let kind = [(CONTENT_TYPE, "application/json")];
    (kind, Bytes::from_static(text.as_bytes())).into_response()
}

/// What is served: what this binary carries.
static SITE: LazyLock<RwLock<Arc<Site>>> = LazyLock::new(|| RwLock::new(Site::of(&carried())));

/// The page and its files, of one build.
struct Site {
    build: String,
    page: File,
    files: HashMap<&'static str, File>,
}

impl Site {
    fn current() -> Arc<Self> {
        Arc::clone(&SITE.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// In a debug build, what lies in the folder now.
    fn refresh() {
        let Some(files) = cfg!(debug_assertions).then(on_disk).flatten() else { return };
        if build_of(&files) != Self::current().build {
            *SITE.write().unwrap_or_else(PoisonError::into_inner) = Self::of(&files);
        }
    }

    fn of(files: &[(&'static str, Bytes)]) -> Arc<Self> {
        let build = build_of(files);
        let of_kind = |kind| files.iter().filter(move |(name, _)| kind_of(name) == Some(kind));
        let style: Vec<u8> = of_kind(CSS).flat_map(|(_, text)| text).copied().collect();
        let mut head = format!("<link rel=\"stylesheet\" href=\"/assets/{build}/{STYLES}\">\n");
        for (name, _) in of_kind(SCRIPT) {
            let (line, end) = match *name {
                "app.js" => ("<script type=\"module\" src=", "></script>"),
                _ => ("<link rel=\"modulepreload\" href=", ">"),
            };
            writeln!(head, "{line}\"/assets/{build}/{name}\"{end}")
                .expect("a String takes everything");
        }
        let page = files.iter().find(|(name, _)| *name == "index.html");
        let page = page.map_or("", |(_, text)| std::str::from_utf8(text).unwrap_or_default());
        let page = page.replace("{head}", head.trim_end());
        let scripts = of_kind(SCRIPT).map(|(name, text)| (*name, File::new(SCRIPT, text.clone())));
        let style = (STYLES, File::new(CSS, style.into()));
        Arc::new(Self {
            page: File::new("text/html; charset=utf-8", page.into()),
            files: scripts.chain([style]).collect(),
            build,
        })
    }
}

fn carried() -> Vec<(&'static str, Bytes)> {
    let page = FILES.iter().map(|(name, bytes)| (*name, Bytes::from_static(bytes)));
    page.chain([("assistdeck-client.js", Bytes::from_static(CLIENT))]).collect()
}

/// None where the sources are not (any more) where this was compiled.
fn on_disk() -> Option<Vec<(&'static str, Bytes)>> {
    let root = FilePath::new(env!("CARGO_MANIFEST_DIR"));
    let page = FILES.iter().map(|(name, _)| (*name, root.join("web").join(name)));
    let client = root.join("clients/js/dist/assistdeck-client.js");
    let all = page.chain([("assistdeck-client.js", client)]);
    all.map(|(name, path)| Some((name, fs::read(path).ok()?.into()))).collect()
}

/// A name for exactly these files.
fn build_of(files: &[(&str, Bytes)]) -> String {
    let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for (name, bytes) in files {
        hash.update(name.as_bytes());
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    hash.finish().as_ref()[..8].iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}

/// The type of what is served by name; the page itself is not.
fn kind_of(name: &str) -> Option<&'static str> {
    match name.rsplit_once('.')?.1 {
        "js" => Some(SCRIPT),
        "css" => Some(CSS),
        _ => None,
    }
}

/// A file, and its compressed form once somebody wants that.
struct File {
    kind: &'static str,
    plain: Bytes,
    packed: OnceLock<Bytes>,
}

impl File {
    fn new(kind: &'static str, plain: Bytes) -> Self {
        Self { kind, plain, packed: OnceLock::new() }
    }

    fn answer(&self, headers: &HeaderMap) -> Response {
        let about = [(CONTENT_TYPE, self.kind), (VARY, "accept-encoding")];
        if takes_gzip(headers) {
            let packed = self.packed.get_or_init(|| gzip(&self.plain));
            (about, [(CONTENT_ENCODING, "gzip")], packed.clone()).into_response()
        } else {
            (about, self.plain.clone()).into_response()
        }
    }
}

fn gzip(plain: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).expect("a Vec takes everything");
    encoder.finish().expect("a Vec takes everything").into()
}

/// Whether `Accept-Encoding` names gzip, and not with a weight of 0.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|one| {
        let (name, weight) = one.split_once(';').unwrap_or((one, ""));
        let is_none = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0_f32));
        name.trim().eq_ignore_ascii_case("gzip") && !is_none
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names below `web/` that belong to the page.
    fn folder(path: &FilePath, names: &mut Vec<String>) {
        for entry in fs::read_dir(path).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/web"));
            let name = name.expect("below web").to_string_lossy().into_owned();
            if path.is_dir() {
                folder(&path, names);
            } else if name == "index.html" || kind_of(&name).is_some() {
                names.push(name);
            }
        }
    }

    #[test]
    fn the_binary_carries_the_folder_and_nothing_else() {
        let mut names = Vec::new();
        folder(FilePath::new(concat!(env!("CARGO_MANIFEST_DIR"), "/web")), &mut names);
        let mut carried: Vec<_> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        names.sort();
        carried.sort();
        assert_eq!(carried, names);
    }

    #[test]
    fn the_page_names_every_file_under_its_build() {
        let site = Site::of(&carried());
        let page = std::str::from_utf8(&site.page.plain).expect("text");
        for name in site.files.keys() {
            assert!(page.contains(&format!("\"/assets/{}/{name}\"", site.build)), "{name}");
        }
        assert!(!page.contains("{head}") && !page.contains("style=") && !page.contains(" on"));
    }

    #[test]
    fn a_change_of_one_byte_is_another_build() {
        let mut files = carried();
        let before = build_of(&files);
        files[1].1 = Bytes::from_static(b"//");
        assert_ne!(before, build_of(&files));
    }

    #[test]
    fn gzip_goes_to_those_who_take_it() {
        let takes = |value: &'static str| {
            takes_gzip(&HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]))
        };
        for yes in ["gzip", "br, GZIP", "deflate, gzip;q=0.5", "gzip ; q=1"] {
            assert!(takes(yes), "{yes}");
        }
        for no in ["", "br", "gzip;q=0", "xgzip", "gzip; q=0.0"] {
            assert!(!takes(no), "{no}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
