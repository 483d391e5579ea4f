//! Where a fleet repository is, and with which credentials it is reached.
//!
//! Owns the reading of URLs and paths, and that no password is ever shown; touches the disk only to find a local git
//! directory.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::RepoError;

/// A user name and a password or token for HTTP. `Debug` shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user; `x-access-token` for GitHub's app tokens.
    pub username: String,
    /// The password or token.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(***)")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// An absolute path on this machine.
    Local(PathBuf),
    /// Scheme, host and port, to which credentials are bound.
    Http {
        origin: String,
    },
    Ssh,
}

/// A checked address. A password in its URL is split off, so that neither a message nor a command line can hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    url: String,
    kind: Kind,
    username: Option<String>,
    credentials: Option<Credentials>,
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact(&self.url))
    }
}

impl Remote {
    /// Reads `https://`, `http://`, `ssh://` or `file://` URLs, `user@host:path`, or a local path.
    ///
    /// Anything that git could take for an option or for a program to run is refused.
    pub fn parse(text: &str) -> Result<Self, RepoError> {
        let text = text.trim();
        if text.is_empty() || text.starts_with('-') || text.chars().any(char::is_control) {
            return Err(RepoError::refused("this is no address of a repository"));
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            return Self::parse_url(&scheme.to_ascii_lowercase(), rest);
        }
        match text.find(':') {
            Some(colon) if !text[..colon].contains('/') => Self::parse_scp(text, colon),
            _ => Self::local(Path::new(text)),
        }
    }

    /// The git directory of a local remote: the bare directory itself, or its `.git` (linked worktrees resolved).
    pub fn local_git_dir(&self) -> Option<PathBuf> {
        let Kind::Local(path) = &self.kind else { return None };
        if let Ok(repo) = git2::Repository::open(path) {
            return Some(repo.commondir().to_owned());
        }
        let inner = path.join(".git");
        [inner, path.clone()].into_iter().find(|dir| dir.join("HEAD").is_file())
    }

    /// The address without credentials, as git gets it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// `scheme://host:port` for HTTP: the only place that credentials are sent to.
    pub(crate) fn origin(&self) -> Option<&str> {
        match &self.kind {
            Kind::Http { origin } => Some(origin),
            Kind::Local(_) | Kind::Ssh => None,
        }
    }

    fn plain(url: String, kind: Kind) -> Self {
        Self { url, kind, username: None, credentials: None }
    }

    fn local(path: &Path) -> Result<Self, RepoError> {
        let path = std::path::absolute(path).map_err(|e| RepoError::io("the path can't be made absolute", &e))?;
        let url = path.to_str().ok_or_else(|| RepoError::refused("the path is not UTF-8"))?.to_owned();
        Ok(Self::plain(url, Kind::Local(path)))
    }

    fn parse_url(scheme: &str, rest: &str) -> Result<Self, RepoError> {
        match scheme {
            "http" | "https" => Self::parse_http(scheme, rest),
            "ssh" => Self::parse_ssh(rest),
            "file" => Self::parse_file(rest),
            _ => Err(RepoError::refused("only https, http, ssh and file URLs are followed")),
        }
    }

    fn parse_http(scheme: &str, rest: &str) -> Result<Self, RepoError> {
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user_info, host) = split_user(authority);
        check_host(host)?;
        let origin = format!("{scheme}://{host}");
        let mut remote = Self::plain(format!("{origin}{path}"), Kind::Http { origin });
        match user_info.map(|info| info.split_once(':').ok_or(info)) {
            None => {}
            Some(Err(user)) => remote.username = Some(percent_decoded(user)?),
            Some(Ok((user, password))) => {
                remote.credentials =
                    Some(Credentials { username: percent_decoded(user)?, password: percent_decoded(password)? });
            }
        }
        Ok(remote)
    }

    fn parse_ssh(rest: &str) -> Result<Self, RepoError> {
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, host) = split_user(authority);
        check_host(host)?;
        // A password in an ssh URL is used by nobody; kept, it could only leak.
        let user = user.map(|user| user.split(':').next().unwrap_or_default());
        check_ssh_user(user)?;
        let at = user.map(|user| format!("{user}@")).unwrap_or_default();
        Ok(Self::plain(format!("ssh://{at}{host}{path}"), Kind::Ssh))
    }

    fn parse_file(rest: &str) -> Result<Self, RepoError> {
        let path = rest.strip_prefix("localhost").unwrap_or(rest);
        match path.starts_with('/') {
            true => Self::local(Path::new(&percent_decoded(path)?)),
            false => Err(RepoError::refused("a file URL names no other host: file:///path")),
        }
    }

    fn parse_scp(text: &str, colon: usize) -> Result<Self, RepoError> {
        // `ext::sh -c ...` and its kin run programs.
        if text[colon..].starts_with("::") {
            return Err(RepoError::refused("transports of the form name::address are not followed"));
        }
        let (user, host) = split_user(&text[..colon]);
        check_host(host)?;
        check_ssh_user(user)?;
        Ok(Self::plain(text.to_owned(), Kind::Ssh))
    }
}

fn split_user(authority: &str) -> (Option<&str>, &str) {
    match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    }
}

/// A host that starts with `-` would be an option of ssh.
fn check_host(host: &str) -> Result<(), RepoError> {
    let sound = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    match !host.is_empty() && !host.starts_with('-') && host.chars().all(sound) {
        true => Ok(()),
        false => Err(RepoError::refused("the address names no sound host")),
    }
}

fn check_ssh_user(user: Option<&str>) -> Result<(), RepoError> {
    match user {
        Some(user) if user.is_empty() || user.starts_with('-') || user.contains(char::is_whitespace) => {
            Err(RepoError::refused("the address names no sound user"))
        }
        Some(_) | None => Ok(()),
    }
}

fn percent_decoded(text: &str) -> Result<String, RepoError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match (first, hex.and_then(|two| u8::from_str_radix(two, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    let sound = |text: &String| !text.chars().any(char::is_control);
    String::from_utf8(bytes).ok().filter(sound).ok_or_else(|| RepoError::refused("the address decodes to no text"))
}

/// Replaces whatever stands between `://` and `@`: git repeats URLs, those of redirects and rewrites included.
pub(crate) fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || matches!(c, '/' | '\'' | '"')).unwrap_or(after.len());
        let hidden = after[..end].rfind('@').unwrap_or(0);
        out.push_str(if hidden > 0 { "***" } else { "" });
        rest = &after[hidden..];
    }
    out + rest
}

impl Credentials {
    /// Takes the password out of a text, as it is and as a URL spells it.
    pub(crate) fn redact(&self, text: &str) -> String {
        let encoded: String = self.password.bytes().map(encoded_byte).collect();
        [self.password.as_str(), encoded.as_str()]
            .into_iter()
            .filter(|secret| !secret.is_empty())
            .fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}

fn encoded_byte(byte: u8) -> String {
    match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_run_programs_or_look_like_options_are_refused() {
        for url in [
            "",
            "-oProxyCommand=x",
            "--upload-pack=x",
            "ext::sh -c x",
            "fd::3",
            "git://host/r",
            "ssh://-oProxyCommand=x/r",
            "-x@host:r",
            "host\n:r",
            "ext://x",
            "ssh://-x@host/r",
            "file://elsewhere/r",
        ] {
            assert!(matches!(Remote::parse(url), Err(RepoError::Refused { .. })), "{url:?}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_never_shown() {
        let remote = Remote::parse("https://bot:s3cr%40t@git.example.com:8443/fleet.git").unwrap();
        let shown = format!("{remote} {remote:?}");
        assert!(!shown.contains("s3cr"), "{shown}");
        assert_eq!(remote.url(), "https://git.example.com:8443/fleet.git");
        assert_eq!(remote.credentials().unwrap().password, "s3cr@t");
        assert_eq!(remote.origin(), Some("https://git.example.com:8443"));
    }

    #[test]
    fn git_repeating_a_url_is_redacted() {
        let said = redact("fatal: unable to access 'https://a:b@h/r': see http://x@y/ and https://h/a@b");
        assert_eq!(said, "fatal: unable to access 'https://***@h/r': see http://***@y/ and https://h/a@b");
    }

    #[test]
    fn usual_addresses_are_read() {
        assert_eq!(Remote::parse("git@github.com:org/fleet.git").unwrap().url(), "git@github.com:org/fleet.git");
        assert_eq!(Remote::parse("ssh://git@h:22/fleet.git").unwrap().url(), "ssh://git@h:22/fleet.git");
        assert_eq!(Remote::parse("file:///srv/a%20b.git").unwrap().url(), "/srv/a b.git");
        assert!(Remote::parse("fleet.git").unwrap().url().starts_with('/'));
    }
}
