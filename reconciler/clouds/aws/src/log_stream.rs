//! The Kinesis stream that a cluster writes its logs to: on demand, kept for a day, encrypted with the key that AWS keeps
//! for Kinesis.
//!
//! Its name says whose it may be, and its tags say whose it is. A stream by our name without our tags is a stranger's, and
//! left alone: AWS tags a stream in the call that makes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_kinesis::types::{EncryptionType, StreamMode, StreamModeDetails, StreamStatus};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::DateTime;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use fleetwright_clouds::{CloudError, Progress};
use fleetwright_core::action::{Action, Effect};
use fleetwright_core::inventory::{ErrorClass, Phase, Resource, Step};
use fleetwright_schema::names::ClusterName;
use fleetwright_schema::units::Timestamp;

use crate::cache::Cache;
use crate::error::{error, found, from_sdk};
use crate::marks::{TagChange, with_list};
use crate::owner::{APPLIED, Owner, Tags, fitting};
use crate::session::Session;

const PREFIX: &str = "fleetwright-";
/// The longest name of a stream; that of the longest cluster fits.
const NAME_LENGTH_MAX: usize = 128;
/// The key that AWS keeps for Kinesis in each account: it costs nothing, and needs no grants.
const KEY: &str = "alias/aws/kinesis";
/// As many as one page holds.
const PAGE_STREAMS_MAX: i32 = 10_000;
const PAGE_TAGS_MAX: i32 = 50;
/// Kinesis answers five questions a second for tags, in an account and region: after the first few the others keep to it,
/// instead of failing the whole reading. Only streams that are not known yet, or due for a closer look, are asked for.
const TAGS_AT_ONCE: usize = 5;
const TAGS_PACE: Duration = Duration::from_millis(200);

/// The name of a cluster's stream.
pub fn stream_name(cluster: &ClusterName) -> String {
    fitting(&format!("{PREFIX}{cluster}"), NAME_LENGTH_MAX)
}

/// Its ARN, which follows from its name.
pub fn stream_arn(session: &Session, cluster: &ClusterName) -> String {
    let (partition, region, account) = (session.partition(), session.region(), &session.place.account);
    format!("arn:{partition}:kinesis:{region}:{account}:stream/{}", stream_name(cluster))
}

/// A stream as it is read.
#[derive(Clone, Debug)]
struct Stream {
    arn: String,
    status: StreamStatus,
    created: DateTime,
}

impl Stream {
    /// One that is deleted and made again has the same ARN and another time.
    fn id(&self) -> String {
        format!("{}@{}", self.arn, self.created.secs())
    }

    fn phase(&self, applied: &str) -> Phase {
        match self.status {
            StreamStatus::Creating => Phase::Creating,
            StreamStatus::Deleting => Phase::Deleting,
            // One that is whole and grows by itself serves as before.
            StreamStatus::Updating if applied.is_empty() => Phase::Updating,
            _ => Phase::Ready,
        }
    }
}

/// All log streams of ours.
pub async fn list(
    session: &Arc<Session>,
    kept: &Cache<Tags>,
    closely: &BTreeSet<ClusterName>,
) -> Result<Vec<Resource>, CloudError> {
    let streams = streams(session).await?;
    kept.retain(&session.place, |cluster| streams.contains_key(cluster));
    let mut resources = Vec::new();
    let mut asked = 0;
    for (cluster, stream) in &streams {
        let quiet = stream.status == StreamStatus::Active && !closely.contains(cluster);
        let known = if quiet { kept.recall(&session.place, cluster) } else { None };
        let tags = match known {
            Some(tags) => tags,
            None => {
                if asked >= TAGS_AT_ONCE {
                    tokio::time::sleep(TAGS_PACE).await;
                }
                asked += 1;
                let began = Instant::now();
                let Some(tags) = found(tags_of(session, cluster).await)? else { continue };
                if stream.status == StreamStatus::Active && tags.contains_key(APPLIED) {
                    kept.keep(&session.place, cluster, began, tags.clone());
                }
                tags
            }
        };
        resources.extend(resource(cluster, stream, &tags));
    }
    Ok(resources)
}

fn resource(cluster: &ClusterName, stream: &Stream, tags: &Tags) -> Option<Resource> {
    let owner = Owner::from_tags(tags).filter(|owner| owner.cluster == *cluster)?;
    let applied = tags.get(APPLIED).map_or("", String::as_str);
    Some(Resource {
        id: stream.id().into(),
        step: Step::LogStream,
        cluster: owner.cluster,
        set: owner.set,
        ordinal: owner.ordinal,
        phase: stream.phase(applied),
        applied: applied.into(),
        created_at: Timestamp::from_unix_seconds(stream.created.secs()),
        uses: Vec::new(),
        control_plane: None,
        node_pools: Vec::new(),
        infra_services: Vec::new(),
    })
}

/// The streams whose names say that they may be ours. Others cost nothing.
async fn streams(session: &Session) -> Result<BTreeMap<ClusterName, Stream>, CloudError> {
    let mut streams = BTreeMap::new();
    let mut pages = session.kinesis.list_streams().limit(PAGE_STREAMS_MAX);
    loop {
        let page = pages.clone().send().await.map_err(of_reading)?;
        for summary in page.stream_summaries() {
            if let (Some(cluster), Some(created)) =
                (cluster_of(&summary.stream_name), summary.stream_creation_timestamp)
            {
                let (arn, status) = (summary.stream_arn.clone(), summary.stream_status.clone());
                streams.insert(cluster, Stream { arn, status, created });
            }
        }
        for cluster in page.stream_names().iter().filter_map(|name| cluster_of(name)) {
            // Some servers list names only.
            if !streams.contains_key(&cluster)
                && let Some((stream, _)) = look(session, &cluster).await?
            {
                streams.insert(cluster, stream);
            }
        }
        match page.stream_names.last().filter(|_| page.has_more_streams) {
            Some(last) => pages = pages.exclusive_start_stream_name(last),
            None => return Ok(streams),
        }
    }
}

fn cluster_of(stream_name: &str) -> Option<ClusterName> {
    stream_name.strip_prefix(PREFIX)?.parse().ok()
}

/// The stream of a cluster as it is now, and whether it is encrypted.
async fn look(session: &Session, cluster: &ClusterName) -> Result<Option<(Stream, bool)>, CloudError> {
    let reply = session.kinesis.describe_stream_summary().stream_name(stream_name(cluster)).send().await;
    let Some(told) = found(reply.map_err(of_reading))?.and_then(|reply| reply.stream_description_summary) else {
        return Ok(None);
    };
    let encrypted = told.encryption_type == Some(EncryptionType::Kms);
    let stream = Stream { arn: told.stream_arn, status: told.stream_status, created: told.stream_creation_timestamp };
    Ok(Some((stream, encrypted)))
}

async fn tags_of(session: &Session, cluster: &ClusterName) -> Result<Tags, CloudError> {
    let mut tags = Tags::new();
    let mut pages = session.kinesis.list_tags_for_stream().stream_name(stream_name(cluster)).limit(PAGE_TAGS_MAX);
    loop {
        let page = pages.clone().send().await.map_err(of_reading)?;
        let last = page.tags.last().map(|tag| tag.key.clone());
        tags.extend(page.tags.into_iter().map(|tag| (tag.key, tag.value.unwrap_or_default())));
        match last.filter(|_| page.has_more_tags) {
            Some(last) => pages = pages.exclusive_start_tag_key(last),
            None => return Ok(tags),
        }
    }
}

/// One short step.
pub async fn perform(session: &Arc<Session>, action: &Action) -> Result<Progress, CloudError> {
    let owner = Owner::of(action);
    let found = look(session, &owner.cluster).await?;
    match &action.effect {
        Effect::Create { fingerprint, spec, .. } => make(session, &owner, found, &spec.tags, fingerprint).await,
        Effect::Update { id, fingerprint, spec, .. } => match found.as_ref().is_some_and(|(s, _)| s.id() == **id) {
            true => make(session, &owner, found, &spec.tags, fingerprint).await,
            false => Err(another(id)),
        },
        Effect::Delete { id } => match found {
            None => Ok(Progress::Done),
            Some((stream, _)) if stream.id() == **id => delete(session, &owner, &stream).await,
            Some(_) => Err(another(id)),
        },
        Effect::Drain { .. } | Effect::OpenPlacement { .. } => {
            Err(error(ErrorClass::Invalid, "NotOfThisStep", "a log stream takes no workloads"))
        }
    }
}

fn another(id: &str) -> CloudError {
    error(ErrorClass::Conflict, "AnotherStream", format!("{id} is no longer the log stream of its cluster"))
}

/// Makes what is missing, brings the rest to the spec, and writes the mark last.
async fn make(
    session: &Session,
    owner: &Owner,
    stream: Option<(Stream, bool)>,
    of_set: &Tags,
    fingerprint: &str,
) -> Result<Progress, CloudError> {
    let wanted = with_list(owner.tags(Step::LogStream, of_set), of_set);
    let is_new = stream.is_none();
    let Some((stream, encrypted)) = (match stream {
        None => create(session, owner, &wanted).await?,
        there => there,
    }) else {
        return Ok(Progress::InProgress);
    };
    let has = tags_of(session, &owner.cluster).await?;
    // That it is ours is known of one that was made just now, also on a server that drops the tags of a creation.
    if !(is_new && has.is_empty()) {
        check_ours(owner, &has)?;
    }
    bring_tags(session, owner, &has, &wanted).await?;
    if stream.status != StreamStatus::Active {
        return Ok(Progress::InProgress);
    }
    if !encrypted && !encrypt(session, owner).await? {
        return Ok(Progress::InProgress);
    }
    let mark = Tags::from([(APPLIED.to_owned(), fingerprint.to_owned())]);
    bring_tags(session, owner, &Tags::new(), &mark).await?;
    Ok(Progress::Done)
}

fn check_ours(owner: &Owner, tags: &Tags) -> Result<(), CloudError> {
    match Owner::from_tags(tags).as_ref() == Some(owner) {
        true => Ok(()),
        false => {
            let name = stream_name(&owner.cluster);
            let message = format!("the stream {name} does not belong to {}", owner.cluster);
            Err(error(ErrorClass::Denied, "NotOurs", message))
        }
    }
}

/// What is there once it is made; nothing as long as the service does not show it.
async fn create(session: &Session, owner: &Owner, tags: &Tags) -> Result<Option<(Stream, bool)>, CloudError> {
    let mode = StreamModeDetails::builder().stream_mode(StreamMode::OnDemand).build();
    let mode = mode.map_err(|why| error(ErrorClass::Invalid, "RequestNotBuilt", why.to_string()))?;
    let request = session.kinesis.create_stream().stream_name(stream_name(&owner.cluster)).stream_mode_details(mode);
    let tags = tags.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    request.set_tags(Some(tags)).send().await.map_err(failed)?;
    look(session, &owner.cluster).await
}

/// What leaves the set goes before the list of what came from it is written anew.
async fn bring_tags(session: &Session, owner: &Owner, has: &Tags, wanted: &Tags) -> Result<(), CloudError> {
    let (name, TagChange { set, remove }) = (stream_name(&owner.cluster), TagChange::between(has, wanted));
    if !remove.is_empty() {
        let untag = session.kinesis.remove_tags_from_stream().stream_name(&name).set_tag_keys(Some(remove));
        untag.send().await.map_err(failed)?;
    }
    if !set.is_empty() {
        let tag = session.kinesis.add_tags_to_stream().stream_name(&name).set_tags(Some(set.into_iter().collect()));
        tag.send().await.map_err(failed)?;
    }
    Ok(())
}

/// Whether it is encrypted and usable now. A service that can't encrypt has no such operation, and nothing to wait for.
async fn encrypt(session: &Session, owner: &Owner) -> Result<bool, CloudError> {
    let start = session.kinesis.start_stream_encryption().stream_name(stream_name(&owner.cluster));
    match start.encryption_type(EncryptionType::Kms).key_id(KEY).send().await.map_err(failed) {
        Ok(_) => {
            let now = look(session, &owner.cluster).await?;
            Ok(now.is_some_and(|(stream, encrypted)| encrypted && stream.status == StreamStatus::Active))
        }
        Err(error) if ["UnknownOperationException", "InvalidAction"].contains(&&*error.code) => Ok(true),
        Err(error) => Err(error),
    }
}

async fn delete(session: &Session, owner: &Owner, stream: &Stream) -> Result<Progress, CloudError> {
    check_ours(owner, &tags_of(session, &owner.cluster).await?)?;
    if stream.status != StreamStatus::Deleting {
        // Whoever still reads the logs of a cluster that goes is no reason to keep it.
        let delete = session.kinesis.delete_stream().stream_name(stream_name(&owner.cluster));
        delete.enforce_consumer_deletion(true).send().await.map_err(failed)?;
    }
    Ok(Progress::InProgress)
}

/// Kinesis says `LimitExceededException` of too many calls, and of too many streams.
fn failed<E>(error: SdkError<E, HttpResponse>) -> CloudError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let error = from_sdk(error);
    let class = class_of(&error.code, &error.message).unwrap_or(error.class);
    CloudError { class, ..error }
}

fn class_of(code: &str, message: &str) -> Option<ErrorClass> {
    match code {
        "LimitExceededException" if message.to_lowercase().contains("rate exceeded") => Some(ErrorClass::Throttled),
        "KMSThrottlingException" => Some(ErrorClass::Throttled),
        "KMSAccessDeniedException" | "KMSOptInRequired" => Some(ErrorClass::Denied),
        _ => None,
    }
}

/// Of calls that only look there can be nothing but too many.
fn of_reading<E>(error: SdkError<E, HttpResponse>) -> CloudError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let error = failed(error);
    let class = if error.class == ErrorClass::Quota { ErrorClass::Throttled } else { error.class };
    CloudError { class, ..error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_stream_tells_its_cluster_however_long() {
        let cluster: ClusterName = "c".repeat(100).parse().unwrap();
        assert_eq!(cluster_of(&stream_name(&cluster)), Some(cluster));
        assert_eq!(cluster_of("orders"), None);
        assert_eq!(cluster_of("fleetwright-"), None);
    }

    #[test]
    fn too_many_calls_are_told_from_too_many_streams() {
        let throttled = class_of("LimitExceededException", "Rate exceeded for stream a under account 123456789012.");
        assert_eq!(throttled, Some(ErrorClass::Throttled));
        assert_eq!(class_of("LimitExceededException", "This request would exceed the on-demand stream limit"), None);
    }

    #[test]
    fn a_stream_that_grows_by_itself_is_as_ready_as_before() {
        let stream = |status| Stream { arn: String::new(), status, created: DateTime::from_secs(1) };
        assert_eq!(stream(StreamStatus::Updating).phase("f"), Phase::Ready);
        assert_eq!(stream(StreamStatus::Updating).phase(""), Phase::Updating);
        assert_eq!(stream(StreamStatus::Creating).phase(""), Phase::Creating);
    }
}
