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
        let code = failed.err().code().unwrap_or("UnknownError").to_owned();
        let message = failed.err().message().unwrap_or_default().to_owned();
        let class = classify(&code, status);
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
const fn of_unreadable(status: u16) -> ErrorClass {
    match status {
        200..=299 => ErrorClass::UnknownResult,
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
