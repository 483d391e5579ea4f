//! The clients of one account in one region, with the credentials of the role that the fleet names for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::future::ProvideCredentials as ProvideFuture;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_types::service_config::ServiceConfigKey;
use fleetwright_clouds::{Access, CloudError};
use fleetwright_core::inventory::{ErrorClass, Place};
use fleetwright_schema::documents::{AwsAccount, FleetSpec};
use tokio::sync::{Mutex, OnceCell};

use crate::accounts::Accounts;
use crate::calls::Calls;
use crate::error::{error, from_sdk};
use crate::inside::Blocked;
use crate::query::Query;

/// A call that takes longer than this has an unknown result: the next plan looks.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Within it a connection stands, or the service is out.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For so long credentials are taken to be of the account that they were of.
const PROVEN_FOR: Duration = Duration::from_secs(600);
/// Credentials are asked for anew so long before they expire.
const RENEWED_BEFORE: Duration = Duration::from_secs(300);

/// Where a service is if not at its own address, as the environment (`AWS_ENDPOINT_URL_EC2`, `AWS_ENDPOINT_URL`) and the
/// shared configuration say it: for tests, private endpoints and gateways.
pub fn endpoint_override(config: &SdkConfig, service_id: &str) -> Option<String> {
    let key =
        ServiceConfigKey::builder().service_id(service_id).env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    let own = key.ok().and_then(|key| config.service_config().and_then(|services| services.load_config(key)));
    own.or_else(|| config.endpoint_url().map(str::to_owned))
}

/// Everything that is called in one place.
pub struct Session {
    /// Which.
    pub place: Place,
    /// What the fleet says of the account.
    pub account: Arc<AwsAccount>,
    /// EKS.
    pub eks: aws_sdk_eks::Client,
    /// IAM.
    pub iam: aws_sdk_iam::Client,
    /// Kinesis.
    pub kinesis: aws_sdk_kinesis::Client,
    /// STS.
    pub sts: aws_sdk_sts::Client,
    /// EC2, load balancers and quotas.
    pub query: Query,
    /// What does not leave its cluster, as far as it was asked to.
    pub blocked: Blocked,
    config: SdkConfig,
    /// When the credentials were last seen to be of the account.
    proven_at: Mutex<Option<Instant>>,
}

impl Session {
    /// The region.
    pub fn region(&self) -> &str {
        self.place.region.as_str()
    }
    /// `aws`, `aws-us-gov` or `aws-cn`.
    pub fn partition(&self) -> &'static str {
        partition(self.region())
    }
    /// That the credentials are of the very account. In another one every list would come back empty, and everything would
    /// be taken for gone.
    async fn prove_account(&self) -> Result<(), CloudError> {
        let mut proven = self.proven_at.lock().await;
        if proven.is_some_and(|at| at.elapsed() < PROVEN_FOR) {
            return Ok(());
        }
        let told = self.sts.get_caller_identity().send().await.map_err(from_sdk)?;
        let (entered, wanted) = (told.account().unwrap_or_default(), &*self.place.account);
        if entered != wanted {
            let message = format!("the credentials are of account {entered}, and not of {wanted}");
            return Err(error(ErrorClass::Denied, "AnotherAccount", message));
        }
        *proven = Some(Instant::now());
        Ok(())
    }
    /// The credentials of now.
    pub async fn credentials(&self) -> Result<Credentials, CloudError> {
        credentials(&self.config).await
    }
}

/// The partition of a region.
pub fn partition(region: &str) -> &'static str {
    match region {
        region if region.starts_with("us-gov-") => "aws-us-gov",
        region if region.starts_with("cn-") => "aws-cn",
        _ => "aws",
    }
}

/// Credentials as the chain has them now; without them nothing is known of a place, and nothing is absent.
pub async fn credentials(config: &SdkConfig) -> Result<Credentials, CloudError> {
    let none = || error(ErrorClass::Denied, "NoCredentials", "no credentials are configured");
    let provider = config.credentials_provider().ok_or_else(none)?;
    let failed = |why: aws_credential_types::provider::error::CredentialsError| {
        error(ErrorClass::Denied, "NoCredentials", why.to_string())
    };
    provider.provide_credentials().await.map_err(failed)
}

/// The sessions, begun when they are first needed, and anew when the fleet says something else of its accounts.
pub struct Sessions {
    access: Access,
    accounts: Accounts,
    calls: Calls,
    base: OnceCell<SdkConfig>,
    known: Mutex<BTreeMap<Place, Arc<Session>>>,
}

impl Sessions {
    /// Sessions of the environment's configuration.
    pub fn new(access: Access) -> Self {
        let known = Mutex::new(BTreeMap::new());
        Self { access, accounts: Accounts::default(), calls: Calls::default(), base: OnceCell::new(), known }
    }

    /// Sessions of this configuration.
    pub fn with_config(config: SdkConfig, access: Access) -> Self {
        let config = config.to_builder().retry_config(RetryConfig::disabled()).timeout_config(timeouts()).build();
        Self { base: OnceCell::new_with(Some(config)), ..Self::new(access) }
    }

    /// What is done with them.
    pub const fn access(&self) -> Access {
        self.access
    }

    /// Takes up what a fleet says of its accounts.
    pub fn learn(&self, config: &FleetSpec) {
        self.accounts.learn(config);
    }

    /// Counts of calls.
    pub fn calls(&self) -> Calls {
        self.calls.clone()
    }

    /// The session of a place.
    pub async fn of(&self, place: &Place) -> Result<Arc<Session>, CloudError> {
        let session = self.unproven(place).await?;
        session.prove_account().await?;
        Ok(session)
    }

    /// The session of a place of which nobody has asked yet in which account it is.
    pub async fn unproven(&self, place: &Place) -> Result<Arc<Session>, CloudError> {
        let account = self.accounts.get(&place.account)?;
        let mut known = self.known.lock().await;
        if let Some(session) = known.get(place).filter(|session| session.account == account) {
            return Ok(Arc::clone(session));
        }
        let base = self.base.get_or_init(base_config).await;
        let session = Arc::new(begin(base, place, account, self.access, self.calls.clone()).await?);
        known.insert(place.clone(), Arc::clone(&session));
        Ok(session)
    }
}

/// Nothing is tried again below the loop, and nothing waits long.
async fn base_config() -> SdkConfig {
    let loader = aws_config::defaults(BehaviorVersion::latest()).retry_config(RetryConfig::disabled());
    // A region of its own for what has none: each session says its own.
    loader.timeout_config(timeouts()).region(Region::new("us-east-1")).load().await
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_timeout(CALL_TIMEOUT).build()
}

/// The credentials of a provider, asked for once and kept until shortly before they expire: for all clients of a session.
#[derive(Debug)]
struct KeptCredentials {
    provider: SharedCredentialsProvider,
    kept: Mutex<Option<Credentials>>,
}

impl KeptCredentials {
    async fn get(&self) -> aws_credential_types::provider::Result {
        let mut kept = self.kept.lock().await;
        let fresh = |known: &&Credentials| {
            known
                .expiry()
                .is_none_or(|end| end.duration_since(SystemTime::now()).is_ok_and(|left| left > RENEWED_BEFORE))
        };
        if let Some(known) = kept.as_ref().filter(fresh) {
            return Ok(known.clone());
        }
        let new = self.provider.provide_credentials().await?;
        // What never expires may still be replaced: a file is read anew each time.
        *kept = new.expiry().is_some().then(|| new.clone());
        Ok(new)
    }
}

impl ProvideCredentials for KeptCredentials {
    fn provide_credentials<'a>(&'a self) -> ProvideFuture<'a>
    where
        Self: 'a,
    {
        ProvideFuture::new(self.get())
    }
}

/// The role that is assumed in an account, if there is one for this access.
fn role(account: &AwsAccount, access: Access) -> Option<(&str, Option<&str>)> {
    let role = account.assume_role.as_ref()?;
    let arn = match access {
        Access::ReadOnly => role.read_only_role_arn.as_ref().unwrap_or(&role.role_arn),
        Access::ReadWrite => &role.role_arn,
    };
    Some((arn, role.external_id.as_deref()))
}

async fn begin(
    base: &SdkConfig,
    place: &Place,
    account: Arc<AwsAccount>,
    access: Access,
    calls: Calls,
) -> Result<Session, CloudError> {
    let region = Region::new(place.region.as_str().to_owned());
    let mut config = base.to_builder().region(region.clone()).build();
    if let Some((arn, external_id)) = role(&account, access) {
        let mut provider = AssumeRoleProvider::builder(arn).session_name("fleetwright").region(region);
        if let Some(id) = external_id {
            provider = provider.external_id(id);
        }
        let provider = provider.configure(&config).build().await;
        config = config.to_builder().credentials_provider(SharedCredentialsProvider::new(provider)).build();
    }
    if let Some(provider) = config.credentials_provider() {
        let kept = KeptCredentials { provider, kept: Mutex::new(None) };
        config = config.to_builder().credentials_provider(SharedCredentialsProvider::new(kept)).build();
    }
    let eks = aws_sdk_eks::config::Builder::from(&config).interceptor(calls.clone()).build();
    let iam = aws_sdk_iam::config::Builder::from(&config).interceptor(calls.clone()).build();
    let kinesis = aws_sdk_kinesis::config::Builder::from(&config).interceptor(calls.clone()).build();
    let sts = aws_sdk_sts::config::Builder::from(&config).interceptor(calls.clone()).build();
    Ok(Session {
        place: place.clone(),
        account,
        eks: aws_sdk_eks::Client::from_conf(eks),
        iam: aws_sdk_iam::Client::from_conf(iam),
        kinesis: aws_sdk_kinesis::Client::from_conf(kinesis),
        sts: aws_sdk_sts::Client::from_conf(sts),
        query: Query::new(config.clone(), place.region.as_str(), calls)?,
        blocked: Blocked::default(),
        proven_at: Mutex::new(None),
        config,
    })
}
