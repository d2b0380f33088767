//! A server that can't work with its database does not start, and says what to do.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::postgres::{Cluster, other_user};

/// The exit codes of docs/operations.md.
const OTHER: i32 = 1;
const UNAVAILABLE: i32 = 5;

/// An address of this machine that no other test has.
fn address() -> String {
    let [high, low] = (std::process::id() as u16).to_be_bytes();
    format!("127.77.{high}.{low}")
}

/// What a start with that database ends with, and says; never the password.
fn start(url: &str) -> (Option<i32>, String) {
    let folder = TempDir::new().expect("a temporary folder");
    let mut server = Command::new(env!("CARGO_BIN_EXE_assistdeck"));
    server.arg("serve").current_dir(folder.path()).env_clear();
    server.env("ASSISTDECK_DATABASE_URL", url).env("ASSISTDECK_LISTEN", "127.0.0.1:0");
    let ended = server.output().expect("it runs");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!said.contains("secretword"), "{said}");
    (ended.status.code(), said)
}

#[track_caller]
fn refused(url: &str, code: i32, words: &[&str]) {
    let (ended, said) = start(url);
    assert_eq!(ended, Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}

/// A certificate for that name, which nobody signed but itself.
pub fn certificate(folder: &Path, name: &str) {
    let subject = format!("/CN={name}");
    let names = format!("subjectAltName=DNS:{name}");
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3"]);
    openssl.args(["-subj", &subject, "-addext", &names, "-addext", "basicConstraints=CA:FALSE"]);
    openssl.args(["-keyout", "server.key", "-out", "server.crt"]).current_dir(folder);
    let made = openssl.output().expect("openssl runs: scripts/install-test-tools installs it");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let key = folder.join("server.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("set");
    if let Some((uid, gid)) = other_user() {
        chown(&key, Some(uid), Some(gid)).expect("root may do that");
    }
}

#[test]
fn a_start_without_its_database_says_what_to_do() {
    let address = address();
    let url = |rest: &str| format!("postgres://app:secretword@{address}:5432/{rest}");
    refused(&url("postgres"), UNAVAILABLE, &["Connection refused", &address, "does it run"]);
    let nowhere = "postgres://app:secretword@nowhere.invalid/postgres?sslmode=disable";
    refused(nowhere, UNAVAILABLE, &["check the host in database_url"]);

    let cluster = Cluster::start_at(&address);
    cluster.sql("CREATE ROLE app LOGIN PASSWORD 'another word'");
    let rules = cluster.folder().join("data/pg_hba.conf");
    let trusting = fs::read_to_string(&rules).expect("read");
    fs::write(&rules, format!("host all app all scram-sha-256\n{trusting}")).expect("written");
    cluster.sql("SELECT pg_reload_conf()");
    refused(&url("postgres"), UNAVAILABLE, &["(28P01)", "check user and password"]);
    let trusted = |rest: &str| format!("postgres://assistdeck:secretword@{address}:5432/{rest}");
    refused(&trusted("none"), UNAVAILABLE, &["\"none\" does not exist", "createdb"]);
    let verified = trusted("postgres?sslmode=verify-full");
    refused(&verified, UNAVAILABLE, &["does not support TLS", "sslmode=disable"]);

    certificate(&cluster.folder().join("data"), "db.example");
    cluster.sql("ALTER SYSTEM SET ssl = on");
    cluster.sql("SELECT pg_reload_conf()");
    refused(&verified, UNAVAILABLE, &["invalid peer certificate", "sslrootcert must name"]);
    // Signed as it should be, and another machine's.
    let root = cluster.folder().join("data/server.crt");
    let named = format!("{verified}&sslrootcert={}", root.display());
    refused(&named, UNAVAILABLE, &["invalid peer certificate", "must be the certificate's"]);

    cluster.sql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'");
    refused(&trusted("latin"), OTHER, &["LATIN1", "UTF8 is needed"]);
    cluster.sql(
        "CREATE TABLE schema_migrations (version bigint, name text, checksum text, at bigint);
         INSERT INTO schema_migrations VALUES (99, '0099_the_future', '', 0)",
    );
    refused(&trusted("postgres"), OTHER, &["0099_the_future", "run the newer program"]);
}
