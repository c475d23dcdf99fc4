//! Every interleaving of a writer and a reader, by loom, which also fails when both touch a place at once.

use loom::sync::{Arc, Mutex};
use loom::thread;

use crate::chunk::{self, Reader, Writer};
use crate::counted::{Counted, Drops};
use crate::ends::{Put, Take};

/// Reads until nothing is there, and checks that the entries come in order.
fn read(reader: &mut Reader<Option<Counted>>, from: usize) -> usize {
    let mut next = from;
    while let Some(entry) = reader.take() {
        assert_eq!(entry.number(), next);
        next += 1;
    }
    next
}

#[test]
fn every_entry_is_read_once_and_whole() {
    loom::model(|| {
        let drops = Drops::new(3);
        let (mut writer, mut reader) = chunk::chunk(3);
        let entries: Vec<_> = (0..3).map(|number| drops.entry(number)).collect();
        let writing = thread::spawn(move || {
            for entry in entries {
                assert!(writer.put(entry));
            }
            writer
        });
        let seen = read(&mut reader, 0);
        let early = read(&mut reader, seen);
        drop(writing.join().unwrap());
        assert_eq!(read(&mut reader, early), 3);
        assert_eq!(reader.waiting(), 0);
        assert_eq!(drops.each(), [1; 3]);
    });
}

#[test]
fn what_waits_can_be_read() {
    loom::model(|| {
        let drops = Drops::new(2);
        let (mut writer, mut reader) = chunk::chunk(2);
        let entries: Vec<_> = (0..2).map(|number| drops.entry(number)).collect();
        let writing = thread::spawn(move || {
            for entry in entries {
                assert!(writer.put(entry));
            }
        });
        for _ in 0..reader.waiting() {
            assert!(reader.take().is_some());
        }
        writing.join().unwrap();
    });
}

/// Whichever end goes last frees the chunk and what nobody read.
#[test]
fn unread_entries_are_dropped_once_whoever_goes_last() {
    loom::model(|| {
        let drops = Drops::new(3);
        let (mut writer, mut reader) = chunk::chunk(4);
        let entries: Vec<_> = (0..3).map(|number| drops.entry(number)).collect();
        let writing = thread::spawn(move || {
            for entry in entries {
                assert!(writer.put(entry));
            }
        });
        drop(reader.take());
        drop(reader);
        writing.join().unwrap();
        assert_eq!(drops.each(), [1; 3]);
    });
}

/// As in the exchange: the writer seals its full chunk, the collector empties it and gives it back, and another
/// thread writes to it again.
#[test]
fn chunk_that_was_emptied_is_used_again_by_another_thread() {
    loom::model(|| {
        let drops = Drops::new(4);
        let (mut writer, mut reader) = chunk::chunk(2);
        let sealed: Arc<Mutex<Option<Writer<Option<Counted>>>>> = Arc::default();
        let (first, second) = ([drops.entry(0), drops.entry(1)], [drops.entry(2), drops.entry(3)]);
        let sealing = {
            let sealed = Arc::clone(&sealed);
            thread::spawn(move || {
                for entry in first {
                    assert!(writer.put(entry));
                }
                *sealed.lock().unwrap() = Some(writer);
            })
        };
        let mut next = read(&mut reader, 0);
        let taken = sealed.lock().unwrap().take();
        let writer = match taken {
            Some(writer) => writer,
            None => {
                sealing.join().unwrap();
                sealed.lock().unwrap().take().unwrap()
            }
        };
        next = read(&mut reader, next);
        assert_eq!(next, 2);
        let (mut writer, mut reader) = chunk::reuse(writer, reader).unwrap();
        let writing = thread::spawn(move || {
            for entry in second {
                assert!(writer.put(entry));
            }
            assert!(!writer.push(&mut None, None));
        });
        next = read(&mut reader, next);
        writing.join().unwrap();
        assert_eq!(read(&mut reader, next), 4);
        assert_eq!(drops.each(), [1; 4]);
    });
}
