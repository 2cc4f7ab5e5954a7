//! Numbers as both servers read them.

/// A decimal integer.
pub(crate) fn int(text: &[u8]) -> Option<i64> {
    protocol::number::parse_int(text)
}

/// A double, infinities included.
pub(crate) fn double(text: &[u8]) -> Option<f64> {
    protocol::number::parse_double(text)
}
