//! The only file that starts processes: with which arguments, for how long, and how they ended.

use std::ffi::{OsStr, OsString};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::runtime::Runtime;

/// Where programs are looked for: never where the caller's environment says.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// The most that is read of what a program prints.
const MOST_OUTPUT: u64 = 8 << 20;

/// A program, its arguments, and nothing that a shell would have to interpret.
#[derive(Debug, Clone)]
pub struct Invocation {
    program: OsString,
    arguments: Vec<OsString>,
}

/// Every way in which running a program can fail.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be started.
    #[error("cannot run {program}: {source}")]
    NotStarted {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// It ended with an exit code other than 0, or by a signal.
    #[error("{invocation} failed ({status}){}{message}", if .message.is_empty() { "" } else { ": " })]
    Failed {
        /// Program and arguments.
        invocation: String,
        /// How it ended.
        status: ExitStatus,
        /// The last line it wrote to its standard error.
        message: String,
    },
    /// It had not ended in time, and was killed.
    #[error("{invocation} did not end within {:.1} s", after.as_secs_f64())]
    TimedOut {
        /// Program and arguments.
        invocation: String,
        /// How long it was given.
        after: Duration,
    },
}

impl Invocation {
    /// `program` without arguments.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self { program: program.into(), arguments: Vec::new() }
    }

    /// With one more argument.
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// With one more argument `--name=value`, so that a value that begins with a dash stays a value.
    pub fn option(self, name: &str, value: impl AsRef<OsStr>) -> Self {
        let mut argument = OsString::from(format!("--{name}="));
        argument.push(value);
        self.arg(argument)
    }

    /// Runs the program to its end, at most for `patience`; what it printed, if it ended with 0.
    ///
    /// # Errors
    ///
    /// See [`CommandError`]: all of them say which program it was.
    pub fn run(&self, runtime: &Runtime, patience: Duration) -> Result<String, CommandError> {
        let mut command = self.prepared();
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        runtime.block_on(async {
            let child = command.spawn().map_err(|source| self.not_started(source))?;
            let output = tokio::time::timeout(patience, collect(child))
                .await
                .map_err(|_| CommandError::TimedOut { invocation: self.to_string(), after: patience })?
                .map_err(|source| self.not_started(source))?;
            if output.status.success() {
                return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
            }
            let errors = String::from_utf8_lossy(&output.stderr);
            let message = errors.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned();
            Err(CommandError::Failed { invocation: self.to_string(), status: output.status, message })
        })
    }

    /// Starts the program and leaves it running, in a process group of its own so that Pacemaker's kill of a timed-out
    /// action does not reach it; its output goes to `log`.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn leave_running(&self, log: std::fs::File, directory: &std::path::Path) -> Result<(), CommandError> {
        let errors = log.try_clone().map_err(|source| self.not_started(source))?;
        let mut command = self.prepared().into_std();
        command.stdout(log).stderr(errors).current_dir(directory);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.spawn().map(drop).map_err(|source| self.not_started(source))
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that starts processes")]
    fn prepared(&self) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.program);
        command
            .args(&self.arguments)
            .stdin(Stdio::null())
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .env("TZ", "UTC");
        command
    }

    fn not_started(&self, source: std::io::Error) -> CommandError {
        CommandError::NotStarted { program: self.program.to_string_lossy().into_owned(), source }
    }
}

impl std::fmt::Display for Invocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.program.to_string_lossy())?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {}", argument.to_string_lossy()))
    }
}

/// Reads what `child` prints, up to a bound, and waits for its end.
async fn collect(mut child: tokio::process::Child) -> std::io::Result<std::process::Output> {
    use tokio::io::AsyncReadExt;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let read_output = async {
        match output {
            Some(pipe) => pipe.take(MOST_OUTPUT).read_to_end(&mut stdout).await,
            None => Ok(0),
        }
    };
    let read_errors = async {
        match errors {
            Some(pipe) => pipe.take(MOST_OUTPUT).read_to_end(&mut stderr).await,
            None => Ok(0),
        }
    };
    let (read, more, status) = tokio::join!(read_output, read_errors, child.wait());
    read.and(more)?;
    Ok(std::process::Output { status: status?, stdout, stderr })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(invocation: Invocation, patience: Duration) -> Result<String, CommandError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        invocation.run(&runtime, patience)
    }

    #[test]
    fn output_and_failure_are_told() {
        let long = Duration::from_secs(10);
        assert_eq!(run(Invocation::new("echo").arg("a; $(b)"), long).unwrap(), "a; $(b)\n");
        let failure = run(Invocation::new("ls").arg("/nowhere"), long).unwrap_err().to_string();
        assert!(failure.starts_with("ls /nowhere failed (exit status: 2): ls: "), "{failure}");
        let missing = run(Invocation::new("no-such-program"), long).unwrap_err().to_string();
        assert!(missing.starts_with("cannot run no-such-program: No such file"), "{missing}");
    }

    #[test]
    fn a_program_that_hangs_is_given_up() {
        let hangs = run(Invocation::new("sleep").arg("60"), Duration::from_millis(50)).unwrap_err();
        assert_eq!(hangs.to_string(), "sleep 60 did not end within 0.1 s");
    }
}
