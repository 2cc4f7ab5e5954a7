//! Buffers that the sessions of a worker lend each other, so that an idle connection holds none. Hot path.

use std::cell::RefCell;

/// What a fresh buffer can hold.
pub(crate) const BYTES: usize = 16 << 10;

/// Larger buffers are given back to the allocator.
const BYTES_KEPT: usize = 256 << 10;

/// How many a worker keeps.
const KEPT: usize = 64;

thread_local! {
    static FREE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer.
pub(crate) fn take() -> Vec<u8> {
    FREE.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(BYTES))
}

/// Gives a buffer back.
pub(crate) fn give(mut buffer: Vec<u8>) {
    buffer.clear();
    if (BYTES..=BYTES_KEPT).contains(&buffer.capacity()) {
        FREE.with_borrow_mut(|free| {
            if free.len() < KEPT {
                free.push(buffer);
            }
        });
    }
}
