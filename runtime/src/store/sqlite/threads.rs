//! Threads that own a connection and work on it, asked from any runtime.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::oneshot;

use crate::store::error::StoreError;

type Job<C> = Box<dyn FnOnce(Result<&mut C, StoreError>) + Send>;

/// Some threads, each with a connection of its own, which it opens with its first job. They end with this value.
pub(super) struct Threads<C> {
    jobs: Sender<Job<C>>,
    queue: Arc<Mutex<Receiver<Job<C>>>>,
    open: Arc<dyn Fn() -> Result<C, StoreError> + Send + Sync>,
    name: &'static str,
    /// How many may still be started.
    left: Mutex<usize>,
}

impl<C: 'static> Threads<C> {
    pub(super) fn new(
        name: &'static str,
        most: usize,
        open: impl Fn() -> Result<C, StoreError> + Send + Sync + 'static,
    ) -> Self {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        Self { jobs, queue, open: Arc::new(open), name, left: Mutex::new(most) }
    }

    /// Runs `work` on one of the threads. What is asked is done even when nobody waits for the answer any longer.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut C) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Job<C> = Box::new(move |connection| {
            // Nobody to tell is no error.
            let _ = answer.send(connection.and_then(work));
        });
        self.start_one()?;
        self.jobs.send(job).map_err(|_| StoreError::unavailable("its threads have ended"))?;
        answered.await.map_err(|_| StoreError::refused("a thread of the store panicked"))?
    }

    /// A thread for this job, until there are enough.
    fn start_one(&self) -> Result<(), StoreError> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if *left == 0 {
            return Ok(());
        }
        let (queue, open) = (Arc::clone(&self.queue), Arc::clone(&self.open));
        let started = thread::Builder::new().name(self.name.to_owned()).spawn(move || serve(&queue, &*open));
        started.map_err(|error| StoreError::Unavailable {
            why: "a thread cannot be started".into(),
            source: Some(Box::new(error)),
        })?;
        *left -= 1;
        Ok(())
    }
}

fn serve<C>(queue: &Mutex<Receiver<Job<C>>>, open: &dyn Fn() -> Result<C, StoreError>) {
    let mut connection = None;
    loop {
        // The lock is held while waiting: whoever has it gets the next job.
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        if connection.is_none() {
            match open() {
                Ok(opened) => connection = Some(opened),
                Err(error) => {
                    job(Err(error));
                    continue;
                }
            }
        }
        let Some(opened) = &mut connection else { continue };
        // After a panic nothing is known of the connection's state.
        if catch_unwind(AssertUnwindSafe(|| job(Ok(opened)))).is_err() {
            connection = None;
        }
    }
}
