//! Passwords from the terminal, from standard input, or made here.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::exit::{Exit, Failure, Outcome};
use crate::auth::secret;

/// More than any password or token has, in bytes.
const LINE_BYTES_MAX: u64 = 16_384;

/// Where a password comes from. Without either flag it is asked for on the terminal.
#[derive(Args, Clone, Copy)]
pub struct PasswordFrom {
    /// Read the password from the first line of standard input
    #[arg(long, conflicts_with = "generate_password")]
    password_stdin: bool,
    /// Make a password and print it
    #[arg(long)]
    generate_password: bool,
}

/// A password and whether it was made here, so that it must be told.
pub struct Password {
    pub word: String,
    pub is_made: bool,
}

impl PasswordFrom {
    pub fn get(self) -> Outcome<Password> {
        if self.generate_password {
            return Ok(Password { word: secret::random_password(), is_made: true });
        }
        let word = match (self.password_stdin, io::stdin().is_terminal()) {
            (true, _) => stdin_line()?,
            (false, true) => ask_twice()?,
            (false, false) => {
                let message = "no terminal to ask for the password: give --password-stdin or \
                               --generate-password";
                return Err(Failure::new(Exit::Usage, message));
            }
        };
        Ok(Password { word, is_made: false })
    }
}

/// The first line of standard input, without its end.
pub fn stdin_line() -> Outcome<String> {
    let mut line = String::new();
    io::BufReader::new(io::stdin().lock().take(LINE_BYTES_MAX)).read_line(&mut line)?;
    let line = line.strip_suffix('\n').unwrap_or(&line);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

fn ask_twice() -> Outcome<String> {
    let first = ask("Password: ")?;
    match ask("The same again: ")? == first {
        true => Ok(first),
        false => Err(Failure::new(Exit::Usage, "the two are not the same")),
    }
}

fn ask(prompt: &str) -> Outcome<String> {
    eprint!("{prompt}");
    io::stderr().flush()?;
    let silent = Silent::new()?;
    let line = stdin_line();
    drop(silent);
    eprintln!();
    line
}

/// While it lives, the terminal does not show what is typed.
struct Silent(Termios);

impl Silent {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // The terminal is gone, then.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
