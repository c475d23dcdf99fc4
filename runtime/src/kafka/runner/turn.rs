//! Whose partition is handled, where only so many are at once.

use super::engine::Engine;
use super::generation::Generation;
use super::partition::YIELD_AFTER;

/// The turn of a partition among those that may be handled at once; kept as long as nobody waits for it.
pub(super) struct Turn<'e> {
    engine: &'e Engine,
    has: bool,
    /// What happened since it was taken.
    records: u32,
    began_ms: u64,
}

impl<'e> Turn<'e> {
    pub(super) fn new(engine: &'e Engine) -> Self {
        Turn { engine, has: false, records: 0, began_ms: 0 }
    }

    /// False if the generation ended first.
    pub(super) async fn take(&mut self, generation: &Generation) -> bool {
        if !self.has {
            self.has = self.engine.gate.take_unless(generation.over()).await;
            self.records = 0;
            self.began_ms = self.engine.now_ms();
        }
        self.has
    }

    /// After a record. Quick handlers keep the turn for some: passing it on costs more than they do.
    pub(super) fn let_others(&mut self) {
        self.records += 1;
        let was_long = self.records >= YIELD_AFTER || self.engine.now_ms() != self.began_ms;
        if was_long && self.engine.gate.is_awaited() {
            self.pass();
        }
    }

    pub(super) fn pass(&mut self) {
        if std::mem::take(&mut self.has) {
            self.engine.gate.give_back();
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.pass();
    }
}
