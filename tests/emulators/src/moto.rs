//! Somebody else's emulator of EC2, IAM, STS and Kinesis, as a server on a free port.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::python::python_bin;

/// The server; it ends with the test.
pub struct Moto {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Moto {
    /// Starts it, and waits until it answers.
    pub fn start() -> Result<Self, String> {
        let bin = python_bin()?;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr()).unwrap();
        let mut child = Command::new(bin.join("python"))
            .args(["-c", include_str!("moto_server.py"), "-H", "127.0.0.1", "-p", &address.port().to_string()])
            .env("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        // It says so when it listens; what it says after that has to be taken from it, or it stands still.
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let up = lines.by_ref().map_while(Result::ok).any(|line| line.contains("Running on"));
        if !up {
            return Err("moto ended before it listened".to_owned());
        }
        std::thread::spawn(move || lines.for_each(drop));
        while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
            if let Ok(Some(status)) = child.try_wait() {
                return Err(format!("moto ended: {status}"));
            }
        }
        Ok(Self { child, address })
    }

    /// `http://127.0.0.1:1234`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
