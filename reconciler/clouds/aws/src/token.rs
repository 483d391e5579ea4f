//! Short-lived tokens for the Kubernetes API of a cluster: a presigned question to STS who we are, which EKS asks for us.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fleetwright_clouds::CloudError;
use fleetwright_core::inventory::ErrorClass;

use crate::error::error;

/// For so long the question may be asked. EKS accepts a token for fifteen minutes, whatever this says.
const VALID: Duration = Duration::from_secs(60);

/// A token for one cluster. `endpoint` is that of STS in the cluster's region.
pub fn token(
    credentials: &Credentials,
    region: &str,
    endpoint: &str,
    cluster: &str,
    now: SystemTime,
) -> Result<String, CloudError> {
    let failed = |what: String| error(ErrorClass::Denied, "TokenNotSigned", what);
    let url = format!("{}/?Action=GetCallerIdentity&Version=2011-06-15", endpoint.trim_end_matches('/'));
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(VALID);
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sts")
        .time(now)
        .settings(settings)
        .build()
        .map_err(|why| failed(why.to_string()))?;
    let headers = [("x-k8s-aws-id", cluster)];
    let request = SignableRequest::new("GET", &url, headers.into_iter(), SignableBody::Bytes(&[]))
        .map_err(|why| failed(why.to_string()))?;
    let (instructions, _) = sign(request, &params.into()).map_err(|why| failed(why.to_string()))?.into_parts();
    let mut signed = http::Request::builder().uri(&url).body(()).map_err(|why| failed(why.to_string()))?;
    instructions.apply_to_request_http1x(&mut signed);
    Ok(format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(signed.uri().to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_signed_question_that_names_its_cluster() {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret-key", None, None, "test");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        let token = token(&credentials, "eu-west-1", "https://sts.eu-west-1.amazonaws.com", "serving-1", now).unwrap();
        let url = URL_SAFE_NO_PAD.decode(token.strip_prefix("k8s-aws-v1.").unwrap()).unwrap();
        let url = String::from_utf8(url).unwrap();
        assert!(url.starts_with("https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&"), "{url}");
        assert!(url.contains("X-Amz-SignedHeaders=host%3Bx-k8s-aws-id"), "{url}");
        assert!(!url.contains("secret-key"), "{url}");
    }
}
