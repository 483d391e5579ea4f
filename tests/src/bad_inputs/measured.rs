//! The program under measurement: what it said, the CPU that it and its children took, and the peak of their memory.
//!
//! CPU and not wall time, so that a busy machine fails no test.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use wait4::Wait4;

/// A program that takes longer by the clock on the wall hangs.
const PATIENCE: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_millis(3);
/// `USER_HZ`, in which Linux tells times to programs, on all architectures that we build for.
const TICKS_A_SECOND: u64 = 100;

/// What a run said and took.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Both streams.
    pub said: String,
    /// The exit code; none of a process that was killed.
    pub code: Option<i32>,
    /// CPU of the program itself.
    pub own_cpu: Duration,
    /// CPU of the program and of the git that it started.
    pub cpu: Duration,
    /// The largest resident set of the program or of a git that it started.
    pub memory_bytes: u64,
}

/// Runs to the end. Streams go to files in `dir`, so that no pipe can fill up.
pub fn run(program: &Path, args: &[&str], dir: &Path) -> Measured {
    let streams = tempfile::tempdir_in(dir).unwrap();
    let path = streams.path().join("said");
    let file = File::create(&path).unwrap();
    let mut command = Command::new(program);
    command.current_dir(dir).args(args).env_clear().stdin(Stdio::null());
    command.env("PATH", std::env::var_os("PATH").unwrap());
    command.env("HOME", dir).env("GIT_CONFIG_NOSYSTEM", "1").env("RUST_BACKTRACE", "1");
    let child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
    let own_cpu = await_end(Pid::from_child(&child));
    let used = child.wait4().unwrap();
    Measured {
        said: String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned(),
        code: used.status.code(),
        own_cpu,
        cpu: used.rusage.utime + used.rusage.stime,
        memory_bytes: used.rusage.maxrss,
    }
}

/// Waits until the child has ended, but leaves it to be reaped: its own times are told until then.
fn await_end(pid: Pid) -> Duration {
    let began = Instant::now();
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    while waitid(WaitId::Pid(pid), options).unwrap().is_none() {
        if began.elapsed() > PATIENCE {
            // It ends without an exit code, which no case expects.
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(GLANCE);
    }
    own_cpu(pid)
}

/// `utime` and `stime`, the 14th and 15th field of `/proc/<pid>/stat`; the second, a name in brackets, may hold spaces.
fn own_cpu(pid: Pid) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap();
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let ticks: u64 = rest.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 1000 / TICKS_A_SECOND)
}
