//! The older spelling of a ClusterSet, rewritten on the tree into the current one, so that places survive and nothing
//! after this knows of it.
//!
//! A whole file may be in it (no `apiVersion`, `location: prod/azure/westeurope`), and a current one may use its names.

use std::sync::LazyLock;

use serde_json::Value;

use crate::diagnostic::{Diagnostic, Problems, Span, shown};
use crate::documents::API_VERSION;
use crate::json_schema;
use crate::paths::DocumentKind;
use crate::yaml::{Content, Entry, Node, Scalar};

/// The fields of the types, from their schema: a new field has its older spellings by itself.
static SCHEMA: LazyLock<Value> =
    LazyLock::new(|| json_schema::schema(DocumentKind::ClusterSet.as_str()).unwrap_or_default());

fn fields(definition: &str) -> Vec<&'static str> {
    let properties = SCHEMA.pointer(&format!("/$defs/{definition}/properties")).and_then(Value::as_object);
    properties.into_iter().flat_map(|properties| properties.keys()).map(String::as_str).collect()
}

/// The names of the original design that a current document may use.
const ORIGINAL_NAMES: [(&str, &str); 4] = [
    ("infra-services", "infraServices"),
    ("update_strategy", "updateStrategy"),
    ("cluster-rotation", "clusterRotation"),
    ("max_surge", "maxSurge"),
];

/// Which spellings of a field's name are accepted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// The current one, and [`ORIGINAL_NAMES`].
    Current,
    /// `maxSurge`, `max_surge`, `max-surge` and `MaxSurge`.
    Older,
}

impl Spelling {
    fn canonical(self, key: &str, known: &[&'static str]) -> Option<&'static str> {
        let name = known.iter().copied().find(|name| match self {
            Self::Current => ORIGINAL_NAMES.contains(&(key, name)),
            Self::Older => key == separated(name, '_') || key == separated(name, '-') || key == capitalised(name),
        });
        name.or_else(|| known.iter().copied().find(|name| *name == key))
    }
}

fn separated(name: &str, separator: char) -> String {
    let parts = name.chars().flat_map(|c| {
        let before = c.is_ascii_uppercase().then_some(separator);
        before.into_iter().chain([c.to_ascii_lowercase()])
    });
    parts.collect()
}

fn capitalised(name: &str) -> String {
    name.char_indices().map(|(at, c)| if at == 0 { c.to_ascii_uppercase() } else { c }).collect()
}

/// Rewrites what is spelled the older way; leaves alone what it doesn't know, which the schema then refuses.
pub(crate) fn normalise(kind: DocumentKind, path: &str, root: &mut Node, problems: &mut Problems) {
    match kind {
        DocumentKind::ClusterSet if is_older(root) => Rewrite { path, spelling: Spelling::Older, problems }.file(root),
        DocumentKind::ClusterSet | DocumentKind::ClusterType => {
            Rewrite { path, spelling: Spelling::Current, problems }.names(root);
        }
        DocumentKind::Fleet | DocumentKind::InfraService | DocumentKind::RemovalApproval => {}
    }
}

fn is_older(root: &Node) -> bool {
    let has = |names: &[&'static str]| {
        let mut keys = root.entries().into_iter().flatten().map(|entry| entry.key.as_str());
        keys.any(|key| Spelling::Older.canonical(key, names).is_some())
    };
    has(&["location", "clusterType"]) && !has(&["apiVersion", "kind", "metadata", "spec"])
}

struct Rewrite<'a> {
    path: &'a str,
    spelling: Spelling,
    problems: &'a mut Problems,
}

impl Rewrite<'_> {
    /// A whole file in the older spelling.
    fn file(&mut self, root: &mut Node) {
        let span = root.span;
        let identity = ["location", "clusterType"];
        let known: Vec<&'static str> = identity.into_iter().chain(fields("SetLayer")).collect();
        self.rename(root, &known);
        let Content::Mapping(entries) = &mut root.content else { return };
        let (mut metadata, rest): (Vec<_>, Vec<_>) =
            std::mem::take(entries).into_iter().partition(|entry| identity.contains(&entry.key.as_str()));
        metadata.iter_mut().filter(|entry| entry.key == "location").for_each(|entry| self.location(&mut entry.value));
        let mut spec = Node { span, content: Content::Mapping(rest) };
        self.layer(&mut spec);
        *entries = vec![
            made("apiVersion", span, Content::Scalar(Scalar::text(API_VERSION))),
            made("kind", span, Content::Scalar(Scalar::text(DocumentKind::ClusterSet.as_str()))),
            made("metadata", span, Content::Mapping(metadata)),
            Entry { key: "spec".into(), key_span: span, value: spec },
        ];
    }

    /// The older names in a current file.
    fn names(&mut self, root: &mut Node) {
        if let Some(location) = child(root, "metadata").and_then(|metadata| child(metadata, "location")) {
            self.location(location);
        }
        if let Some(spec) = child(root, "spec") {
            self.rename(spec, &fields("SetLayer"));
            self.layer(spec);
        }
    }

    fn layer(&mut self, layer: &mut Node) {
        if let Some(strategy) = child(layer, "updateStrategy") {
            self.strategy(strategy);
        }
        if self.spelling == Spelling::Older {
            self.older_layer(layer);
        }
    }

    fn older_layer(&mut self, layer: &mut Node) {
        if let Some(network) = child(layer, "network") {
            self.rename(network, &fields("NetworkSpec"));
        }
        if let Some(tags) = child(layer, "tags") {
            self.merge_list(tags);
        }
        let Some(Content::Sequence(pools)) = child(layer, "nodePools").map(|pools| &mut pools.content) else { return };
        for pool in pools {
            self.rename(pool, &fields("NodePool"));
            if let Some(spec) = child(pool, "spec") {
                self.rename(spec, &fields("NodePoolSpec"));
            }
        }
    }

    /// `prod/azure/westeurope`, or a map with older names.
    fn location(&mut self, location: &mut Node) {
        self.rename(location, &fields("Location"));
        let Some(text) = location.scalar().filter(|scalar| scalar.is_text()).map(|scalar| scalar.text.clone()) else {
            return;
        };
        let parts: Vec<&str> = text.split('/').collect();
        if let [env, cloud, region] = parts[..] {
            let spans = part_spans(location, [env, cloud, region]);
            let names = ["env", "cloud", "region"].into_iter().zip([env, cloud, region]).zip(spans);
            let entries = names.map(|((name, part), span)| made(name, span, Content::Scalar(Scalar::text(part))));
            location.content = Content::Mapping(entries.collect());
        }
    }

    /// A map, or a list of maps and names whose parts belong together: `[cluster-rotation, {max_surge: 1}]`.
    fn strategy(&mut self, strategy: &mut Node) {
        let listed = self.merge_list(strategy);
        let (mut known, rotation_fields) = (fields("UpdateStrategyLayer"), fields("RotationLayer"));
        if listed {
            known.extend(&rotation_fields);
        }
        self.rename(strategy, &known);
        let beside = if listed { take(strategy, &rotation_fields) } else { Vec::new() };
        match child(strategy, "clusterRotation") {
            Some(rotation) => self.rotation(rotation, beside, &rotation_fields),
            None => strategy.content.entries_mut().into_iter().for_each(|entries| entries.extend(beside.clone())),
        }
    }

    fn rotation(&mut self, rotation: &mut Node, beside: Vec<Entry>, known: &[&'static str]) {
        let bare = rotation.scalar().is_some_and(|scalar| scalar.is_null() || (scalar.plain && scalar.text == "true"));
        if bare {
            rotation.content = Content::Mapping(Vec::new());
        }
        self.merge_list(rotation);
        if let Some(entries) = rotation.content.entries_mut() {
            entries.extend(beside);
        }
        self.rename(rotation, known);
    }

    /// Makes one map of a list of maps and bare names; whether it was one.
    fn merge_list(&mut self, node: &mut Node) -> bool {
        let Content::Sequence(items) = &mut node.content else { return false };
        let mergeable = |item: &Node| item.entries().is_some() || item.scalar().is_some_and(Scalar::is_text);
        if !items.iter().all(mergeable) {
            return false;
        }
        let entries = std::mem::take(items).into_iter().flat_map(parts_of).collect();
        node.content = Content::Mapping(entries);
        self.refuse_repeated(node);
        true
    }

    /// Gives fields their current names.
    fn rename(&mut self, node: &mut Node, known: &[&'static str]) {
        for entry in node.content.entries_mut().into_iter().flatten() {
            if let Some(name) = self.spelling.canonical(&entry.key, known) {
                name.clone_into(&mut entry.key);
            }
        }
        self.refuse_repeated(node);
    }

    /// Two spellings of one field are the field twice.
    fn refuse_repeated(&mut self, node: &mut Node) {
        let Some(entries) = node.content.entries_mut() else { return };
        let mut first_lines = std::collections::BTreeMap::new();
        let Self { path, problems, .. } = self;
        entries.retain(|entry| {
            let first = *first_lines.entry(entry.key.clone()).or_insert(entry.key_span);
            if first != entry.key_span {
                let message = format!("{} is given twice, first on line {}", shown(&entry.key), first.line);
                problems.add(Diagnostic::error("duplicate-key", *path, message).spanned(Some(entry.key_span)));
            }
            first == entry.key_span
        });
    }
}

fn child<'a>(node: &'a mut Node, key: &str) -> Option<&'a mut Node> {
    let entries = node.content.entries_mut()?;
    entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value)
}

fn take(node: &mut Node, keys: &[&str]) -> Vec<Entry> {
    let Some(entries) = node.content.entries_mut() else { return Vec::new() };
    let (taken, left) = std::mem::take(entries).into_iter().partition(|entry| keys.contains(&entry.key.as_str()));
    *entries = left;
    taken
}

fn made(key: &str, span: Span, content: Content) -> Entry {
    Entry { key: key.into(), key_span: span, value: Node { span, content } }
}

fn parts_of(item: Node) -> Vec<Entry> {
    match item.content {
        Content::Mapping(entries) => entries,
        Content::Scalar(name) => {
            let nothing = Content::Scalar(Scalar { text: String::new(), plain: true });
            vec![made(&name.text, item.span, nothing)]
        }
        Content::Sequence(_) => Vec::new(),
    }
}

/// The places of the parts of `a/b/c`; the whole, where it is written over several lines or with escapes.
fn part_spans(node: &Node, parts: [&str; 3]) -> [Span; 3] {
    let quote = usize::from(node.scalar().is_some_and(|scalar| !scalar.plain));
    let lengths = parts.map(|part| part.chars().count());
    let exact = lengths.iter().sum::<usize>() + 2 + 2 * quote == node.span.end_column - node.span.column;
    let mut column = node.span.column + quote;
    lengths.map(|length| {
        let span = Span { line: node.span.line, column, end_column: column + length.max(1) };
        column += length + 1;
        if exact { span } else { node.span }
    })
}
