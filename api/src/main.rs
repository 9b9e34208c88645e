//! `chanceryd`.

use std::process::ExitCode;

fn main() -> ExitCode {
    chancery_api::daemon::main()
}
