//! The parser's events to a tree, without recursion, and with every limit checked before a node is made.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};

use super::text::{is_bidi_override, is_control, is_invisible};
use super::{ALIAS_NODES_MAX, ANCHORS_MAX, Content, DEPTH_MAX, Entry, Node, Scalar, Source};
use crate::diagnostic::{Diagnostic, Problems, Span, shown};

/// A node with what its aliases would cost.
#[derive(Clone)]
struct Done {
    node: Node,
    /// How many nodes it is.
    weight: usize,
    /// How many levels of collections it is.
    height: usize,
    /// Whether it may be a key.
    scalar_key: bool,
}

/// What an anchor stands for.
enum Anchor {
    /// It is being read: an alias to it would contain itself.
    Open,
    /// It is read, and small enough to be repeated.
    Known(Box<Done>),
    /// It is read, and too large to be repeated even once.
    TooLarge,
}

enum Children {
    Sequence(Vec<Node>),
    Mapping { entries: Vec<Entry>, lines: BTreeMap<String, usize>, key: Option<Key> },
}

/// A key that waits for its value.
struct Key {
    text: String,
    span: Span,
    /// Whether it and its value are kept; the problem is told already where not.
    kept: bool,
}

struct Frame {
    span: Span,
    anchor: usize,
    children: Children,
    weight: usize,
    height: usize,
}

struct Builder<'a> {
    source: &'a Source,
    problems: &'a mut Problems,
    stack: Vec<Frame>,
    anchors: BTreeMap<usize, Anchor>,
    alias_nodes: usize,
    documents: usize,
    root: Option<Node>,
}

/// A problem after which the rest of the file isn't read.
type Fatal = Box<Diagnostic>;

/// The tree of the file's only document; none when the file can't be read to its end.
pub(super) fn build(source: &Source, problems: &mut Problems) -> Option<Node> {
    let (stack, anchors) = (Vec::new(), BTreeMap::new());
    let mut builder = Builder { source, problems, stack, anchors, alias_nodes: 0, documents: 0, root: None };
    let mut parser = Parser::new_from_str(source.text());
    while let Some(next) = parser.next_event() {
        let step = next.map_err(|error| builder.scan_error(&error)).and_then(|(event, span)| {
            let span = builder.place(span);
            builder.event(event, span)
        });
        if let Err(fatal) = step {
            builder.tell_fatal(*fatal);
            return None;
        }
    }
    builder.finish()
}

impl Builder<'_> {
    fn finish(self) -> Option<Node> {
        let empty = self.root.as_ref().is_none_or(|root| root.scalar().is_some_and(Scalar::is_null));
        if empty && !self.problems.has_errors() {
            let problem = Diagnostic::error("empty-document", self.source.path(), "the file holds no document");
            self.problems.add(problem);
        }
        self.root.filter(|_| !empty)
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Fatal> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => self.document(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::Scalar(text, style, anchor, tag) => {
                self.check_tag(tag.is_some(), span);
                self.scalar(&text, style, anchor, span)
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(tag.is_some(), span);
                self.open(anchor, span, Children::Sequence(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.check_tag(tag.is_some(), span);
                let children = Children::Mapping { entries: Vec::new(), lines: BTreeMap::new(), key: None };
                self.open(anchor, span, children)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
        }
    }

    fn document(&mut self, span: Span) -> Result<(), Fatal> {
        self.documents += 1;
        match self.documents {
            1 => Ok(()),
            _ => Err(Box::new(
                self.error("several-documents", span, "a second document begins here").hint("write a file a document"),
            )),
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, anchor: usize, span: Span) -> Result<(), Fatal> {
        if style == ScalarStyle::DoubleQuoted {
            self.check_escapes(text, span);
        }
        let scalar = Scalar { text: text.to_owned(), plain: style == ScalarStyle::Plain };
        let node = Node { span, content: Content::Scalar(scalar) };
        let done = Done { node, weight: 1, height: 0, scalar_key: true };
        self.open_anchor(anchor, span)?;
        self.keep_anchor(anchor, &done);
        self.push(done);
        Ok(())
    }

    fn open(&mut self, anchor: usize, span: Span, children: Children) -> Result<(), Fatal> {
        self.check_depth(1, span)?;
        self.open_anchor(anchor, span)?;
        self.stack.push(Frame { span, anchor, children, weight: 1, height: 1 });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Fatal> {
        let Some(Frame { span, anchor, children, weight, height }) = self.stack.pop() else { return Ok(()) };
        let content = match children {
            Children::Sequence(items) => Content::Sequence(items),
            Children::Mapping { entries, .. } => Content::Mapping(entries),
        };
        let done = Done { node: Node { span, content }, weight, height, scalar_key: false };
        self.keep_anchor(anchor, &done);
        self.push(done);
        Ok(())
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Fatal> {
        let known = match self.anchors.get(&anchor) {
            Some(Anchor::Known(known)) => known,
            Some(Anchor::Open) => return Err(Box::new(self.error("alias-cycle", span, "this alias contains itself"))),
            Some(Anchor::TooLarge) | None => return Err(self.alias_too_large(span)),
        };
        self.alias_nodes += known.weight;
        if self.alias_nodes > ALIAS_NODES_MAX {
            return Err(self.alias_too_large(span));
        }
        self.check_depth(known.height, span)?;
        let mut done = (**known).clone();
        // A key that is written elsewhere can't be found by whoever reads this mapping.
        done.scalar_key = false;
        self.push(done);
        Ok(())
    }

    fn alias_too_large(&self, span: Span) -> Fatal {
        let message = format!("the aliases of this file stand for more than {ALIAS_NODES_MAX} values");
        Box::new(self.error("alias-expansion", span, message).hint("write the values out"))
    }

    fn check_depth(&self, levels: usize, span: Span) -> Result<(), Fatal> {
        match self.stack.len() + levels > DEPTH_MAX {
            false => Ok(()),
            true => Err(too_deep(self.error("too-deep", span, ""))),
        }
    }

    fn open_anchor(&mut self, anchor: usize, span: Span) -> Result<(), Fatal> {
        if anchor == 0 {
            return Ok(());
        }
        self.anchors.insert(anchor, Anchor::Open);
        match self.anchors.len() > ANCHORS_MAX {
            false => Ok(()),
            true => Err(Box::new(self.error(
                "too-many-anchors",
                span,
                format!("the file has more than {ANCHORS_MAX} anchors"),
            ))),
        }
    }

    fn keep_anchor(&mut self, anchor: usize, done: &Done) {
        if anchor == 0 {
            return;
        }
        let kept = match done.weight > ALIAS_NODES_MAX {
            true => Anchor::TooLarge,
            false => Anchor::Known(Box::new(done.clone())),
        };
        self.anchors.insert(anchor, kept);
    }

    /// Puts a node that is complete where it belongs.
    fn push(&mut self, done: Done) {
        let Self { source, problems, stack, root, .. } = self;
        let Some(frame) = stack.last_mut() else {
            *root = Some(done.node);
            return;
        };
        frame.weight += done.weight;
        frame.height = frame.height.max(done.height + 1);
        match &mut frame.children {
            Children::Sequence(items) => items.push(done.node),
            Children::Mapping { entries, lines, key } => match key.take() {
                None => *key = Some(take_key(source, problems, lines, done)),
                Some(key) => entries.extend(entry(key, done.node)),
            },
        }
    }

    fn check_tag(&mut self, tagged: bool, span: Span) {
        if tagged {
            let problem =
                self.error("tag", span, "YAML tags are not read").hint("remove the tag, and quote what is text");
            self.problems.add(problem);
        }
    }

    /// Escapes can name what the raw text may not hold.
    fn check_escapes(&mut self, text: &str, span: Span) {
        let found = text.chars().find(|c| is_bidi_override(*c) || is_control(*c) || is_invisible(*c));
        let Some(c) = found.filter(|_| !self.problems.names_line(span.line)) else { return };
        let rule = match c {
            _ if is_bidi_override(c) => "bidi-override",
            _ if is_invisible(c) => "invisible-character",
            _ => "control-character",
        };
        let problem = self.error(rule, span, format!("this text holds the character U+{:04X}", u32::from(c)));
        self.problems.add(problem.hint("remove the escape"));
    }

    fn error(&self, rule: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(rule, self.source.path(), message).spanned(Some(span))
    }

    fn scan_error(&self, error: &ScanError) -> Fatal {
        let marker = *error.marker();
        let span = self.source.within(self.place(saphyr_parser::Span::empty(marker)));
        // The parser looks ahead, and has its own limit for that.
        match error.info() {
            "recursion limit exceeded" => too_deep(self.error("too-deep", span, "")),
            info => Box::new(self.error("yaml-syntax", span, info.to_lowercase())),
        }
    }

    /// A syntax error that follows from a character which is told already isn't told as well.
    fn tell_fatal(&mut self, fatal: Diagnostic) {
        let consequence = fatal.rule == "yaml-syntax"
            && fatal.span.is_some_and(|span| self.problems.names_line(span.line) && self.problems.has_errors());
        if !consequence {
            self.problems.add(fatal);
        }
    }

    /// The parser's lines are from 1 and its columns from 0; a place that goes over a line's end is cut there.
    fn place(&self, span: saphyr_parser::Span) -> Span {
        // Nothing here may look at the line itself: a hostile file has a hundred thousand values on one.
        let Some((line, before)) = self.source.row(span.start.line().max(1)) else { return self.source.end() };
        let column = before + span.start.col() + 1;
        let end_column = match span.end.line() == span.start.line() {
            true => before + span.end.col() + 1,
            false => self.source.line(line).map_or(0, |text| text.trim_end().chars().count() + 1),
        };
        Span { line, column, end_column: end_column.max(column + 1) }
    }
}

fn too_deep(problem: Diagnostic) -> Fatal {
    let message = format!("this is nested deeper than {DEPTH_MAX} levels");
    Box::new(Diagnostic { message, ..problem })
}

fn take_key(source: &Source, problems: &mut Problems, lines: &mut BTreeMap<String, usize>, done: Done) -> Key {
    let span = done.node.span;
    let text = match (done.scalar_key, done.node.content) {
        (true, Content::Scalar(scalar)) => Some(scalar),
        _ => None,
    };
    let problem = match &text {
        Some(key) if key.plain && key.text == "<<" => Some(merge_key(source)),
        Some(key) if key.is_text() => lines.insert(key.text.clone(), span.line).map(|first| {
            lines.insert(key.text.clone(), first);
            duplicate_key(source, &key.text, first)
        }),
        Some(key) => Some(key_not_text(source, Some(&key.text))),
        None => Some(key_not_text(source, None)),
    };
    let kept = problem.is_none();
    problems.extend(problem.map(|problem| problem.spanned(Some(span))));
    Key { text: text.map(|scalar| scalar.text).unwrap_or_default(), span, kept }
}

fn merge_key(source: &Source) -> Diagnostic {
    Diagnostic::error("merge-key", source.path(), "merge keys are not read")
        .hint("write the fields out; layers share them")
}

fn duplicate_key(source: &Source, key: &str, first: usize) -> Diagnostic {
    let message = format!("{} is given twice, first on line {first}", shown(key));
    Diagnostic::error("duplicate-key", source.path(), message).hint("keep one of them")
}

fn key_not_text(source: &Source, key: Option<&str>) -> Diagnostic {
    let problem = Diagnostic::error("key-not-text", source.path(), "this key is no text");
    problem.hint_maybe(key.filter(|key| key.len() <= 60).map(|key| format!("quote it: \"{key}\"")))
}

/// A value that was left out has no place of its own: its key's is shown.
fn entry(key: Key, mut value: Node) -> Option<Entry> {
    if value.scalar().is_some_and(|scalar| scalar.plain && scalar.text.is_empty()) {
        value.span = key.span;
    }
    key.kept.then_some(Entry { key: key.text, key_span: key.span, value })
}
