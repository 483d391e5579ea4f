//! News of a remote on this machine, from the file system, without asking it again and again.
//!
//! Owns one watcher; says only that something moved, never what: the daemon fetches and looks.

use std::path::{Path, PathBuf};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::remote::Remote;

/// A running watch; dropping it ends it.
pub struct Watch {
    _watcher: RecommendedWatcher,
}

/// Calls `on_news` whenever a ref of a local remote moved. `None` for other remotes, and where watching fails.
///
/// Events may come twice and may be missed (a full queue, a directory made a moment before): keep polling, slowly.
pub fn watch(remote: &Remote, on_news: impl Fn() + Send + 'static) -> Option<Watch> {
    // The watcher reports resolved paths.
    let dir = remote.local_git_dir()?.canonicalize().ok()?;
    start(dir, on_news).inspect_err(|error| tracing::warn!(%error, "the remote's directory can't be watched")).ok()
}

fn start(dir: PathBuf, on_news: impl Fn() + Send + 'static) -> notify::Result<Watch> {
    let watched = dir.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.map_or(true, |event| is_news(&watched, &event)) {
            on_news();
        }
    })?;
    watcher.watch(&dir, RecursiveMode::NonRecursive)?;
    for inner in ["refs", "reftable"].map(|name| dir.join(name)) {
        if inner.is_dir() {
            watcher.watch(&inner, RecursiveMode::Recursive)?;
        }
    }
    Ok(Watch { _watcher: watcher })
}

fn is_news(dir: &Path, event: &Event) -> bool {
    let read_only = matches!(event.kind, EventKind::Access(_));
    event.need_rescan() || (!read_only && event.paths.iter().any(|path| is_ref(dir, path)))
}

/// Lock files come and go with every attempt; the ref itself moves when a lock is renamed to it.
fn is_ref(dir: &Path, path: &Path) -> bool {
    let Ok(relative) = path.strip_prefix(dir) else { return false };
    let own = relative == Path::new("HEAD") || relative == Path::new("packed-refs");
    let below = relative.starts_with("refs") || relative.starts_with("reftable");
    (own || below) && relative.extension().is_none_or(|end| end != "lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refs_are_news() {
        let dir = Path::new("/r");
        for path in ["/r/refs/heads/main", "/r/packed-refs", "/r/HEAD"] {
            assert!(is_ref(dir, Path::new(path)), "{path}");
        }
        for path in ["/r/refs/heads/main.lock", "/r/objects/ab/cd", "/r/index", "/r/HEAD.lock", "/x/HEAD"] {
            assert!(!is_ref(dir, Path::new(path)), "{path}");
        }
    }
}
