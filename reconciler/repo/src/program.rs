//! The `git` program as a child: what it inherits, how long it may take, and what of its words comes back.
//!
//! Owns the only place that starts a process. A secret reaches the child in its environment, never in its arguments,
//! and no word of the child leaves here before credentials are taken out of it.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::error::RepoError;
use crate::remote::{Credentials, Remote, redact};

/// The oldest git that has all we ask for (`--config-env`, 2.31).
const VERSION_MIN: (u32, u32) = (2, 31);
/// A million refs fit; what is longer is no fleet repository.
const STDOUT_BYTES_MAX: usize = 64 << 20;
const STDERR_BYTES_MAX: usize = 64 << 10;
/// A day is "no limit"; far more would overflow the clock.
const LIMIT_MAX: Duration = Duration::from_secs(86_400);
/// How long a child may take to put its lock files away before it is killed outright.
const GRACE: Duration = Duration::from_secs(2);

/// `GIT_` variables that say how to reach a server; all others would point the child at another repository or write
/// traces with credentials in them.
const KEPT: &[&str] = &[
    "GIT_ASKPASS",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM",
    "GIT_EXEC_PATH",
    "GIT_PROXY_SSL_CAINFO",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "GIT_SSL_CERT",
    "GIT_SSL_KEY",
];
const KEPT_STARTS: &[&str] = &["GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_"];

const USERNAME: &str = "FLEETWRIGHT_GIT_USERNAME";
const PASSWORD: &str = "FLEETWRIGHT_GIT_PASSWORD";
/// Git runs this in a shell when the server asks; the values stay in the environment.
const HELPER: &str = r#"!f() { test "$1" = get && printf 'username=%s\npassword=%s\n' "$FLEETWRIGHT_GIT_USERNAME" "$FLEETWRIGHT_GIT_PASSWORD"; }; f"#;

/// How to start git for one repository.
#[derive(Debug)]
pub(crate) struct Program {
    pub git_dir: PathBuf,
    pub time_limit: Duration,
}

/// What a finished child left.
pub(crate) struct Finished {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The output of a success; a failure becomes the error its words tell of.
    pub fn stdout_or_error(self) -> Result<String, RepoError> {
        match self.success {
            true => Ok(self.stdout),
            false => Err(RepoError::from_stderr(&self.stderr)),
        }
    }
}

impl Program {
    /// Runs `git <args>`; `remote` gives the credentials, if any are needed.
    pub fn run(&self, args: &[String], access: Option<&Access<'_>>) -> Result<Finished, RepoError> {
        let name = args.iter().find(|arg| !arg.starts_with('-') && !arg.contains('='));
        let name = name.map(String::as_str).unwrap_or_default();
        let mut command = self.command();
        if let Some(access) = access {
            access.lend_to(&mut command);
        }
        command.args(args);
        let started = Instant::now();
        let ran = run_within(&mut command, self.time_limit);
        tracing::debug!(command = name, elapsed_ms = started.elapsed().as_millis() as u64, "git child ended");
        let ended = ran.map_err(|e| RepoError::io("the git program can't be run", &e))?;
        let Some((status, stdout, stderr)) = ended else {
            return Err(RepoError::TimedOut { command: name.to_owned(), limit_seconds: self.time_limit.as_secs() });
        };
        finished(status, stdout, stderr, access)
    }

    /// Fails unless a git new enough is on the path.
    pub fn check_version(&self) -> Result<(), RepoError> {
        let said = self.run(&["version".to_owned()], None)?.stdout_or_error()?;
        match version(&said) {
            Some(found) if found >= VERSION_MIN => Ok(()),
            _ => Err(RepoError::refused(format!(
                "git {}.{} or newer is needed, and this is {}",
                VERSION_MIN.0,
                VERSION_MIN.1,
                said.trim()
            ))),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new("git");
        let foreign = std::env::vars_os().map(|(name, _)| name).filter(is_foreign);
        for name in foreign {
            command.env_remove(name);
        }
        command
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOW_PROTOCOL", "file:http:https:ssh")
            .env("LC_ALL", "C")
            .env_remove("LANGUAGE")
            .arg("--git-dir")
            .arg(&self.git_dir)
            .args(["-c", "core.hooksPath=/dev/null", "-c", "color.ui=false", "-c", "maintenance.auto=false"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Its own group, so that a time limit ends ssh and the helpers too.
            .process_group(0);
        command
    }
}

fn is_foreign(name: &OsString) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("GIT_") && !KEPT.contains(&&*name) && !KEPT_STARTS.iter().any(|start| name.starts_with(start))
}

/// What a child may need to reach a remote.
pub(crate) struct Access<'a> {
    pub remote: &'a Remote,
    pub credentials: Option<&'a Credentials>,
    /// More for its environment.
    pub env: &'a [(&'a str, &'a str)],
}

impl Access<'_> {
    /// Credentials answer one origin only, and alone: other helpers would be told to store them.
    fn lend_to(&self, command: &mut Command) {
        command.envs(self.env.iter().copied());
        let Some(origin) = self.remote.origin() else { return };
        if let Some(Credentials { username, password }) = self.credentials {
            command.env(USERNAME, username).env(PASSWORD, password);
            command.args(["-c", "credential.helper=", "-c"]).arg(format!("credential.{origin}.helper={HELPER}"));
        } else if let Some(username) = self.remote.username() {
            command.env(USERNAME, username);
            command.arg(format!("--config-env=credential.{origin}.username={USERNAME}"));
        }
    }
}

fn finished(
    status: ExitStatus,
    stdout: Captured,
    stderr: Captured,
    access: Option<&Access<'_>>,
) -> Result<Finished, RepoError> {
    if stdout.overflowed {
        return Err(RepoError::TooLarge { detail: "git's answer is over 64 MiB".to_owned() });
    }
    let clean = |bytes: &[u8]| {
        let text = redact(&String::from_utf8_lossy(bytes));
        match access.and_then(|access| access.credentials) {
            Some(credentials) => credentials.redact(&text),
            None => text,
        }
    };
    Ok(Finished { success: status.success(), stdout: clean(&stdout.bytes), stderr: clean(&stderr.bytes) })
}

fn version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.split_whitespace().nth(2)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[derive(Default)]
struct Captured {
    bytes: Vec<u8>,
    overflowed: bool,
    broken: bool,
}

impl Captured {
    fn take(&mut self, bytes: &[u8], bytes_max: usize) {
        let room = bytes_max - self.bytes.len();
        self.overflowed |= bytes.len() > room;
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

type Ended = (ExitStatus, Captured, Captured);

/// `None` when the limit passed; the child and its group are gone then.
fn run_within(command: &mut Command, limit: Duration) -> std::io::Result<Option<Ended>> {
    let mut child = command.spawn()?;
    let (sender, receiver) = channel();
    capture(0, child.stdout.take(), STDOUT_BYTES_MAX, sender.clone());
    capture(1, child.stderr.take(), STDERR_BYTES_MAX, sender);
    let mut captured = [None, None];
    let status = wait(&mut child, &receiver, &mut captured, limit)?;
    let Some(status) = status else {
        stop(&mut child)?;
        return Ok(None);
    };
    // A helper left behind (ssh's ControlPersist) may hold a pipe open for ever; what git said is here by now.
    while captured.iter().any(Option::is_none) {
        let Ok((index, text)) = receiver.recv_timeout(Duration::from_secs(1)) else { break };
        captured[index] = Some(text);
    }
    let [stdout, stderr] = captured;
    // Without its end an output is not an empty one: "no refs" would be read into it.
    let stdout =
        stdout.filter(|stdout| !stdout.broken).ok_or_else(|| std::io::Error::other("its output has no end"))?;
    Ok(Some((status, stdout, stderr.unwrap_or_default())))
}

fn capture<R: Read + Send + 'static>(
    index: usize,
    pipe: Option<R>,
    bytes_max: usize,
    sender: Sender<(usize, Captured)>,
) {
    let Some(pipe) = pipe else { return };
    std::thread::spawn(move || {
        // Nobody listens any more after a time limit; the text is not needed then.
        let _ = sender.send((index, read_bounded(pipe, bytes_max)));
    });
}

/// Reads to the end, so that the child never blocks on a full pipe, and keeps what is below the limit.
fn read_bounded(mut pipe: impl Read, bytes_max: usize) -> Captured {
    let mut captured = Captured::default();
    let mut buffer = [0; 16 << 10];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return captured,
            Ok(count) => captured.take(&buffer[..count], bytes_max),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => {
                captured.broken = true;
                return captured;
            }
        }
    }
}

/// Wakes when a pipe closes, which is when git ends, and looks now and then for a git that ended without that.
fn wait(
    child: &mut Child,
    receiver: &Receiver<(usize, Captured)>,
    captured: &mut [Option<Captured>; 2],
    limit: Duration,
) -> std::io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit.min(LIMIT_MAX);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        match receiver.recv_timeout(left.min(Duration::from_millis(50))) {
            Ok((index, text)) => captured[index] = Some(text),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// First a request, so that git removes its lock files, then force. The child is not reaped before, so its id is its own.
fn stop(child: &mut Child) -> std::io::Result<()> {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let signal = |signal| group.map(|group| kill_process_group(group, signal));
    let _ = signal(Signal::TERM);
    let deadline = Instant::now() + GRACE;
    while child.try_wait()?.is_none() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    if child.try_wait()?.is_none() {
        let _ = signal(Signal::KILL);
    }
    child.wait().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_hangs_is_stopped_with_its_own_children() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & sleep 600"]).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let started = Instant::now();
        assert!(run_within(&mut command, Duration::from_millis(50)).unwrap().is_none());
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn variables_that_point_at_another_repository_are_dropped() {
        for name in ["GIT_DIR", "GIT_INDEX_FILE", "GIT_QUARANTINE_PATH", "GIT_TRACE", "GIT_CONFIG_PARAMETERS"] {
            assert!(is_foreign(&name.into()), "{name}");
        }
        for name in ["GIT_SSH_COMMAND", "GIT_CONFIG_VALUE_0", "HOME"] {
            assert!(!is_foreign(&name.into()), "{name}");
        }
    }

    #[test]
    fn versions_are_read() {
        assert_eq!(version("git version 2.47.3\n"), Some((2, 47)));
        assert_eq!(version("git version 2.39.5 (Apple Git-154)"), Some((2, 39)));
        assert_eq!(version("git"), None);
    }
}
