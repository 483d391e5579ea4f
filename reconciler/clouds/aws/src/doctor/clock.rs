//! Whether the machine's clock is right: AWS refuses what is signed five minutes off, and says when it answered.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::Format;

use super::{Finding, Verdict};

/// Off by more than this a clock is not kept by anybody; at 300 s AWS refuses every call.
const OFF_SECONDS_MAX: u64 = 60;

/// The `Date` of a reply, also of one that refuses: a clock that is off is refused.
#[derive(Clone, Debug, Default)]
pub struct ReplyDate(Arc<Mutex<Option<String>>>);

impl ReplyDate {
    /// In seconds since 1970.
    pub fn get(&self) -> Option<i64> {
        let text = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        DateTime::from_str(&text, Format::HttpDate).ok().map(|date| date.secs())
    }
}

impl Intercept for ReplyDate {
    fn name(&self) -> &'static str {
        "ReplyDate"
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").map(str::to_owned);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}

/// The machine's clock against that of AWS.
pub fn finding(theirs: Option<i64>, now: SystemTime) -> Finding {
    let ours = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let Some(theirs) = theirs else {
        let hint = "look whether something between the daemon and AWS takes headers away";
        return Finding::new("clock", Verdict::Warning, "no reply told the time", hint);
    };
    let off = i64::try_from(ours).unwrap_or(i64::MAX).saturating_sub(theirs);
    let detail = match off {
        0 => "as AWS's".to_owned(),
        1.. => format!("{off} s ahead of AWS's"),
        _ => format!("{} s behind AWS's", off.unsigned_abs()),
    };
    match off.unsigned_abs() > OFF_SECONDS_MAX {
        true => Finding::new("clock", Verdict::Broken, detail, "have the machine's clock kept by NTP"),
        false => Finding::new("clock", Verdict::Fine, detail, ""),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_that_is_off_is_found_on_either_side() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(finding(Some(1000), at(1060)).verdict, Verdict::Fine);
        let ahead = finding(Some(1000), at(1061));
        assert_eq!((ahead.verdict, &*ahead.detail), (Verdict::Broken, "61 s ahead of AWS's"));
        let behind = finding(Some(1000), at(100));
        assert_eq!((behind.verdict, &*behind.detail), (Verdict::Broken, "900 s behind AWS's"));
        assert_eq!(finding(None, at(1)).verdict, Verdict::Warning);
    }
}
