//! Calls side by side, a few at a time.

use std::future::Future;

use fleetwright_clouds::CloudError;
use fleetwright_core::inventory::ErrorClass;
use tokio::task::JoinSet;

use crate::error::error;

/// At most so many at once: what a place's budget of calls takes without being throttled.
const AT_ONCE_MAX: usize = 8;

/// Does the work for each item; all results in the order of the items, or the first error, and the rest is given up.
pub async fn side_by_side<I, T, F, W>(items: impl IntoIterator<Item = I>, work: W) -> Result<Vec<T>, CloudError>
where
    W: Fn(I) -> F,
    F: Future<Output = Result<T, CloudError>> + Send + 'static,
    T: Send + 'static,
{
    let mut running = JoinSet::new();
    let mut done = Vec::new();
    for (at, item) in items.into_iter().enumerate() {
        if running.len() >= AT_ONCE_MAX
            && let Some(next) = running.join_next().await
        {
            done.push(ended(next)?);
        }
        let work = work(item);
        running.spawn(async move { work.await.map(|result| (at, result)) });
    }
    while let Some(next) = running.join_next().await {
        done.push(ended(next)?);
    }
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

fn ended<T>(joined: Result<Result<T, CloudError>, tokio::task::JoinError>) -> Result<T, CloudError> {
    joined.unwrap_or_else(|why| Err(error(ErrorClass::UnknownResult, "CallNotEnded", why.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn results_keep_their_order_and_an_error_ends_all() {
        let all = side_by_side(0..30_u32, |n| async move {
            for _ in 0..(n % 3) {
                tokio::task::yield_now().await;
            }
            Ok(n)
        });
        assert_eq!(all.await.unwrap(), (0..30).collect::<Vec<_>>());
        let failed = side_by_side(0..30_u32, |n| async move {
            if n == 9 { Err(error(ErrorClass::Outage, "No", "")) } else { Ok(n) }
        });
        assert_eq!(failed.await.unwrap_err().code, "No");
    }
}
