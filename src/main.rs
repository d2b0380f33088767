//! The program: everything is in the library, behind the command line of `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    assistdeck::cli::main()
}
