//! AWS's errors, classified once. Whether something is ours to try again, or a person's to mend, follows from the class.

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use fleetwright_clouds::CloudError;
use fleetwright_core::inventory::ErrorClass;
use fleetwright_schema::units::Duration;

/// An error of ours in the shape of a cloud's.
pub fn error(class: ErrorClass, code: &str, message: impl Into<String>) -> CloudError {
    CloudError { class, code: code.to_owned(), message: message.into(), retry_after: None }
}

/// What a code of AWS means, and the status where the code says nothing.
pub fn classify(code: &str, status: u16) -> ErrorClass {
    use ErrorClass::{Conflict, Denied, NotFound, Outage, Quota, Throttled, UnknownResult};
    match code {
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "SlowDown"
        | "BandwidthLimitExceeded"
        | "PriorRequestNotComplete"
        | "EC2ThrottledException"
        | "TransactionInProgressException" => Throttled,
        "ResourceInUseException"
        | "ResourceInUse"
        | "DependencyViolation"
        | "DeleteConflict"
        | "EntityAlreadyExists"
        | "ConcurrentModification"
        | "IncorrectState"
        | "IncorrectInstanceState"
        | "InvalidParameterValue.Conflict"
        | "ResourceAlreadyExistsException"
        | "OperationNotPermitted.InUse"
        | "VolumeInUse"
        | "Resource.AlreadyAssociated"
        | "IdempotentParameterMismatch.InFlight" => Conflict,
        "ResourceLimitExceededException"
        | "LimitExceeded"
        | "LimitExceededException"
        | "QuotaExceededException"
        | "ServiceQuotaExceededException" => Quota,
        "AccessDenied"
        | "AccessDeniedException"
        | "UnauthorizedOperation"
        | "AuthFailure"
        | "NotAuthorized"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "OptInRequired"
        | "MissingAuthenticationToken"
        | "IncompleteSignature"
        | "PendingVerification"
        | "Blocked" => Denied,
        // Of our own making only as long as nobody renews them: the next plan asks the chain again.
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => Denied,
        "NoSuchEntity" | "ResourceNotFoundException" | "NotFoundException" | "Gateway.NotAttached" => NotFound,
        "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "Unavailable"
        | "InternalError"
        | "InternalFailure"
        | "InternalFailureException"
        | "ServerException"
        | "ServiceFailure"
        | "ServiceFailureException" => Outage,
        "RequestTimeout" | "RequestTimeoutException" => UnknownResult,
        code if code.ends_with(".NotFound") || code.ends_with("NotFound") => NotFound,
        code if code.ends_with("LimitExceeded") => Quota,
        code if [".InUse", ".Duplicate", ".Conflict", "AlreadyExists"].iter().any(|end| code.ends_with(end)) => {
            Conflict
        }
        _ => of_status(status),
    }
}

const fn of_status(status: u16) -> ErrorClass {
    match status {
        401 | 403 => ErrorClass::Denied,
        404 => ErrorClass::NotFound,
        408 => ErrorClass::UnknownResult,
        409 => ErrorClass::Conflict,
        429 => ErrorClass::Throttled,
        500..=599 => ErrorClass::Outage,
        _ => ErrorClass::Invalid,
    }
}

/// Codes that mean several things, told apart by what is said with them.
pub fn of_words(code: &str, message: &str) -> Option<ErrorClass> {
    let says = |words: &str| message.to_lowercase().contains(words);
    match code {
        // IAM tells other services of a role some seconds after it was made.
        "InvalidParameterException" if says("role") && (says("assume") || says("does not exist")) => {
            Some(ErrorClass::Conflict)
        }
        "ResourcePropagationDelayException" => Some(ErrorClass::Conflict),
        _ => None,
    }
}

/// Without what differs from call to call: it would be published as news each time, and tells nobody anything.
pub fn steady(message: &str) -> String {
    let end = message.find("Encoded authorization failure message").unwrap_or(message.len());
    let expired = "Signature expired";
    let text = if message.starts_with(expired) { expired } else { &message[..end] };
    text.trim().chars().take(MESSAGE_LENGTH_MAX).collect()
}

/// More than anybody reads.
const MESSAGE_LENGTH_MAX: usize = 500;

/// What a reply says of when to come back.
pub fn retry_after(header: Option<&str>) -> Option<Duration> {
    header.and_then(|text| text.trim().parse().ok()).map(Duration::from_seconds)
}

/// An error of the SDK. One whose reply was lost is of an unknown result: whoever repeats it looks first.
pub fn from_sdk<E>(error: SdkError<E, HttpResponse>) -> CloudError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    if let SdkError::ServiceError(failed) = &error {
        let (status, raw) = (failed.raw().status().as_u16(), failed.raw().headers());
        let Some(code) = failed.err().code().map(str::to_owned) else {
            return self::error(of_unreadable(status), "ReplyNotUnderstood", format!("status {status} without a code"));
        };
        let message = steady(failed.err().message().unwrap_or_default());
        let class = of_words(&code, &message).unwrap_or_else(|| classify(&code, status));
        return CloudError { class, code, message, retry_after: retry_after(raw.get("retry-after")) };
    }
    let (class, code) = match &error {
        SdkError::ConstructionFailure(_) => (ErrorClass::Invalid, "RequestNotBuilt"),
        SdkError::TimeoutError(_) => (ErrorClass::UnknownResult, "Timeout"),
        SdkError::DispatchFailure(failure) if failure.is_user() => (ErrorClass::Invalid, "RequestNotSent"),
        SdkError::DispatchFailure(_) if is_about_credentials(&error) => (ErrorClass::Denied, "NoCredentials"),
        SdkError::ResponseError(response) => (of_unreadable(response.raw().status().as_u16()), "ReplyNotUnderstood"),
        _ => (ErrorClass::UnknownResult, "ConnectionLost"),
    };
    self::error(class, code, words(&error))
}

/// Whether nothing was sent, because there was nothing to sign it with. Everything else that ends a call without a reply
/// may have arrived.
fn is_about_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(now) = cause {
        if now.is::<CredentialsError>() {
            return true;
        }
        cause = now.source();
    }
    false
}

/// A reply that is not AWS's, as of a proxy: its status is all that it says.
pub const fn of_unreadable(status: u16) -> ErrorClass {
    match status {
        200..=299 => ErrorClass::UnknownResult,
        // Whoever answers so knows nothing of what is there.
        404 => ErrorClass::Outage,
        _ => of_status(status),
    }
}

fn words<E: std::error::Error + 'static>(error: &SdkError<E, HttpResponse>) -> String {
    // The innermost cause says it best, and never shows headers.
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let text = cause.to_string();
    if text.is_empty() { DisplayErrorContext(error).to_string() } else { text }
}

/// `None` where the thing is not there, which is an answer.
pub fn found<T>(result: Result<T, CloudError>) -> Result<Option<T>, CloudError> {
    match result {
        Ok(there) => Ok(Some(there)),
        Err(error) if error.class == ErrorClass::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether it was there already, or is gone already: the end that was wanted.
pub fn settled<T>(result: Result<T, CloudError>, fine: ErrorClass) -> Result<Option<T>, CloudError> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.class == fine => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_call_to_call_is_not_told() {
        let denied = "You are not authorized to perform this operation. Encoded authorization failure message: a1b2c3";
        assert_eq!(steady(denied), "You are not authorized to perform this operation.");
        assert_eq!(steady("Signature expired: 20261122T1 is now earlier than 20261122T2"), "Signature expired");
    }

    #[test]
    fn a_role_that_was_made_just_now_is_waited_for() {
        let told = "Role with arn: arn:aws:iam::1:role/x could not be assumed because it does not exist";
        assert_eq!(of_words("InvalidParameterException", told), Some(ErrorClass::Conflict));
        assert_eq!(of_words("InvalidParameterException", "unsupported version"), None);
    }

    #[test]
    fn a_reply_that_is_not_aws_s_is_no_absence() {
        assert_eq!(of_unreadable(404), ErrorClass::Outage);
    }

    #[test]
    fn codes_are_classified_and_the_status_says_the_rest() {
        for (code, status, class) in [
            ("ThrottlingException", 400, ErrorClass::Throttled),
            ("RequestLimitExceeded", 503, ErrorClass::Throttled),
            ("DependencyViolation", 400, ErrorClass::Conflict),
            ("InvalidVpcID.NotFound", 400, ErrorClass::NotFound),
            ("VpcLimitExceeded", 400, ErrorClass::Quota),
            ("InvalidSubnet.Conflict", 400, ErrorClass::Conflict),
            ("InvalidPermission.Duplicate", 400, ErrorClass::Conflict),
            ("InvalidGroup.InUse", 400, ErrorClass::Conflict),
            ("ExpiredToken", 403, ErrorClass::Denied),
            ("UnsupportedAvailabilityZoneException", 400, ErrorClass::Invalid),
            ("SomethingNew", 503, ErrorClass::Outage),
            ("SomethingNew", 400, ErrorClass::Invalid),
        ] {
            assert_eq!(classify(code, status), class, "{code}");
        }
    }
}
