//! A proxy that forwards calls one by one, and can lose one of them before or after it was done, or change a reply.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It never arrives.
    Before,
    /// It is done, and the reply is lost.
    After,
}

#[derive(Default)]
struct State {
    calls: Vec<String>,
    fail: Option<(usize, Fault)>,
    /// In replies to calls of this name.
    replaced: Vec<(&'static str, &'static str, &'static str)>,
    /// The reply to the next call of this name.
    instead: Option<(&'static str, &'static str)>,
}

pub struct Door {
    pub port: u16,
    state: Arc<Mutex<State>>,
}

impl Door {
    pub fn open(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, state) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(State::default())));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || pass(client, to, &state));
            }
        });
        Self { port, state }
    }

    /// Nothing is lost or changed any more, and no call is remembered.
    pub fn open_again(&self) {
        *self.state.lock().unwrap() = State::default();
    }

    /// The n-th call from now on, counted from 0, is lost.
    pub fn lose(&self, n: usize, fault: Fault) {
        let mut state = self.state.lock().unwrap();
        state.calls.clear();
        state.fail = Some((n, fault));
    }

    /// In replies to these calls this is written for that.
    pub fn replace(&self, call: &'static str, this: &'static str, by: &'static str) {
        self.state.lock().unwrap().replaced.push((call, this, by));
    }

    /// The next call of this name is answered so, and goes nowhere.
    pub fn answer(&self, call: &'static str, reply: &'static str) {
        self.state.lock().unwrap().instead = Some((call, reply));
    }

    /// The names of the calls since the last time that this was asked.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().calls)
    }
}

fn pass(mut client: TcpStream, to: u16, state: &Mutex<State>) {
    let Some(request) = read_request(&mut client) else { return };
    let (call, fault, replaced, instead) = {
        let mut state = state.lock().unwrap();
        let call = name(&request);
        let n = state.calls.len();
        state.calls.push(call.clone());
        let fault = state.fail.filter(|(at, _)| *at == n).map(|(_, fault)| fault);
        let instead = state.instead.take_if(|(name, _)| *name == call).map(|(_, reply)| reply);
        (call, fault, state.replaced.clone(), instead)
    };
    if fault == Some(Fault::Before) {
        return;
    }
    let reply = match instead {
        Some(body) => {
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).into_bytes()
        }
        None => forward(&request, to, &call, &replaced),
    };
    if fault != Some(Fault::After) {
        let _ = client.write_all(&reply);
    }
}

fn forward(request: &[u8], to: u16, call: &str, replaced: &[(&str, &str, &str)]) -> Vec<u8> {
    let mut server = TcpStream::connect(("127.0.0.1", to)).unwrap();
    let end = request.windows(2).position(|two| two == b"\r\n").unwrap();
    // In one piece: what comes in several waits for acknowledgements.
    server.write_all(&[&request[..end], b"\r\nConnection: close", &request[end..]].concat()).unwrap();
    let mut reply = Vec::new();
    server.read_to_end(&mut reply).unwrap();
    let mut text = String::from_utf8(reply).unwrap();
    for (_, this, by) in replaced.iter().filter(|(name, ..)| *name == call) {
        text = text.replace(this, by);
    }
    // Its length may be another one now, and the end of the connection is the end of the reply.
    let lines = text.split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("content-length"));
    lines.collect::<Vec<_>>().join("\r\n").into_bytes()
}

fn read_request(client: &mut TcpStream) -> Option<Vec<u8>> {
    let (mut bytes, mut some) = (Vec::new(), [0; 65536]);
    loop {
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(head) = head {
            let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if bytes.len() >= head + 4 + length.unwrap_or(0) {
                return Some(bytes);
            }
        }
        match client.read(&mut some) {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&some[..n]),
        }
    }
}

fn name(request: &[u8]) -> String {
    let text = String::from_utf8_lossy(request);
    let after = text.split("Action=").nth(1).unwrap_or_default();
    after.split('&').next().unwrap_or_default().to_owned()
}
