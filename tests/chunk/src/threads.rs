//! Real threads, for the sanitizers. Chunks are handed over through chunks: the standard library that comes with the
//! compiler is not instrumented, and ThreadSanitizer does not see what its locks and channels order.

use std::thread;

use crate::chunk::{self, Reader, Writer};
use crate::counted::{Counted, Drops};
use crate::ends::{Put, Take};

const PLACES: usize = 16;
const ROUNDS: usize = if cfg!(debug_assertions) { 200 } else { 2_000 };

fn take<T>(reader: &mut Reader<Option<T>>) -> T {
    loop {
        match reader.take() {
            Some(taken) => return taken,
            None => thread::yield_now(),
        }
    }
}

#[test]
fn reader_follows_a_writer_through_an_open_chunk() {
    let entries = ROUNDS * PLACES;
    let drops = Drops::new(entries);
    let (mut writer, mut reader) = chunk::chunk(entries);
    let written = drops.clone();
    let writing = thread::spawn(move || {
        for number in 0..entries {
            assert!(writer.put(written.entry(number)));
        }
        writer
    });
    for number in 0..entries / 2 {
        assert_eq!(take(&mut reader).number(), number);
    }
    // The rest is read by nobody.
    drop((writing.join().unwrap(), reader));
    assert_eq!(drops.each(), vec![1; entries]);
}

/// A recording thread, a collector, and two chunks that go round between them.
#[test]
fn chunks_go_round_between_a_recording_thread_and_a_collector() {
    let drops = Drops::new(ROUNDS * PLACES);
    let (mut sealed, mut to_drain) = chunk::chunk::<Option<Writer<Option<Counted>>>>(ROUNDS);
    let (mut opened, mut to_read) = chunk::chunk::<Option<Reader<Option<Counted>>>>(ROUNDS);
    let (mut given_back, mut pool) =
        chunk::chunk::<Option<(Writer<Option<Counted>>, Reader<Option<Counted>>)>>(ROUNDS + 2);
    for _ in 0..2 {
        assert!(given_back.put(chunk::chunk(PLACES)));
    }
    let written = drops.clone();
    let recording = thread::spawn(move || {
        for round in 0..ROUNDS {
            let (mut writer, reader) = take(&mut pool);
            assert!(opened.put(reader));
            for place in 0..PLACES {
                assert!(writer.put(written.entry(round * PLACES + place)));
            }
            assert!(!writer.push(&mut None, None));
            assert!(sealed.put(writer));
        }
        (opened, sealed, pool)
    });
    let mut next = 0;
    for _ in 0..ROUNDS {
        let mut reader = take(&mut to_read);
        let writer = loop {
            while let Some(entry) = reader.take() {
                assert_eq!(entry.number(), next);
                next += 1;
            }
            if let Some(writer) = to_drain.take() {
                break writer;
            }
            thread::yield_now();
        };
        while let Some(entry) = reader.take() {
            assert_eq!(entry.number(), next);
            next += 1;
        }
        let ends = chunk::reuse(writer, reader).expect("the chunk is read");
        assert!(given_back.put(ends));
    }
    drop(recording.join().unwrap());
    assert_eq!(next, ROUNDS * PLACES);
    assert_eq!(drops.each(), vec![1; ROUNDS * PLACES]);
}
