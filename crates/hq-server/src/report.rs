//! What a command ends with: a text and an exit code.

use crate::failure::Failure;
use serde::Serialize;
use std::io::{self, Write};
use std::process::ExitCode;

/// Exit codes, as `leasehold --help` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Yes = 0,
    No = 1,
    Usage = 2,
    Refused = 3,
    Unknown = 4,
    Io = 5,
}

impl Exit {
    pub(crate) fn yes_if(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An answer, ready to be printed.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) text: String,
    pub(crate) exit: Exit,
}

impl Report {
    pub(crate) fn text(text: String, exit: Exit) -> Self {
        Self { text, exit }
    }

    pub(crate) fn json(answer: &impl Serialize, exit: Exit) -> Result<Self, Failure> {
        let mut text = serde_json::to_string_pretty(answer).map_err(|error| Failure::internal(error.to_string()))?;
        text.push('\n');
        Ok(Self { text, exit })
    }

    /// Prints it in one go. A reader that has left, as `head` does, is no fault.
    pub(crate) fn print(&self) -> Exit {
        let mut out = io::stdout().lock();
        match out.write_all(self.text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                // Where standard error is gone too, the exit code tells it.
                let _ = writeln!(io::stderr(), "error: the answer cannot be written: {error} [io]");
                Exit::Io
            }
            _ => self.exit,
        }
    }
}
