//! A TCP proxy that cuts, loses, delays, and delivers twice. Every connection is one HTTP request, which it sees to by
//! asking the server to close after its answer; what it does to a connection comes from a seed.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::wishes::Dice;

/// Nobody waits longer for a byte; a server that is alive answers within it.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// What is done to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Harm {
    /// It is closed before the server hears of it.
    Refused,
    /// The server gets so many bytes of the request, and no more.
    RequestCut(usize),
    /// The client gets so many bytes of the reply, and no more.
    ReplyCut(usize),
    /// The same, and nothing tells the client how long the reply was to be, as where a server streams.
    ReplyCutUnnoticed(usize),
    /// The whole request is delivered and answered; the client hears nothing of it.
    ReplyLost,
    /// The reply waits for so many milliseconds.
    Delayed(u64),
    /// The request is delivered twice, and the first reply is handed on.
    TwiceFirst,
    /// The request is delivered twice, and the second reply is handed on.
    TwiceSecond,
    /// The request is delivered again so many milliseconds after its reply.
    TwiceLate(u64),
}

impl Harm {
    fn any(dice: &mut Dice) -> Self {
        let bytes = usize::try_from(dice.between(0, 1500)).unwrap();
        let milliseconds = dice.between(5, 400);
        match dice.between(0, 9) {
            0 => Self::Refused,
            1 => Self::RequestCut(bytes),
            2 => Self::ReplyCut(bytes),
            3 | 4 => Self::ReplyLost,
            5 => Self::Delayed(milliseconds),
            6 => Self::TwiceFirst,
            7 => Self::TwiceSecond,
            8 => Self::ReplyCutUnnoticed(bytes),
            _ => Self::TwiceLate(milliseconds),
        }
    }

    /// By which it is counted.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::RequestCut(_) => "request cut",
            Self::ReplyCut(_) => "reply cut",
            Self::ReplyCutUnnoticed(_) => "reply cut, unnoticed",
            Self::ReplyLost => "reply lost",
            Self::Delayed(_) => "delayed",
            Self::TwiceFirst => "twice, first reply",
            Self::TwiceSecond => "twice, second reply",
            Self::TwiceLate(_) => "twice, late",
        }
    }
}

struct Shared {
    upstream: SocketAddr,
    percent: u64,
    percent_of_pushes: u64,
    stormy: AtomicBool,
    refused_next: AtomicU32,
    always: Mutex<Option<(String, Harm)>>,
    stopping: AtomicBool,
    dice: Mutex<Dice>,
    hits: Mutex<BTreeMap<String, u32>>,
}

/// A proxy in front of one server.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Harms so many of a hundred requests, and of a hundred pushes, once it is told to.
    pub fn new(upstream: SocketAddr, seed: u64, [percent, percent_of_pushes]: [u64; 2]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream,
            percent,
            percent_of_pushes,
            stormy: AtomicBool::new(false),
            refused_next: AtomicU32::new(0),
            always: Mutex::new(None),
            stopping: AtomicBool::new(false),
            dice: Mutex::new(Dice::new(seed)),
            hits: Mutex::new(BTreeMap::new()),
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || accept(&listener, &of_thread));
        Self { address, shared, thread: Some(thread) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to harm, or stops.
    pub fn storm(&self, stormy: bool) {
        self.shared.stormy.store(stormy, Ordering::SeqCst);
    }

    /// Refuses so many connections, storm or not.
    pub fn refuse_next(&self, connections: u32) {
        self.shared.refused_next.store(connections, Ordering::SeqCst);
    }

    /// Does the same to every request whose beginning holds this text, and nothing to the others.
    pub fn always(&self, text: &str, harm: Harm) {
        *self.shared.always.lock().unwrap() = Some((text.to_owned(), harm));
    }

    /// Lets everything through again.
    pub fn never(&self) {
        *self.shared.always.lock().unwrap() = None;
    }

    /// How often each harm really changed what a client or the server met; those of pushes count as `… of a push`, too.
    pub fn hits(&self) -> BTreeMap<String, u32> {
        self.shared.hits.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes it where it waits for a connection.
        drop(TcpStream::connect(self.address));
        self.thread.take().map(JoinHandle::join);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming().map_while(Result::ok) {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            let harm = shared.harm(&beginning(&client));
            // What ends a connection early is what happens on networks.
            drop(Relay { client, harm, shared: &shared, request: Mutex::new(Vec::new()) }.run());
        });
    }
}

/// What a client sends first, left where it is.
fn beginning(client: &TcpStream) -> Vec<u8> {
    let mut bytes = [0; 256];
    let count = client.set_read_timeout(Some(SILENCE_MAX)).and_then(|()| client.peek(&mut bytes));
    bytes[..count.unwrap_or(0)].to_vec()
}

/// Whether a request moves refs: one that only asks for them has another path.
fn is_push(request: &[u8]) -> bool {
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    String::from_utf8_lossy(line).contains("/git-receive-pack ")
}

impl Shared {
    fn harm(&self, request: &[u8]) -> Option<Harm> {
        let line = String::from_utf8_lossy(request);
        let push = is_push(request);
        if let Some((path, harm)) = &*self.always.lock().unwrap() {
            return line.contains(path).then_some(*harm);
        }
        let fewer = |left: u32| left.checked_sub(1);
        if self.refused_next.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer).is_ok() {
            return Some(Harm::Refused);
        }
        let mut dice = self.dice.lock().unwrap();
        let harmed = dice.percent(if push { self.percent_of_pushes } else { self.percent });
        let harm = Harm::any(&mut dice);
        (harmed && self.stormy.load(Ordering::SeqCst)).then_some(harm)
    }

    fn hit(&self, harm: Harm, request: &[u8]) {
        let mut hits = self.hits.lock().unwrap();
        *hits.entry(harm.name().to_owned()).or_default() += 1;
        if is_push(request) {
            *hits.entry(format!("{} of a push", harm.name())).or_default() += 1;
        }
    }
}

/// One connection.
struct Relay<'a> {
    client: TcpStream,
    harm: Option<Harm>,
    shared: &'a Shared,
    /// What the server was sent.
    request: Mutex<Vec<u8>>,
}

impl Relay<'_> {
    fn run(&self) -> std::io::Result<()> {
        if self.harm == Some(Harm::Refused) {
            self.shared.hit(Harm::Refused, &beginning(&self.client));
            return self.client.shutdown(Shutdown::Both);
        }
        let server = self.connect()?;
        self.client.set_read_timeout(Some(SILENCE_MAX))?;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                if self.pump(&server).is_err() {
                    let _ = server.shutdown(Shutdown::Both);
                }
            });
            let ended = self.reply(&server);
            // Ends the pump as well.
            let _ = self.client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
            ended
        })
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        let server = TcpStream::connect(self.shared.upstream)?;
        server.set_read_timeout(Some(SILENCE_MAX))?;
        Ok(server)
    }

    /// The request, as far as it goes.
    fn pump(&self, mut server: &TcpStream) -> std::io::Result<()> {
        let mut buffer = [0; 4096];
        let mut begun = false;
        loop {
            let count = (&self.client).read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            let mut bytes = buffer[..count].to_vec();
            if !std::mem::replace(&mut begun, true) {
                bytes = closing(&bytes);
            }
            let mut request = self.request.lock().unwrap();
            if let Some(harm @ Harm::RequestCut(at)) = self.harm
                && request.len() + bytes.len() > at
            {
                self.shared.hit(harm, &[&request[..], &bytes[..]].concat());
                server.write_all(&bytes[..at.saturating_sub(request.len())])?;
                return Err(ErrorKind::ConnectionAborted.into());
            }
            request.extend_from_slice(&bytes);
            drop(request);
            server.write_all(&bytes)?;
        }
    }

    /// The reply, as far as it goes.
    fn reply(&self, server: &TcpStream) -> std::io::Result<()> {
        let first = whole(server)?;
        let request = self.request.lock().unwrap().clone();
        let answered = !first.is_empty();
        let hit = || self.harm.filter(|_| answered).into_iter().for_each(|harm| self.shared.hit(harm, &request));
        match self.harm {
            None | Some(Harm::Refused | Harm::RequestCut(_)) => (&self.client).write_all(&first),
            Some(Harm::ReplyCut(at)) if at >= first.len() => (&self.client).write_all(&first),
            Some(Harm::ReplyCut(at)) => {
                hit();
                (&self.client).write_all(&first[..at])
            }
            Some(Harm::ReplyCutUnnoticed(at)) => {
                let first = unmeasured(&first);
                if at < first.len() {
                    hit();
                }
                (&self.client).write_all(&first[..at.min(first.len())])
            }
            Some(Harm::ReplyLost) => {
                hit();
                Ok(())
            }
            Some(Harm::Delayed(milliseconds)) => {
                hit();
                std::thread::sleep(Duration::from_millis(milliseconds));
                (&self.client).write_all(&first)
            }
            Some(Harm::TwiceFirst | Harm::TwiceSecond) => {
                let second = self.again(&request)?;
                hit();
                let handed_on = if self.harm == Some(Harm::TwiceFirst) { first } else { second };
                (&self.client).write_all(&handed_on)
            }
            Some(Harm::TwiceLate(milliseconds)) => {
                (&self.client).write_all(&first)?;
                let _ = self.client.shutdown(Shutdown::Both);
                std::thread::sleep(Duration::from_millis(milliseconds));
                self.again(&request)?;
                hit();
                Ok(())
            }
        }
    }

    fn again(&self, request: &[u8]) -> std::io::Result<Vec<u8>> {
        let server = self.connect()?;
        (&server).write_all(request)?;
        whole(&server)
    }
}

fn whole(mut server: &TcpStream) -> std::io::Result<Vec<u8>> {
    let mut reply = Vec::new();
    server.read_to_end(&mut reply)?;
    Ok(reply)
}

/// A reply without its length.
fn unmeasured(reply: &[u8]) -> Vec<u8> {
    let head = reply.windows(4).position(|four| four == b"\r\n\r\n").map_or(reply.len(), |at| at + 2);
    let lines = reply[..head].split_inclusive(|byte| *byte == b'\n');
    let kept = lines.filter(|line| !line.to_ascii_lowercase().starts_with(b"content-length:"));
    [kept.collect::<Vec<_>>().concat(), reply[head..].to_vec()].concat()
}

/// The beginning of a request with the wish that its answer ends the connection.
fn closing(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.windows(2).position(|two| two == b"\r\n").map_or(bytes.len(), |at| at + 2);
    [&bytes[..end], b"Connection: close\r\n", &bytes[end..]].concat()
}
