//! Moving the write-ahead log into the file beside the thread that writes.
//!
//! SQLite has the commit do it that makes the log long enough: that commit, and all that wait behind it, wait for the disk,
//! which takes a third of the time of a store that gets all it can take. Here a thread of its own moves what is there,
//! while the writer goes on. The log starts at its beginning again once all of it has been moved, which never happens while
//! the writer is faster; so when little is left, a commit moves that itself.

use std::cell::Cell;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::connection::failed;
use crate::store::error::StoreError;

/// Lengths of the log, in pages of 4 KiB.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lengths {
    /// From here on it is moved.
    long: i32,
    /// So little is left of it that a commit moves that itself.
    few: i32,
    /// Here the writer waits for the thread: a disk that is slower than the writer must not fill up.
    too_long: i32,
}

/// 125 MiB: a page that is written several times until then is moved once.
pub(super) const LENGTHS: Lengths = Lengths { long: 32_000, few: 2_000, too_long: 128_000 };

thread_local! {
    /// Pages in the log after the last commit of this thread's connection.
    static PAGES: Cell<i32> = const { Cell::new(0) };
}

/// The thread, and how far it is.
pub(super) struct Checkpoint {
    wake: SyncSender<()>,
    /// Pages of the log that have been moved; held while more are.
    moved: Arc<Mutex<i32>>,
    lengths: Lengths,
}

impl Checkpoint {
    /// Takes the place of SQLite's own on this connection. The thread ends with the value.
    pub(super) fn start(path: &Path, writer: &Connection, lengths: Lengths) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(Duration::ZERO).map_err(failed)?;
        let (wake, woken) = sync_channel(1);
        let moved = Arc::new(Mutex::new(0));
        let shared = Arc::clone(&moved);
        thread::Builder::new()
            .name("throughline-sqlite-checkpoint".to_owned())
            .spawn(move || serve(&connection, &woken, &shared))
            .map_err(|error| StoreError::Unavailable {
                why: "a thread cannot be started".into(),
                source: Some(Box::new(error)),
            })?;
        writer.wal_hook(Some(|_, pages| {
            PAGES.set(pages);
            Ok(())
        }));
        Ok(Self { wake, moved, lengths })
    }

    /// Looks at the log after a commit of the connection that it was started with.
    pub(super) fn after_commit(&self, writer: &Connection) {
        let Lengths { long, few, too_long } = self.lengths;
        let pages = PAGES.get();
        if pages < long {
            return;
        }
        let mut moved = match self.moved.try_lock() {
            Ok(moved) => moved,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) if pages < too_long => return,
            Err(TryLockError::WouldBlock) => self.moved.lock().unwrap_or_else(PoisonError::into_inner),
        };
        if pages < *moved {
            // It has started anew.
            *moved = 0;
        }
        if pages - *moved <= few || pages >= too_long {
            *moved = move_log(writer);
        } else {
            // Full: it has been woken already.
            let _ = self.wake.try_send(());
        }
    }
}

fn serve(connection: &Connection, woken: &Receiver<()>, moved: &Mutex<i32>) {
    while woken.recv().is_ok() {
        let mut moved = moved.lock().unwrap_or_else(PoisonError::into_inner);
        *moved = move_log(connection);
    }
}

/// Moves what nobody reads any longer, without waiting for anybody; how many pages of the log have been moved by now.
///
/// An error leaves the log as it is: the next attempt finds it longer.
fn move_log(connection: &Connection) -> i32 {
    connection.query_row("pragma wal_checkpoint(passive)", [], |row| row.get(2)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::store::sqlite::connection::open_to_write;

    const SHORT: Lengths = Lengths { long: 100, few: 20, too_long: 1_000 };

    struct Log {
        folder: PathBuf,
        writer: Connection,
        checkpoint: Checkpoint,
        rows: i64,
    }

    impl Log {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("throughline-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            let path = folder.join("traces.db");
            let writer = open_to_write(&path).unwrap();
            let checkpoint = Checkpoint::start(&path, &writer, SHORT).unwrap();
            writer.execute_batch("create table t (id integer primary key, b blob)").unwrap();
            Self { folder, writer, checkpoint, rows: 0 }
        }

        /// Commits some ten pages; the length of the log after that.
        fn commit(&mut self) -> i32 {
            self.writer.execute("insert into t (b) values (zeroblob(40000))", []).unwrap();
            self.rows += 1;
            let pages = PAGES.get();
            self.checkpoint.after_commit(&self.writer);
            pages
        }

        fn reader(&self) -> Connection {
            Connection::open(self.folder.join("traces.db")).unwrap()
        }

        fn read(connection: &Connection) -> i64 {
            connection.query_row("select count(*) from t", [], |row| row.get(0)).unwrap()
        }
    }

    impl Drop for Log {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }

    /// Whatever the thread gets done: the log starts anew, again and again.
    #[test]
    fn log_stays_short_while_the_writer_goes_on() {
        let mut log = Log::new("log-stays-short");
        let (mut longest, mut anew, mut before) = (0, 0, 0);
        for _ in 0..2_000 {
            let pages = log.commit();
            longest = longest.max(pages);
            anew += u32::from(pages < before);
            before = pages;
        }
        assert!(longest < SHORT.too_long + 20, "{longest} pages");
        assert!(anew >= 2_000 * 10 / 1_020, "the log started anew {anew} times");
        assert_eq!(Log::read(&log.reader()), log.rows);
    }

    /// Who reads an old state holds the log, and not the writer.
    #[test]
    fn reader_does_not_hold_the_writer() {
        let mut log = Log::new("log-is-held");
        log.commit();
        let reader = log.reader();
        reader.execute_batch("begin").unwrap();
        assert_eq!(Log::read(&reader), 1);
        let mut longest = 0;
        for _ in 0..300 {
            longest = longest.max(log.commit());
        }
        assert!(longest > SHORT.too_long, "the reader holds the log: {longest} pages");
        assert_eq!(Log::read(&reader), 1, "the reader sees its own state");
        reader.execute_batch("commit").unwrap();
        // The first commit moves all of it, the next one starts at the beginning.
        log.commit();
        assert!(log.commit() < 100);
        assert_eq!(Log::read(&reader), log.rows);
    }
}
