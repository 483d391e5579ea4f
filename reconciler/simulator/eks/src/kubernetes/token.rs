//! Tokens for the Kubernetes API of EKS: a call of GetCallerIdentity, signed into a URL for one cluster by its name, and
//! not yet sent. The real one sends it, and so learns who it is.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fleetwright_schema::units::Timestamp;
use sha2::{Digest, Sha256};

use crate::model::query as query_pairs;

const PREFIX: &str = "k8s-aws-v1.";
const AGE_SECONDS_MAX: u64 = 15 * 60;
/// Clocks differ.
const AHEAD_SECONDS_MAX: u64 = 5 * 60;

/// The region that a good token for this cluster was signed for. With no secret keys the signature is not checked, and
/// with it not the name of the cluster.
pub(super) fn check(
    token: &str,
    cluster: &str,
    secret_keys: &[String],
    now: Timestamp,
) -> Result<String, &'static str> {
    let encoded = token.strip_prefix(PREFIX).ok_or("the token is none of k8s-aws-v1")?;
    let url = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| "the token is no base64 without padding")?;
    let url = String::from_utf8(url).map_err(|_| "the token holds no URL")?;
    let signed = Signed::parse(&url).ok_or("the token holds no signed URL of STS")?;
    signed.check_query()?;
    signed.check_age(now)?;
    match secret_keys.is_empty() || secret_keys.iter().any(|key| signed.is_signed_by(key, cluster)) {
        true => Ok(signed.region.to_owned()),
        false => Err("the signature is wrong, or of another cluster"),
    }
}

struct Signed<'a> {
    host: &'a str,
    /// Still encoded.
    query: &'a str,
    pairs: BTreeMap<String, String>,
    day: String,
    region: String,
}

impl<'a> Signed<'a> {
    fn parse(url: &'a str) -> Option<Self> {
        let (host, query) = url.strip_prefix("https://")?.split_once("/?")?;
        let list = query_pairs(query).ok()?;
        let pairs: BTreeMap<String, String> = list.iter().cloned().collect();
        let mut scope = pairs.get("X-Amz-Credential")?.split('/').skip(1).map(str::to_owned);
        let (day, region) = (scope.next()?, scope.next()?);
        let rest: Vec<String> = scope.collect();
        let is_sts = host == "sts.amazonaws.com" || host == format!("sts.{region}.amazonaws.com");
        let sound = is_sts && list.len() == pairs.len() && rest == ["sts", "aws4_request"];
        sound.then_some(Self { host, query, pairs, day, region })
    }
    fn get(&self, key: &str) -> &str {
        self.pairs.get(key).map_or("", String::as_str)
    }
    fn check_query(&self) -> Result<(), &'static str> {
        const KNOWN: [&str; 9] = [
            "Action",
            "Version",
            "X-Amz-Algorithm",
            "X-Amz-Credential",
            "X-Amz-Date",
            "X-Amz-Expires",
            "X-Amz-Security-Token",
            "X-Amz-Signature",
            "X-Amz-SignedHeaders",
        ];
        let fixed =
            [("Action", "GetCallerIdentity"), ("Version", "2011-06-15"), ("X-Amz-Algorithm", "AWS4-HMAC-SHA256")];
        if self.pairs.keys().any(|key| !KNOWN.contains(&key.as_str())) {
            return Err("the URL has parameters that it may not have");
        }
        if fixed.into_iter().any(|(key, value)| self.get(key) != value) {
            return Err("the URL is no GetCallerIdentity");
        }
        match self.get("X-Amz-SignedHeaders") == "host;x-k8s-aws-id" {
            true => Ok(()),
            false => Err("the header x-k8s-aws-id is not signed"),
        }
    }
    fn check_age(&self, now: Timestamp) -> Result<(), &'static str> {
        let date = moment(self.get("X-Amz-Date")).ok_or("the URL has no date")?;
        let lasts = self.get("X-Amz-Expires").parse::<u64>().ok().filter(|span| (1..=900).contains(span));
        lasts.ok_or("the URL lasts longer than 15 minutes, or never")?;
        if !self.get("X-Amz-Date").starts_with(&self.day) {
            return Err("the date is not the credential's");
        }
        let (age, ahead) = (now.since(date).seconds(), date.since(now).seconds());
        match age <= AGE_SECONDS_MAX && ahead <= AHEAD_SECONDS_MAX {
            true => Ok(()),
            false => Err("the token has expired"),
        }
    }
    fn is_signed_by(&self, secret_key: &str, cluster: &str) -> bool {
        let Some(date) = moment(self.get("X-Amz-Date")) else { return false };
        let mut pairs: Vec<&str> = self.query.split('&').filter(|pair| !pair.starts_with("X-Amz-Signature=")).collect();
        pairs.sort_unstable();
        let host = self.host;
        let nothing = hex(&Sha256::digest(b""));
        let headers = format!("host:{host}\nx-k8s-aws-id:{cluster}\n");
        let request = format!("GET\n/\n{}\n{headers}\nhost;x-k8s-aws-id\n{nothing}", pairs.join("&"));
        let scope = format!("{}/{}/sts/aws4_request", self.day, self.region);
        let hash = hex(&Sha256::digest(request.as_bytes()));
        let text = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{hash}", self.get("X-Amz-Date"));
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(date.unix_seconds().unsigned_abs());
        let key = generate_signing_key(secret_key, time, &self.region, "sts");
        calculate_signature(key, text.as_bytes()) == self.get("X-Amz-Signature")
    }
}

/// `20260102T030405Z`.
fn moment(text: &str) -> Option<Timestamp> {
    let part = |from: usize, to: usize| text.get(from..to);
    let (day, time) = (format!("{}-{}-{}", part(0, 4)?, part(4, 6)?, part(6, 8)?), part(8, 9)?);
    let rest = format!("{}:{}:{}{}", part(9, 11)?, part(11, 13)?, part(13, 15)?, part(15, text.len())?);
    format!("{day}{time}{rest}").parse().ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by botocore, for the cluster `serving-1`, with the secret key `testing`.
    const URL: &str = "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15\
        &X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20261122%2Feu-west-1%2Fsts%2Faws4_request\
        &X-Amz-Date=20261122T052434Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id\
        &X-Amz-Signature=663f6ccb60067a58785e9f250fcc3ae5c5d6b99759c60768cf06ee5c47e01130";

    fn judged(url: &str, cluster: &str, secret_key: &str, minutes: u64) -> Result<String, &'static str> {
        let signed_at: Timestamp = "2026-11-22T05:24:34Z".parse().unwrap();
        let now = signed_at.plus(fleetwright_schema::units::Duration::from_minutes(minutes));
        let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(url));
        check(&token, cluster, &[secret_key.to_owned()], now)
    }

    #[test]
    fn a_token_is_of_one_cluster_one_key_and_a_quarter_of_an_hour() {
        assert_eq!(judged(URL, "serving-1", "testing", 15), Ok("eu-west-1".to_owned()));
        assert!(judged(URL, "serving-1", "testing", 16).is_err());
        assert!(judged(URL, "serving-2", "testing", 0).is_err());
        assert!(judged(URL, "serving-1", "guessed", 0).is_err());
    }

    #[test]
    fn a_token_is_a_call_of_sts_and_nothing_else() {
        for (old, new) in [
            ("https://sts.eu-west-1.amazonaws.com", "https://sts.example.com"),
            ("GetCallerIdentity", "AssumeRole"),
            ("X-Amz-Expires=60", "X-Amz-Expires=9000"),
            ("host%3Bx-k8s-aws-id", "host"),
            ("20261122%2Feu-west-1", "20261122%2Fus-east-1"),
            ("&Version", "&Marker=1&Version"),
        ] {
            assert!(judged(&URL.replace(old, new), "serving-1", "testing", 0).is_err(), "{new}");
        }
        assert!(check("Bearer", "serving-1", &[], Timestamp::MIN).is_err());
    }
}
