//! `token …`: tokens for people and programs, and their end.

use std::time::Duration;

use clap::Subcommand;
use serde_json::json;
use uuid::Uuid;

use super::beside;
use super::exit::{Exit, Failure, Outcome};
use super::flags::AdminFlags;
use super::output::Output;
use super::password::stdin_line;
use crate::auth::{Error, Revoke};
use crate::config::duration;

#[derive(Subcommand)]
pub enum Command {
    /// Make a token for a user or an agent and print it
    Issue {
        /// The user's id or email
        user: String,
        /// How long it lives, like 30d; the setting `token_ttl` when not given
        #[arg(long, value_name = "DURATION", value_parser = ttl)]
        ttl: Option<Duration>,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        flags: AdminFlags,
    },
    /// End tokens before their time; connections that were opened with them close
    Revoke {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        flags: AdminFlags,
    },
}

/// Which tokens to end.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// The token with this id, its claim `jti`
    #[arg(long, value_name = "UUID")]
    id: Option<Uuid>,
    /// The token on the first line of standard input
    #[arg(long)]
    stdin: bool,
    /// All tokens that a user has now (id or email)
    #[arg(long, value_name = "USER")]
    user: Option<String>,
}

fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = duration(text)?;
    match ttl.is_zero() {
        true => Err("a token must live a second at least".to_owned()),
        false => Ok(ttl),
    }
}

pub fn run(command: Command) -> Outcome {
    match command {
        Command::Issue { user, ttl, output, flags } => {
            let (user, token, expires) = beside::run(flags, async |beside| {
                let user = beside.auth.find_account(&user).await?.user;
                let (token, expires) = beside.auth.issue_token(user.id, ttl).await?;
                Ok((user.id, token, expires))
            })?;
            let json = json!({ "token": token, "user_id": user, "expires_at": expires });
            output.tell(&json, || token.clone());
            Ok(())
        }
        Command::Revoke { which, output, flags } => revoke(which, output, flags),
    }
}

fn revoke(which: Which, output: Output, flags: AdminFlags) -> Outcome {
    let text = if which.stdin { stdin_line()? } else { String::new() };
    let told = beside::run(flags, async |beside| {
        let (what, told) = match (&which.user, which.id) {
            (Some(user), _) => {
                let user = beside.auth.find_account(user).await?.user;
                (Revoke::User(user.id), format!("all tokens of {}", user.email))
            }
            (None, Some(id)) => (Revoke::Id(id), format!("token {id}")),
            (None, None) => (Revoke::Token(&text), "the token".to_owned()),
        };
        match beside.auth.revoke_token(what).await {
            Ok(_) => Ok(told),
            // What the server takes for no token needs no end.
            Err(Error::Unauthorized(cause)) => Err(Failure::new(Exit::Usage, cause)),
            Err(error) => Err(error.into()),
        }
    })?;
    output.tell(&json!({ "revoked": told }), || format!("revoked: {told}"));
    Ok(())
}
