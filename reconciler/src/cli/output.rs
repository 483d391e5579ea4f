//! Where text goes: stdout for what was asked for, stderr for everything else. Owns colours and broken pipes.

use std::io::{ErrorKind, IsTerminal, Write};

use anstyle::{AnsiColor, Style};

use super::error::CliError;

/// Bold.
pub const STRONG: Style = Style::new().bold();
/// Grey.
pub const FAINT: Style = AnsiColor::BrightBlack.on_default();
/// For what is well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// For what is under way.
pub const MOVING: Style = AnsiColor::Yellow.on_default();
/// For what is wrong.
pub const BAD: Style = AnsiColor::Red.on_default();

/// The two streams of a process.
pub struct Out {
    stdout: Box<dyn Write>,
    stderr: Box<dyn Write>,
    /// Whether stdout takes colours.
    pub color: bool,
    error_color: bool,
    closed: bool,
}

impl Out {
    /// Those of this process. Colours only on a terminal, and only if nobody asked for none.
    pub fn of_process() -> Self {
        let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
        let (color, error_color) = (wants_color(stdout.is_terminal()), wants_color(stderr.is_terminal()));
        Self { stdout: Box::new(stdout), stderr: Box::new(stderr), color, error_color, closed: false }
    }

    /// Prints what was asked for. A reader who has seen enough (`| head`) is no error.
    pub fn print(&mut self, text: &str) -> Result<(), CliError> {
        match self.stdout.write_all(text.as_bytes()).and_then(|()| self.stdout.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            Err(error) => Err(CliError::io("stdout can't be written", &error)),
        }
    }

    /// Whether nobody reads stdout any more.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Says something beside the result; nobody minds if it is not heard.
    pub fn note(&mut self, text: &str) {
        let _ = writeln!(self.stderr, "{text}");
    }

    /// Says why there is no result.
    pub fn error(&mut self, error: &CliError) {
        let label = paint("error", BAD.bold(), self.error_color);
        let _ = writeln!(self.stderr, "{label}: {}", plain(&error.message));
        if let Some(hint) = &error.hint {
            let label = paint("hint", GOOD, self.error_color);
            let _ = writeln!(self.stderr, "{label}: {}", plain(hint));
        }
    }
}

fn wants_color(is_terminal: bool) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    is_terminal && !refused && !dumb
}

/// The text in a style, if colours are wanted.
pub fn paint(text: &str, style: Style, color: bool) -> String {
    match color {
        true => format!("{style}{text}{style:#}"),
        false => text.to_owned(),
    }
}

/// Text of others, with what a terminal would obey or hide written out; line breaks stay.
pub fn plain(text: &str) -> String {
    let hidden = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if hidden(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

/// `1 set`, `2 sets`.
pub fn counted(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        assert_eq!(plain("a\u{1b}[31mb\u{202e}c\nd"), "a\\u{1b}[31mb\\u{202e}c\nd");
    }

    #[test]
    fn nothing_is_painted_without_colours() {
        assert_eq!(paint("READY", GOOD, false), "READY");
        assert_ne!(paint("READY", GOOD, true), "READY");
    }
}
