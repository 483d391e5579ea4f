//! Lists by pages. A token holds the name after which the next page begins, so that nothing is shown twice or left out
//! because something else came or went.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::errors::{Refusal, invalid};

/// How many EKS gives when nobody says how many.
const LENGTH: usize = 100;

/// One page of these items, each with the key that it is listed by, under the name of the list.
pub fn page(call: &Call<'_>, list: &str, mut items: Vec<(String, Value)>) -> Result<Value, Refusal> {
    items.sort_by(|(a, _), (b, _)| a.cmp(b));
    let after = call.given("nextToken").and_then(Value::as_str).map(|token| read(call, token)).transpose()?;
    let mut rest = items.into_iter().filter(|(key, _)| after.as_ref().is_none_or(|after| key > after));
    let length = call.given("maxResults").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let page: Vec<(String, Value)> = rest.by_ref().take(length.unwrap_or(LENGTH)).collect();
    let next = rest.next().and(page.last()).map(|(last, _)| write(call, last));
    let mut reply = Map::new();
    reply.insert(list.to_owned(), page.into_iter().map(|(_, item)| item).collect());
    reply.extend(next.map(|token| ("nextToken".to_owned(), json!(token))));
    Ok(Value::Object(reply))
}

/// A token is of one list, with all that it is a list of.
fn scope(call: &Call<'_>) -> String {
    let mut params = call.params.clone();
    params.remove("nextToken");
    params.remove("maxResults");
    params.sort_keys();
    format!("{} {}", call.operation, Value::Object(params))
}

fn write(call: &Call<'_>, last: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}\n{last}", scope(call)))
}

fn read(call: &Call<'_>, token: &str) -> Result<String, Refusal> {
    let text = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let parts = text.as_deref().and_then(|text| text.split_once('\n'));
    match parts.filter(|(of, _)| *of == scope(call)) {
        Some((_, last)) => Ok(last.to_owned()),
        None => Err(invalid("The nextToken is not of this list")),
    }
}
