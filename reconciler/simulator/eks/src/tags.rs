//! Tags, of anything that has them.

use std::collections::BTreeMap;

use fleetwright_schema::names::ClusterName;
use fleetwright_simulator::Verb;
use fleetwright_simulator::front::{Draft, FrontCall, Kind, Part, View};
use serde_json::{Value, json};

use crate::call::{ACCESS_ENTRY, ADDON, ASSOCIATION, CLUSTER, Call, NODEGROUP};
use crate::document::Document;
use crate::errors::{Code, Refusal, invalid, refused};

const COUNT_MAX: usize = 50;

/// Keys and values as AWS allows them.
pub fn check(tags: Option<&Value>) -> Result<(), Refusal> {
    for (key, value) in given(tags) {
        if key.to_lowercase().starts_with("aws:") {
            return Err(invalid(format!("The tag {key} has a prefix that is reserved")));
        }
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(invalid(format!("The tag {key} is too long, or has no key")));
        }
        let fits = |c: char| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c);
        if !key.chars().all(fits) || !value.chars().all(fits) {
            return Err(invalid(format!("The tag {key} has characters that tags may not have")));
        }
    }
    Ok(())
}

/// Tags as they were sent.
pub fn given(tags: Option<&Value>) -> BTreeMap<String, String> {
    let entries = tags.and_then(Value::as_object).into_iter().flatten();
    entries.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

/// The world is to know by what a cluster is marked.
pub fn mark(draft: &mut Draft<'_>, part: &Part, tags: &BTreeMap<String, String>) {
    draft.mark(&part.id, tags.get("fleetwright.dev/applied").map_or("", String::as_str));
}

/// TagResource.
pub fn tag(call: &Call<'_>) -> Result<Value, Refusal> {
    let wrong = |refusal| match refusal {
        Refusal::Api(error) => refused(Code::BadRequest, error.message),
        Refusal::Lost => Refusal::Lost,
    };
    check(call.given("tags")).map_err(wrong)?;
    change(call, |tags| tags.extend(given(call.given("tags"))))
}

/// UntagResource.
pub fn untag(call: &Call<'_>) -> Result<Value, Refusal> {
    let keys: Vec<&str> =
        call.given("tagKeys").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    change(call, |tags| tags.retain(|key, _| !keys.contains(&key.as_str())))
}

/// ListTagsForResource.
pub fn list(call: &Call<'_>) -> Result<Value, Refusal> {
    let arn = Arn::parse(call)?;
    call.read(|view| Ok(json!({"tags": Document::of(&arn.part(view)?).tags})))
}

fn change(call: &Call<'_>, change: impl FnOnce(&mut BTreeMap<String, String>)) -> Result<Value, Refusal> {
    let arn = Arn::parse(call)?;
    let front = FrontCall {
        place: call.place.clone(),
        cluster: arn.cluster.clone(),
        set: call.unmanaged()?,
        step: arn.kind.step,
        verb: Verb::Update,
        at_provider: true,
    };
    call.world.front_write(&front, |draft| {
        let part = arn.part(draft)?;
        let mut document = Document::of(&part);
        let before = document.tags.clone();
        change(&mut document.tags);
        if document.tags.len() > COUNT_MAX {
            return Err(refused(Code::BadRequest, format!("More than {COUNT_MAX} tags")));
        }
        if document.tags != before {
            draft.write(&part.id, document.value());
            mark(draft, &part, &document.tags);
        }
        Ok(json!({}))
    })
}

/// What an ARN names.
struct Arn<'a> {
    text: &'a str,
    kind: Kind,
    cluster: ClusterName,
}

impl<'a> Arn<'a> {
    fn parse(call: &'a Call<'_>) -> Result<Self, Refusal> {
        let text = call.text("resourceArn");
        let wrong =
            || refused(Code::BadRequest, format!("The ARN {text} is not of a resource of this account and region"));
        let mut path = text.strip_prefix(&call.arn("")).ok_or_else(wrong)?.split('/');
        let kinds = [CLUSTER, NODEGROUP, ADDON, ACCESS_ENTRY, ASSOCIATION];
        let kind = path.next().and_then(|name| kinds.into_iter().find(|kind| kind.name == name)).ok_or_else(wrong)?;
        let cluster = path.next().and_then(|name| name.parse().ok()).ok_or_else(wrong)?;
        Ok(Self { text, kind, cluster })
    }
    fn part(&self, view: &View<'_>) -> Result<Part, Refusal> {
        let mut parts = view.parts(self.kind, Some(&self.cluster)).into_iter();
        let here = parts.find(|part| Document::of(part).arn() == Some(self.text));
        here.ok_or_else(|| refused(Code::NotFound, format!("There is no {}", self.text)))
    }
}
