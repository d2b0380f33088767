//! `user …` and `agent …`: accounts.

use clap::Subcommand;
use protocol::{User, UserKind};
use serde_json::{Value, json};

use super::beside;
use super::exit::Outcome;
use super::flags::AdminFlags;
use super::output::{Output, print};
use super::password::PasswordFrom;
use crate::auth::{Auth, NewUser};
use crate::store::Account;

/// Accounts that are read at once.
const PAGE: usize = 1_000;

#[derive(Subcommand)]
pub enum UserCommand {
    /// Make an account, also when registration is closed
    Create {
        /// The email to log in with
        email: String,
        /// The name that others see
        #[arg(long)]
        name: String,
        #[command(flatten)]
        password: PasswordFrom,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        flags: AdminFlags,
    },
    /// List all accounts
    List {
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        flags: AdminFlags,
    },
    /// End all tokens and connections of a user and let them in no more
    Disable(Chosen),
    /// Let a disabled user log in again; old tokens stay ended
    Enable(Chosen),
    /// Set a password; all tokens and connections of the user end
    ResetPassword {
        #[command(flatten)]
        password: PasswordFrom,
        #[command(flatten)]
        chosen: Chosen,
    },
}

#[derive(Subcommand)]
pub enum AgentCommand {
    /// Make the account of an assistant's program; `token issue` gives it a token
    Create {
        /// The name that others see
        name: String,
        /// An email, to be found by; without one it gets an address that is nobody's
        #[arg(long)]
        email: Option<String>,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        flags: AdminFlags,
    },
}

/// One user.
#[derive(clap::Args)]
pub struct Chosen {
    /// The user's id or email
    user: String,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    flags: AdminFlags,
}

pub fn run_user(command: UserCommand) -> Outcome {
    match command {
        UserCommand::Create { email, name, password, output, flags } => {
            let password = password.get()?;
            let word = Some(password.word.as_str());
            let email = Some(email.as_str());
            let new = NewUser { name: &name, email, kind: UserKind::Human, password: word };
            let user = create(flags, new)?;
            told(output, &user, password.is_made.then_some(&password.word));
            Ok(())
        }
        UserCommand::List { output, flags } => list(output, flags),
        UserCommand::Disable(chosen) => set_disabled(chosen, true),
        UserCommand::Enable(chosen) => set_disabled(chosen, false),
        UserCommand::ResetPassword { password, chosen } => reset_password(password, chosen),
    }
}

pub fn run_agent(command: AgentCommand) -> Outcome {
    let AgentCommand::Create { name, email, output, flags } = command;
    let email = email.as_deref();
    let new = NewUser { name: &name, email, kind: UserKind::Agent, password: None };
    let user = create(flags, new)?;
    told(output, &user, None);
    Ok(())
}

/// Accounts can be made before the first start of the server.
fn create(flags: AdminFlags, new: NewUser<'_>) -> Outcome<User> {
    let config = flags.config()?;
    beside::run_in(&config, async |beside| Ok(beside.auth.create_user(new).await?))
}

fn told(output: Output, user: &User, made: Option<&String>) {
    let mut json = json!(user);
    if let Some(word) = made {
        json["password"] = json!(word);
    }
    output.tell(&json, || match made {
        Some(word) => format!("{}  {}\npassword: {word}", user.id, user.email),
        None => format!("{}  {}", user.id, user.email),
    });
}

fn list(output: Output, flags: AdminFlags) -> Outcome {
    let accounts = beside::run(flags, async |beside| all(&beside.auth).await)?;
    if output.json {
        let all: Vec<Value> = accounts.iter().map(shown).collect();
        print(&format!("{:#}", json!(all)));
        return Ok(());
    }
    for Account { user, disabled, .. } in &accounts {
        let kind = match user.kind {
            UserKind::Human => "human",
            UserKind::Agent => "agent",
        };
        let state = if *disabled { "disabled" } else { "enabled" };
        print(&format!("{}  {kind}  {state:8}  {}  {}", user.id, user.email, user.name));
    }
    Ok(())
}

async fn all(auth: &Auth) -> Outcome<Vec<Account>> {
    let mut accounts: Vec<Account> = Vec::new();
    loop {
        let last = accounts.last().map(|account| account.user.id);
        let page = auth.accounts(last, PAGE).await?;
        let is_last = page.len() < PAGE;
        accounts.extend(page);
        if is_last {
            return Ok(accounts);
        }
    }
}

fn shown(account: &Account) -> Value {
    let mut json = json!(account.user);
    json["disabled"] = json!(account.disabled);
    json["has_password"] = json!(account.password_hash.is_some());
    json
}

fn set_disabled(chosen: Chosen, disabled: bool) -> Outcome {
    let Chosen { user, output, flags } = chosen;
    let account = beside::run(flags, async |beside| {
        let mut account = beside.auth.find_account(&user).await?;
        match disabled {
            true => beside.auth.disable(account.user.id).await?,
            false => beside.auth.enable(account.user.id).await?,
        }
        account.disabled = disabled;
        Ok(account)
    })?;
    output.tell(&shown(&account), || {
        format!("{} is {}", account.user.email, if disabled { "disabled" } else { "enabled" })
    });
    Ok(())
}

fn reset_password(password: PasswordFrom, chosen: Chosen) -> Outcome {
    let Chosen { user, output, flags } = chosen;
    let password = password.get()?;
    let user = beside::run(flags, async |beside| {
        let account = beside.auth.find_account(&user).await?;
        beside.auth.reset_password(account.user.id, &password.word).await?;
        Ok(account.user)
    })?;
    told(output, &user, password.is_made.then_some(&password.word));
    Ok(())
}
