//! The errors of EKS, as it words and numbers them.

use std::fmt;

use axum::http::StatusCode;
use fleetwright_core::inventory::ErrorClass;
use fleetwright_schema::units::Duration;
use fleetwright_simulator::front::FrontError;
use serde_json::{Map, Value, json};

/// The codes of EKS that this front speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// We may not.
    AccessDenied,
    /// A tag call that makes no sense.
    BadRequest,
    /// The request is wrong in itself.
    InvalidParameter,
    /// The request is wrong as things stand.
    InvalidRequest,
    /// The request is not signed for this service and region.
    InvalidSignature,
    /// The request is not signed.
    MissingAuthenticationToken,
    /// A tag call on nothing.
    NotFound,
    /// Taken, or at work.
    ResourceInUse,
    /// A quota.
    ResourceLimitExceeded,
    /// Nothing of that name.
    ResourceNotFound,
    /// The service is broken.
    Server,
    /// The service is away.
    ServiceUnavailable,
    /// Too many calls.
    Throttling,
    /// No such call.
    UnknownOperation,
}

impl Code {
    const fn facts(self) -> (&'static str, u16) {
        match self {
            Self::AccessDenied => ("AccessDeniedException", 403),
            Self::BadRequest => ("BadRequestException", 400),
            Self::InvalidParameter => ("InvalidParameterException", 400),
            Self::InvalidRequest => ("InvalidRequestException", 400),
            Self::InvalidSignature => ("InvalidSignatureException", 403),
            Self::MissingAuthenticationToken => ("MissingAuthenticationTokenException", 403),
            Self::NotFound => ("NotFoundException", 404),
            Self::ResourceInUse => ("ResourceInUseException", 409),
            Self::ResourceLimitExceeded => ("ResourceLimitExceededException", 400),
            Self::ResourceNotFound => ("ResourceNotFoundException", 404),
            Self::Server => ("ServerException", 500),
            Self::ServiceUnavailable => ("ServiceUnavailableException", 503),
            Self::Throttling => ("ThrottlingException", 429),
            Self::UnknownOperation => ("UnknownOperationException", 404),
        }
    }
    /// As in the header `x-amzn-errortype`.
    pub const fn as_str(self) -> &'static str {
        self.facts().0
    }
    /// As HTTP has it.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.facts().1).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
    const fn of(class: ErrorClass) -> Self {
        match class {
            ErrorClass::NotFound => Self::ResourceNotFound,
            ErrorClass::Conflict => Self::ResourceInUse,
            ErrorClass::Throttled => Self::Throttling,
            ErrorClass::Quota => Self::ResourceLimitExceeded,
            ErrorClass::Denied => Self::AccessDenied,
            ErrorClass::Invalid => Self::InvalidParameter,
            ErrorClass::Outage => Self::ServiceUnavailable,
            ErrorClass::UnknownResult => Self::Server,
        }
    }
}

/// Why a call is not answered with what was asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// An error of the API.
    Api(ApiError),
    /// The connection is closed, and nobody is told why.
    Lost,
}

/// An error of the API.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    /// Which.
    pub code: Code,
    /// For people.
    pub message: String,
    /// What it is about: `clusterName`, `nodegroupName`, `addonName`.
    pub about: Map<String, Value>,
    /// When to come back.
    pub retry_after: Option<Duration>,
}

/// An error of this code.
pub fn refused(code: Code, message: impl fmt::Display) -> Refusal {
    Refusal::Api(ApiError { code, message: message.to_string(), about: Map::new(), retry_after: None })
}

/// The request is wrong in itself.
pub fn invalid(message: impl fmt::Display) -> Refusal {
    refused(Code::InvalidParameter, message)
}

/// The request is wrong as things stand.
pub fn untimely(message: impl fmt::Display) -> Refusal {
    refused(Code::InvalidRequest, message)
}

/// Something is taken, or at work.
pub fn in_use(message: impl fmt::Display) -> Refusal {
    refused(Code::ResourceInUse, message)
}

/// There is nothing of that name.
pub fn not_found(message: impl fmt::Display) -> Refusal {
    refused(Code::ResourceNotFound, message)
}

impl Refusal {
    /// Says what it is about, where EKS does.
    pub fn about(self, member: &str, name: &str) -> Self {
        match self {
            Self::Lost => Self::Lost,
            Self::Api(mut error) => {
                error.about.entry(member).or_insert_with(|| json!(name));
                Self::Api(error)
            }
        }
    }
}

impl From<FrontError> for Refusal {
    fn from(error: FrontError) -> Self {
        match error {
            FrontError::Lost => Self::Lost,
            FrontError::World(error) => refused(Code::Server, error),
            FrontError::Refused(error) if error.class == ErrorClass::UnknownResult => Self::Lost,
            FrontError::Refused(error) => Self::Api(ApiError {
                code: Code::of(error.class),
                message: error.message,
                about: Map::new(),
                retry_after: error.retry_after,
            }),
        }
    }
}

impl ApiError {
    /// The body of the reply.
    pub fn body(&self) -> Value {
        let mut body = self.about.clone();
        body.insert("message".to_owned(), json!(self.message));
        Value::Object(body)
    }
}
