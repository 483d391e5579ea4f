//! The calls of EKS as its own model describes them: which there are, where their members stand in a request, and what
//! shape they must have. Stricter than EKS, which ignores members that it does not know.

mod shapes;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::errors::{Code, Refusal, invalid, refused};
use shapes::{Shape, ShapeRef, Shapes};

#[derive(Default, Deserialize)]
struct Model {
    #[serde(rename = "source")]
    _source: String,
    operations: BTreeMap<String, Operation>,
    shapes: Shapes,
}

/// One call of the API.
#[derive(Debug, Deserialize)]
pub struct Operation {
    method: String,
    uri: String,
    input: String,
}

/// A model that does not parse is empty; a test holds that the one that ships is whole.
static MODEL: LazyLock<Model> =
    LazyLock::new(|| serde_json::from_str(include_str!("../data/eks.json")).unwrap_or_default());

/// What came in, as HTTP has it.
pub struct Raw<'a> {
    /// `POST`.
    pub method: &'a str,
    /// Still encoded.
    pub path: &'a str,
    /// Still encoded.
    pub query: &'a str,
    /// JSON, or nothing.
    pub body: &'a [u8],
}

/// The call and its members, of which each has the shape that the model asks for.
pub fn parse(raw: &Raw<'_>) -> Result<(&'static str, Map<String, Value>), Refusal> {
    let (name, operation, labels) = find(raw)?;
    let Some(Shape::Structure { members, .. }) = MODEL.shapes.get(&operation.input) else {
        return Err(refused(Code::Server, format!("{name} has no input")));
    };
    let mut params = body(raw.body)?;
    if let Some(stray) = params.keys().find(|key| members.get(*key).is_none_or(|member| member.location.is_some())) {
        return Err(invalid(format!("{name} takes no {stray} in its body")));
    }
    let query = query(raw.query)?;
    take_query(&mut params, &query, members)?;
    for (member, shape) in members.iter().filter(|(_, shape)| shape.location.as_deref() == Some("uri")) {
        let label = shape.location_name.as_deref().unwrap_or(member);
        params.extend(labels.get(label).map(|value| (member.clone(), Value::String(value.clone()))));
    }
    MODEL.shapes.check(&operation.input, &Value::Object(params.clone()), "").map_err(invalid)?;
    Ok((name, params))
}

/// The names of all calls.
pub fn operations() -> impl Iterator<Item = (&'static str, &'static Operation)> {
    MODEL.operations.iter().map(|(name, operation)| (name.as_str(), operation))
}

type Found = (&'static str, &'static Operation, BTreeMap<&'static str, String>);

fn find(raw: &Raw<'_>) -> Result<Found, Refusal> {
    let hits = operations().filter(|(_, operation)| operation.method == raw.method);
    let mut hits = hits.filter_map(|(name, operation)| Some((name, operation, labels(&operation.uri, raw.path)?)));
    hits.next().ok_or_else(|| refused(Code::UnknownOperation, format!("there is no {} {}", raw.method, raw.path)))
}

/// What stands for the labels of `/clusters/{name}/updates` in a path, if the path is one of these.
fn labels(template: &'static str, path: &str) -> Option<BTreeMap<&'static str, String>> {
    let (wanted, given): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    if wanted.len() != given.len() {
        return None;
    }
    let mut labels = BTreeMap::new();
    for (wanted, given) in wanted.into_iter().zip(given) {
        match wanted.strip_prefix('{').and_then(|label| label.strip_suffix('}')) {
            Some(label) if !given.is_empty() => drop(labels.insert(label, decode(given)?)),
            Some(_) => return None,
            None if wanted == given => {}
            None => return None,
        }
    }
    Some(labels)
}

fn body(bytes: &[u8]) -> Result<Map<String, Value>, Refusal> {
    match bytes.is_empty() {
        true => Ok(Map::new()),
        false => serde_json::from_slice(bytes).map_err(|error| invalid(format!("the body is no JSON object: {error}"))),
    }
}

/// The pairs of a query, decoded.
pub fn query(text: &str) -> Result<Vec<(String, String)>, Refusal> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decode(key)?, decode(&value.replace('+', " "))?))
    });
    pairs.collect::<Option<_>>().ok_or_else(|| invalid("the query is not encoded right"))
}

fn take_query(
    params: &mut Map<String, Value>,
    query: &[(String, String)],
    members: &BTreeMap<String, ShapeRef>,
) -> Result<(), Refusal> {
    for (key, text) in query {
        let named = |(_, shape): &(&String, &ShapeRef)| {
            shape.location.as_deref() == Some("querystring") && shape.location_name.as_deref() == Some(key)
        };
        let Some((member, shape)) = members.iter().find(named) else {
            return Err(invalid(format!("there is no parameter {key}")));
        };
        let value = MODEL.shapes.read(&shape.shape, text).map_err(invalid)?;
        match (params.get_mut(member), value) {
            (Some(Value::Array(all)), Value::Array(more)) => all.extend(more),
            (Some(_), _) => return Err(invalid(format!("{key} is there twice"))),
            (None, value) => drop(params.insert(member.clone(), value)),
        }
    }
    Ok(())
}

/// Undoes percent-encoding; `None` where it is broken, or no UTF-8.
pub fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => bytes.push(hex(rest.next()?)? << 4 | hex(rest.next()?)?),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(method: &str, path: &str, query: &str, body: &str) -> Result<(&'static str, Value), String> {
        match parse(&Raw { method, path, query, body: body.as_bytes() }) {
            Ok((name, params)) => Ok((name, Value::Object(params))),
            Err(Refusal::Api(error)) => Err(error.message),
            Err(Refusal::Lost) => Err("lost".to_owned()),
        }
    }

    #[test]
    fn the_model_is_whole() {
        assert_eq!(operations().count(), 38);
        for (name, operation) in operations() {
            assert!(MODEL.shapes.get(&operation.input).is_some(), "{name}");
        }
    }

    #[test]
    fn members_are_found_in_path_query_and_body() {
        let (name, params) = parsed("GET", "/clusters/a/node-groups", "maxResults=5&nextToken=x%2By", "").unwrap();
        assert_eq!(name, "ListNodegroups");
        assert_eq!(params, serde_json::json!({"clusterName": "a", "maxResults": 5, "nextToken": "x+y"}));
        let path = "/tags/arn%3Aaws%3Aeks%3Aeu-west-1%3A1%3Acluster%2Fa";
        let (name, params) = parsed("DELETE", path, "tagKeys=a&tagKeys=b", "").unwrap();
        assert_eq!((name, &params["tagKeys"]), ("UntagResource", &serde_json::json!(["a", "b"])));
        assert_eq!(params["resourceArn"], "arn:aws:eks:eu-west-1:1:cluster/a");
    }

    #[test]
    fn what_the_model_does_not_know_is_refused() {
        let sound = r#"{"name": "a", "roleArn": "r", "resourcesVpcConfig": {"subnetIds": ["s"]}"#;
        let with = |more: &str| parsed("POST", "/clusters", "", &format!("{sound}{more}}}"));
        assert!(with("").is_ok());
        assert_eq!(with(r#", "colour": "red""#).unwrap_err(), "CreateCluster takes no colour in its body");
        assert!(with(r#", "version": 1.33"#).unwrap_err().contains("version"));
        assert!(with(r#", "accessConfig": {"authenticationMode": "NONE"}"#).unwrap_err().contains("NONE"));
        assert!(parsed("POST", "/clusters", "", "{}").unwrap_err().contains("name"));
        assert!(parsed("GET", "/clusters", "maxResults=101", "").unwrap_err().contains("100"));
        assert!(parsed("GET", "/clusters//updates", "", "").unwrap_err().contains("there is no"));
    }
}
