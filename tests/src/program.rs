//! The program as people run it: the real binary, on a machine of its own where nothing of the user's is seen or touched.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// No command of a test runs longer, not even on a machine that does something else as well.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often a condition is looked at.
const GLANCE: Duration = Duration::from_millis(3);

/// The binary, brought up to date once a process.
///
/// Cargo gives a package's binaries to its own tests only, and `cargo test --workspace` need not build this one. So cargo
/// is asked, which knows what is missing or older; where nothing is, that takes a moment. The profile and the target
/// directory are those of the running test.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let profile_dir = test.parent().and_then(Path::parent).unwrap();
        let profile = match profile_dir.file_name().and_then(OsStr::to_str).unwrap() {
            "debug" => "dev",
            other => other,
        };
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(env!("CARGO_MANIFEST_DIR")).env("CARGO_TARGET_DIR", profile_dir.parent().unwrap());
        cargo.args(["build", "--quiet", "--offline", "--package", "fleetwright", "--bin", "fleetwright"]);
        let built = cargo.args(["--profile", profile]).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        profile_dir.join(format!("fleetwright{}", std::env::consts::EXE_SUFFIX))
    })
}

/// What a command said, and how it ended.
#[derive(Clone, Debug)]
pub struct Said {
    /// What was asked for.
    pub stdout: String,
    /// Everything else.
    pub stderr: String,
    /// The exit code; none of a process that was killed.
    pub code: Option<i32>,
}

impl Said {
    /// Both streams.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Ended with this code; shows what was said, where it did not.
    #[track_caller]
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "code {:?}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// A user's machine: a home, a git identity, a place for files. It goes with the test.
pub struct Machine {
    dir: TempDir,
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine {
    /// A machine on which nobody ever did anything.
    pub fn new() -> Self {
        let machine = Self { dir: tempfile::tempdir().unwrap() };
        for inner in ["home", "tmp", "streams"] {
            std::fs::create_dir(machine.path(inner)).unwrap();
        }
        let config = "[user]\n\tname = A Person\n\temail = person@example.com\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[core]\n\tfsync = none\n[init]\n\tdefaultBranch = main\n";
        std::fs::write(machine.path("home/.gitconfig"), config).unwrap();
        machine
    }

    /// A place on it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, program: &Path, dir: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.path(dir)).args(args).env_clear().stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap());
        command.env("HOME", self.path("home")).env("TMPDIR", self.path("tmp"));
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_TERMINAL_PROMPT", "0");
        command
    }

    /// Types `fleetwright …` in a folder, and waits.
    pub fn fleetwright(&self, dir: &str, args: &[&str]) -> Said {
        self.fleetwright_with(dir, args, &[])
    }

    /// The same with something in the environment.
    pub fn fleetwright_with(&self, dir: &str, args: &[&str], environment: &[(&str, &str)]) -> Said {
        let mut command = self.command(binary(), dir, args);
        command.envs(environment.iter().copied());
        self.start(command).wait()
    }

    /// Types `fleetwright … &` in a folder.
    pub fn begin(&self, dir: &str, args: &[&str]) -> Running {
        self.start(self.command(binary(), dir, args))
    }

    /// The same with something in the environment.
    pub fn begin_with(&self, dir: &str, args: &[&str], environment: &[(&str, &str)]) -> Running {
        let mut command = self.command(binary(), dir, args);
        command.envs(environment.iter().copied());
        self.start(command)
    }

    /// Types `git …` in a folder; it must succeed.
    #[track_caller]
    pub fn git(&self, dir: &str, args: &[&str]) -> String {
        let output = self.command(Path::new("git"), dir, args).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Writes a file, and its folders.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Reads a file.
    #[track_caller]
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The streams go to files, so that no pipe can fill up.
    fn start(&self, mut command: Command) -> Running {
        let streams = tempfile::tempdir_in(self.path("streams")).unwrap();
        let file = |name: &str| File::create(streams.path().join(name)).unwrap();
        let child = command.stdout(file("stdout")).stderr(file("stderr")).spawn().unwrap();
        Running { child, streams }
    }
}

/// A command under way; killed, where a test forgets it.
pub struct Running {
    child: Child,
    streams: TempDir,
}

impl Running {
    /// What it said so far on stderr.
    pub fn stderr(&self) -> String {
        self.stream("stderr")
    }

    fn stream(&self, name: &str) -> String {
        std::fs::read_to_string(self.streams.path().join(name)).unwrap()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Asks it to end, as `kill` and a service manager do.
    pub fn terminate(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Ends it as a power failure would; whether it still ran.
    pub fn kill(self) -> bool {
        self.kill_and_say().0
    }

    /// The same, with what it had said until then.
    pub fn kill_and_say(mut self) -> (bool, Said) {
        let ran = self.ended().is_none();
        self.child.kill().unwrap();
        let code = self.child.wait().unwrap().code();
        (ran, Said { stdout: self.stream("stdout"), stderr: self.stream("stderr"), code })
    }

    /// Waits until something holds; false, where the process ended before.
    #[track_caller]
    pub fn until(&mut self, mut holds: impl FnMut(&Self) -> bool) -> bool {
        let began = Instant::now();
        loop {
            if holds(self) {
                return true;
            }
            if self.ended().is_some() {
                return holds(self);
            }
            assert!(began.elapsed() < PATIENCE, "in vain: {}", self.stderr());
            std::thread::sleep(GLANCE);
        }
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(mut self) -> Said {
        self.until(|_| false);
        let code = self.ended().and_then(|status| status.code());
        Said { stdout: self.stream("stdout"), stderr: self.stream("stderr"), code }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
