//! THE OTHER DOORS: the command line.
//!
//! `assistdeck serve`, which the bare command is too, runs the server. The operator's commands
//! open the data folder beside a running server and go through the same functions of `auth` as
//! everybody; the server hears of what they end within about a second. What a program may want
//! to read is JSON with `--json`, on standard output and alone there; everything else that is
//! told goes to standard error. Passwords come from the terminal or standard input, never from
//! the command line, which others can see. How commands end is said in `exit`.

mod backup;
mod beside;
mod config;
mod exit;
mod export;
mod flags;
mod health;
mod import;
mod output;
mod password;
mod progress;
mod token;
mod user;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{logging, server};
use exit::{EXIT_CODES, Exit, Failure, Outcome};
use flags::{AdminFlags, ServeFlags};
use output::Output;

const EXAMPLES: &str = "Examples:\n  \
    assistdeck                                    serve at http://localhost:8080\n  \
    assistdeck serve --listen 0.0.0.0:80 --data-dir /var/lib/assistdeck\n  \
    assistdeck user create ada@example.org --name Ada\n  \
    assistdeck token issue ada@example.org --ttl 30d\n  \
    assistdeck backup create /backups/today.db";

/// The server for shared chat sessions: people and assistants, one order, nothing missed.
#[derive(Parser)]
#[command(name = "assistdeck", version, args_conflicts_with_subcommands = true)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
struct Line {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    flags: ServeFlags,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server until SIGTERM or SIGINT (the bare command does this too)
    Serve(ServeFlags),
    /// Write, check and show settings
    #[command(subcommand)]
    Config(config::Command),
    /// Make, list, disable and enable accounts; reset passwords
    #[command(subcommand)]
    User(user::UserCommand),
    /// Make accounts of assistants' programs
    #[command(subcommand)]
    Agent(user::AgentCommand),
    /// Issue and revoke tokens
    #[command(subcommand)]
    Token(token::Command),
    /// Begin a new epoch, after the database was replaced by an older copy
    #[command(subcommand)]
    Epoch(EpochCommand),
    /// Copy the database, check a copy, put one back
    #[command(subcommand)]
    Backup(backup::Command),
    /// Write everything durable into a file, also while a server runs
    Export(export::Export),
    /// Take in what `export` wrote, or the original backend's database. The server must be stopped
    Import(import::Import),
    /// Ask a running server whether it is ready
    Health(health::Health),
    /// For developers: the socket layer alone, sending back what it gets
    Echo(ServeFlags),
}

#[derive(Subcommand)]
enum EpochCommand {
    /// Make a new epoch; servers take it up when they start
    Renew {
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        flags: AdminFlags,
    },
}

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    let line = Line::parse();
    let outcome = match line.command {
        None => serve(line.flags),
        Some(command) => run(command),
    };
    match outcome {
        Ok(()) => Exit::Ok.into(),
        Err(Failure { exit, message }) => {
            eprintln!("assistdeck: {message}");
            exit.into()
        }
    }
}

fn run(command: Command) -> Outcome {
    match command {
        Command::Serve(flags) => serve(flags),
        Command::Config(command) => config::run(command),
        Command::User(command) => user::run_user(command),
        Command::Agent(command) => user::run_agent(command),
        Command::Token(command) => token::run(command),
        Command::Epoch(EpochCommand::Renew { output, flags }) => renew_epoch(output, flags),
        Command::Backup(command) => backup::run(command),
        Command::Export(export) => export::run(export),
        Command::Import(import) => import::run(import),
        Command::Health(health) => health::run(health),
        Command::Echo(flags) => echo(flags),
    }
}

fn serve(flags: ServeFlags) -> Outcome {
    let config = flags.config()?;
    logging::start(config.log_format, &config.log_level);
    let runtime = runtime()?;
    let outcome = runtime.block_on(server::run(config));
    // What still runs after the drain, or after a second signal, holds nothing up.
    runtime.shutdown_background();
    Ok(outcome?)
}

fn echo(flags: ServeFlags) -> Outcome {
    let config = flags.config()?;
    logging::start(config.log_format, &config.log_level);
    let address = *config.listen.first().expect("a configuration has an address");
    let runtime = runtime()?;
    let echo = server::run_echo(address, config.frame_bytes_max, config.frame_fragments_max);
    let outcome = runtime.block_on(echo);
    runtime.shutdown_background();
    Ok(outcome?)
}

/// One thread of work for each core.
fn runtime() -> Outcome<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.worker_threads(cores).thread_name("worker").enable_all().build()?)
}

fn renew_epoch(output: Output, flags: AdminFlags) -> Outcome {
    let epoch = beside::run(flags, async |beside| Ok(beside.store.renew_epoch().await?))?;
    output.tell(&serde_json::json!({ "epoch": epoch }), || {
        format!("the new epoch is {epoch}; a running server takes it up when it starts again")
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_in_order() {
        Line::command().debug_assert();
    }

    #[test]
    fn the_bare_command_takes_the_flags_of_serve() {
        for line in [&["assistdeck", "--listen", "127.0.0.1:0"][..], &["assistdeck"]] {
            let line = Line::try_parse_from(line).map_err(|error| error.to_string());
            assert!(line.is_ok_and(|line| line.command.is_none()));
        }
        assert!(Line::try_parse_from(["assistdeck", "serve", "--trust-client-ai-flag"]).is_ok());
        assert!(Line::try_parse_from(["assistdeck", "--lissen", "x"]).is_err());
    }
}
