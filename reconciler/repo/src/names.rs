//! Which names of refs and files are accepted. Pure.
//!
//! Owns the rules; may not touch a repository. A name that one of git's platforms reads as something else (`.git` on NTFS
//! or HFS+), or that a reviewer can't see as it is (control characters, bidi overrides), is refused, not repaired.

use crate::error::RepoError;

/// The longest part of a path that the usual file systems hold.
const PART_BYTES_MAX: usize = 255;

/// `refs/heads/<branch>`, or a refusal if `git check-ref-format --branch` would refuse it.
pub fn branch_ref(branch: &str) -> Result<String, RepoError> {
    let name = format!("refs/heads/{branch}");
    check_ref(&name)?;
    Ok(name)
}

/// A full name below `refs/heads/` or `refs/fleetwright/`; anything else is not ours to read or write.
pub fn check_ref(name: &str) -> Result<(), RepoError> {
    let short = name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/fleetwright/"));
    let sound =
        |short: &str| !short.starts_with('-') && short != "HEAD" && !short.chars().any(|c| is_hidden(c) || c == '*');
    match short.is_some_and(sound) && git2::Reference::is_valid_name(name) {
        true => Ok(()),
        false => Err(RepoError::refused(format!("{name:?} is no name of a branch or of a ref of ours"))),
    }
}

/// Why one part of a path is refused, as a sentence without its subject.
pub(crate) fn refused_part(bytes: &[u8]) -> Option<&'static str> {
    let Ok(name) = std::str::from_utf8(bytes) else {
        return Some("has a name that is not UTF-8");
    };
    if name.is_empty() || name == "." || name == ".." || name.contains('/') {
        return Some("has a name that is no file name");
    }
    if name.len() > PART_BYTES_MAX {
        return Some("has a name longer than 255 bytes");
    }
    if name.contains('\\') {
        return Some("has a backslash in its name");
    }
    if name.chars().any(is_hidden) {
        return Some("has control or invisible characters in its name");
    }
    is_dot_git(name).then_some("has a name that some systems take for .git")
}

/// Checks a path to write, part by part.
pub(crate) fn check_path(path: &str) -> Result<(), RepoError> {
    match path.split('/').find_map(|part| refused_part(part.as_bytes())) {
        None => Ok(()),
        Some(why) => Err(RepoError::refused(format!("{path:?} {why}"))),
    }
}

/// Control characters, line separators, bidi controls, and what HFS+ ignores when it compares names.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A path as it may be printed: a terminal obeys what stands in it otherwise, and a log gets lines of its own.
pub(crate) fn visible(path: &str) -> String {
    let shown = |c: char| if is_hidden(c) { c.escape_unicode().to_string() } else { c.to_string() };
    path.chars().map(shown).collect()
}

/// NTFS drops trailing dots and spaces, reads `:` as a stream, and knows `.git` as `git~1` too.
fn is_dot_git(name: &str) -> bool {
    let stem = name.split(':').next().unwrap_or_default().trim_end_matches(['.', ' ']);
    stem.eq_ignore_ascii_case(".git") || stem.eq_ignore_ascii_case("git~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_branch_names_are_refused() {
        for name in ["-x", "--upload-pack=touch x", "a..b", "a b", "a:b", "*", "", "HEAD", "x.lock", "a\nb", "@{1}"] {
            assert!(branch_ref(name).is_err(), "{name:?}");
        }
        assert_eq!(branch_ref("team/main").unwrap(), "refs/heads/team/main");
        assert!(check_ref("refs/tags/v1").is_err());
    }

    #[test]
    fn names_that_some_system_reads_as_git_are_refused() {
        for name in [".git", ".GIT", ".git ", ".git...", "GIT~1", ".git::$INDEX_ALLOCATION", ".g\u{200c}it"] {
            assert!(refused_part(name.as_bytes()).is_some(), "{name:?}");
        }
        for name in [".gitignore", ".github", "git", "westeurope.yaml", "größe.yaml"] {
            assert_eq!(refused_part(name.as_bytes()), None, "{name:?}");
        }
    }
}
