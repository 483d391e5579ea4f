//! Who calls, as far as this front asks: a request must be signed for EKS in a region that exists. The signature itself
//! is not checked, for any credentials will do.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use fleetwright_schema::names::{Cloud, Region};

use crate::errors::{Code, Refusal, refused};

/// The region that a request is signed for.
pub fn region(headers: &HeaderMap) -> Result<Region, Refusal> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(header) = header else {
        return Err(refused(Code::MissingAuthenticationToken, "Missing Authentication Token"));
    };
    let wrong = |message: &str| refused(Code::InvalidSignature, message);
    let fields = header.strip_prefix("AWS4-HMAC-SHA256 ").ok_or_else(|| wrong("The algorithm is not supported"))?;
    let field = |name: &str| fields.split(',').find_map(|field| field.trim().strip_prefix(name));
    let scope = field("Credential=").ok_or_else(|| wrong("The Credential is missing"))?;
    let signed = field("SignedHeaders=").unwrap_or_default();
    if !signed.split(';').any(|name| name == "host") || field("Signature=").is_none_or(|s| s.len() != 64) {
        return Err(wrong("The header host must be signed, and the Signature given"));
    }
    let [_key, _date, region, service, "aws4_request"] = scope.split('/').collect::<Vec<_>>()[..] else {
        return Err(wrong("The Credential has no scope"));
    };
    if service != "eks" {
        return Err(wrong("Credential should be scoped to correct service: 'eks'."));
    }
    let region: Option<Region> = region.parse().ok().filter(|region: &Region| region.facts(Cloud::Aws).is_some());
    region.ok_or_else(|| wrong("Credential should be scoped to a valid region."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(value: &str) -> Result<String, &'static str> {
        let mut headers = HeaderMap::new();
        headers.extend(value.parse().ok().map(|value| (AUTHORIZATION, value)).filter(|_| !value.is_empty()));
        match region(&headers) {
            Ok(region) => Ok(region.to_string()),
            Err(Refusal::Api(error)) => Err(error.code.as_str()),
            Err(Refusal::Lost) => Err("lost"),
        }
    }

    #[test]
    fn a_request_is_signed_for_eks_in_a_region_that_exists() {
        let header = |scope: &str| {
            let signature = "0".repeat(64);
            format!("AWS4-HMAC-SHA256 Credential=AK/{scope}, SignedHeaders=host;x-amz-date, Signature={signature}")
        };
        assert_eq!(judged(&header("20261101/eu-west-1/eks/aws4_request")), Ok("eu-west-1".to_owned()));
        assert_eq!(judged(&header("20261101/eu-west-1/ec2/aws4_request")), Err("InvalidSignatureException"));
        assert_eq!(judged(&header("20261101/moon-1/eks/aws4_request")), Err("InvalidSignatureException"));
        assert_eq!(judged("Bearer x"), Err("InvalidSignatureException"));
        assert_eq!(judged(""), Err("MissingAuthenticationTokenException"));
    }
}
