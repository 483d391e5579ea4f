//! A Git server as people run them: `git http-backend` behind HTTP with a password, on a free port of this machine. It
//! ends with the test.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tiny_http::{Header, Request, Response, Server, StatusCode};

/// So many requests are answered side by side.
const THREADS: usize = 4;

/// A server of the repositories in one folder.
pub struct GitServer {
    server: Arc<Server>,
    threads: Vec<JoinHandle<()>>,
}

/// What the threads know.
#[derive(Clone)]
struct Site {
    root: PathBuf,
    /// The value of the header `Authorization` that opens it.
    key: String,
}

impl GitServer {
    /// Serves the bare repositories of a folder to one user.
    pub fn new(root: &Path, user: &str, password: &str) -> Self {
        let server = Arc::new(Server::http("127.0.0.1:0").unwrap());
        let key = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let site = Site { root: root.to_owned(), key };
        let threads = (0..THREADS).map(|_| {
            let (server, site) = (Arc::clone(&server), site.clone());
            std::thread::spawn(move || server.incoming_requests().for_each(|request| site.answer(request)))
        });
        Self { threads: threads.collect(), server }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.server_addr().to_ip().unwrap()
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.threads.iter().for_each(|_| self.server.unblock());
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

impl Site {
    fn answer(&self, mut request: Request) {
        let response = match header(&request, "Authorization").as_deref() == Some(&self.key) {
            true => self.backend(&mut request),
            false => {
                let challenge = Header::from_bytes("WWW-Authenticate", "Basic realm=\"fleet\"").unwrap();
                Some(Response::from_data(b"who are you?\n").with_status_code(401).with_header(challenge))
            }
        };
        // Who asked may have gone: that is what this server is here for.
        let _ = response.map(|response| request.respond(response));
    }

    /// The answer of `git http-backend`; none where the request did not arrive as a whole.
    fn backend(&self, request: &mut Request) -> Option<Response<std::io::Cursor<Vec<u8>>>> {
        let mut body = Vec::new();
        request.as_reader().read_to_end(&mut body).ok()?;
        if request.body_length().is_some_and(|length| length != body.len()) {
            return None;
        }
        let mut command = self.command(request, body.len());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let mut stdin = child.stdin.take()?;
        // From another thread: the backend answers before it has read everything.
        let writer = std::thread::spawn(move || stdin.write_all(&body));
        let output = child.wait_with_output().ok()?;
        drop(writer.join());
        response(&output.stdout)
    }

    fn command(&self, request: &Request, length: usize) -> Command {
        let (path, query) = request.url().split_once('?').unwrap_or((request.url(), ""));
        let mut command = Command::new("git");
        command.arg("http-backend").env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("GIT_PROJECT_ROOT", &self.root).env("GIT_HTTP_EXPORT_ALL", "1").env("REMOTE_USER", "bot");
        command.env("REMOTE_ADDR", "127.0.0.1").env("CONTENT_LENGTH", length.to_string());
        command.env("PATH_INFO", path).env("QUERY_STRING", query);
        command.env("REQUEST_METHOD", request.method().as_str());
        for (name, variable) in [
            ("Content-Type", "CONTENT_TYPE"),
            ("Content-Encoding", "HTTP_CONTENT_ENCODING"),
            ("Git-Protocol", "GIT_PROTOCOL"),
        ] {
            if let Some(value) = header(request, name) {
                command.env(variable, value);
            }
        }
        command
    }
}

fn header(request: &Request, name: &'static str) -> Option<String> {
    let found = request.headers().iter().find(|header| header.field.equiv(name));
    found.map(|header| header.value.to_string())
}

/// What a CGI program printed, as a response.
fn response(said: &[u8]) -> Option<Response<std::io::Cursor<Vec<u8>>>> {
    let end = said.windows(4).position(|four| four == b"\r\n\r\n")?;
    let mut response = Response::from_data(&said[end + 4..]);
    for line in std::str::from_utf8(&said[..end]).ok()?.split("\r\n") {
        let (name, value) = line.split_once(": ")?;
        match name {
            "Status" => response = response.with_status_code(StatusCode(value.get(..3)?.parse().ok()?)),
            _ => response.add_header(Header::from_bytes(name, value).ok()?),
        }
    }
    Some(response)
}
