//! Who calls whom, kept for a while: the question is dear, and the answer changes slowly.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::problem::Problem;
use super::state::State;
use crate::store::Edge;

const FRESH: Duration = Duration::from_secs(60);

/// Ranges that are kept at once.
const MOST: usize = 64;

/// What is asked for where no range is given.
const DEFAULT_RANGE: Duration = Duration::from_secs(86_400);

/// From and to, as they were asked for: without an end it is now, whenever that is.
type Range = (Option<SystemTime>, Option<SystemTime>);

/// An answer, and when it came.
type Kept = (Instant, Arc<[Edge]>);

/// Answers by range.
#[derive(Debug, Default)]
pub(super) struct Cache {
    answers: Mutex<HashMap<Range, Kept>>,
}

impl Cache {
    fn get(&self, range: &Range) -> Option<Arc<[Edge]>> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|_, (at, _)| at.elapsed() < FRESH);
        answers.get(range).map(|(_, edges)| Arc::clone(edges))
    }

    fn put(&self, range: Range, edges: &Arc<[Edge]>) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() < MOST {
            answers.insert(range, (Instant::now(), Arc::clone(edges)));
        }
    }
}

impl State {
    /// The edges of a range; without an end until now, without a beginning the day before the end.
    pub(crate) async fn dependencies(
        &self,
        from: Option<SystemTime>,
        to: Option<SystemTime>,
    ) -> Result<Arc<[Edge]>, Problem> {
        if let Some(edges) = self.dependencies.get(&(from, to)) {
            return Ok(edges);
        }
        let end = to.unwrap_or_else(SystemTime::now);
        let begin = from.or_else(|| end.checked_sub(DEFAULT_RANGE)).unwrap_or(SystemTime::UNIX_EPOCH);
        let edges: Arc<[Edge]> =
            self.query(move |store| async move { store.dependencies(begin, end).await }).await?.into();
        self.dependencies.put((from, to), &edges);
        Ok(edges)
    }
}
