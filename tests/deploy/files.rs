//! The files in `deploy`, judged by linters and held against what the program knows: no container
//! engine is needed.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::{path_with_program, repository};

/// What the nodes in the compose file are given as files.
const SECRETS: [(&str, &str); 2] = [
    ("database_url", "postgres://assistdeck:word@postgres/assistdeck?sslmode=disable"),
    ("jwt_secret", "a secret of thirty-two bytes or more"),
];

fn read(name: &str) -> String {
    fs::read_to_string(repository().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Runs a judge, which must find no fault.
fn judge(command: &mut Command) -> String {
    let found = command.current_dir(repository()).env("PATH", path_with_program()).output();
    let Output { status, stdout, stderr } = found.unwrap_or_else(|error| {
        panic!("{command:?}: {error}; scripts/install-test-tools installs what is missing")
    });
    let said = String::from_utf8_lossy(&stdout).into_owned();
    let faults = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{command:?}: {said}{faults}");
    said
}

fn compose() -> Value {
    let mut reader = Command::new("node");
    let said = judge(reader.args(["tests/deploy/compose.mjs", "deploy/compose.yaml"]));
    serde_json::from_str(&said).expect("JSON")
}

#[test]
fn the_linters_find_no_fault() {
    judge(Command::new("target/test-tools/venv/bin/hadolint").arg("deploy/Dockerfile"));
    let mut linter = Command::new("node");
    linter.args(["tests/node/node_modules/dclint/bin/dclint.cjs", "--max-warnings", "0"]);
    judge(linter.args(["--config", "tests/deploy/dclint.json", "deploy/compose.yaml"]));
}

#[test]
fn the_balancer_takes_its_configuration_here_and_in_the_compose_file() {
    let check = ["-c", "-q", "-f", "deploy/haproxy.cfg"];
    judge(Command::new("haproxy").args(check));
    let variables = &compose()["services"]["balancer"]["environment"];
    let mut haproxy = Command::new("haproxy");
    for (name, value) in variables.as_object().expect("variables") {
        haproxy.env(name, value.as_str().expect("text"));
    }
    // Names that only the containers' network knows leave a server out, with a warning.
    judge(haproxy.args(check));
}

#[test]
fn the_settings_of_the_composed_nodes_are_settings() {
    let folder = TempDir::new().expect("a temporary folder");
    for (name, text) in SECRETS {
        fs::write(folder.path().join(name), text).expect("written");
    }
    let compose = compose();
    let nodes: Vec<&Value> =
        ["node1", "node2", "node3"].iter().map(|name| &compose["services"][name]).collect();
    for node in nodes {
        let mut check = Command::new(env!("CARGO_BIN_EXE_assistdeck"));
        check.args(["config", "check"]).env_clear();
        for (name, value) in node["environment"].as_object().expect("variables") {
            let here = format!("{}/", folder.path().display());
            let value = value.as_str().expect("text").replace("/run/secrets/", &here);
            // The form that compose knows for a variable with a default.
            let value = match value.strip_prefix("${").and_then(|rest| rest.split_once(":-")) {
                Some((_, default)) => default.trim_end_matches('}').to_owned(),
                None => value,
            };
            check.env(name, value);
        }
        let found = check.current_dir(folder.path()).output().expect("it runs");
        let faults = String::from_utf8_lossy(&found.stderr);
        assert!(found.status.success() && !faults.contains("unknown"), "{faults}");
    }
}

#[test]
fn the_image_is_made_of_all_that_the_build_reads_and_holds_no_secret() {
    let file = read("deploy/Dockerfile");
    let copied: Vec<&str> = file
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
        .filter(|rest| !rest.starts_with("--from"))
        .flat_map(|rest| rest.split_whitespace().rev().skip(1))
        .collect();
    let sent: Vec<String> = read(".dockerignore")
        .lines()
        .filter_map(|line| line.strip_prefix('!').map(str::to_owned))
        .collect();
    for name in &copied {
        assert!(repository().join(name).exists(), "{name} is copied, and not there");
        assert!(sent.iter().any(|sent| sent == name), "{name} is not sent to the build");
    }
    for name in included(&repository().join("src")) {
        assert!(copied.iter().any(|copied| name.starts_with(copied)), "{name} is not copied");
    }
    for (instruction, argument) in [
        ("STOPSIGNAL", "SIGTERM"),
        ("USER", "65532"),
        ("HEALTHCHECK", "--interval"),
        ("VOLUME", "/var/lib/assistdeck"),
    ] {
        assert!(file.contains(&format!("\n{instruction} {argument}")), "{instruction}");
    }
    assert!(file.contains("\"health\"") && file.contains("--locked"), "{file}");
    for line in file.lines().filter(|line| !line.starts_with('#')) {
        let line = line.to_lowercase();
        let is_secret = ["secret", "password", "database_url"].iter().any(|w| line.contains(w));
        assert!(!is_secret, "{line}");
    }
}

/// Files outside of `src` that its files take in when they are compiled, from the repository on.
fn included(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(included(&path));
            continue;
        }
        if path.ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        for rest in text.split("../").skip(1) {
            let name = rest.split('"').next().unwrap_or_default();
            let is_file = name.contains('.') && repository().join(name).is_file();
            found.extend(is_file.then(|| name.to_owned()));
        }
    }
    found
}
