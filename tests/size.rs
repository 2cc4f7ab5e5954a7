//! How big the tests are: `SLIPWAY_SIZE` small (what CI has time for) or full (what the acceptance asks for).

/// The small or the full figure.
pub(crate) fn size<T>(small: T, full: T) -> T {
    if std::env::var("SLIPWAY_SIZE").is_ok_and(|size| size == "full") { full } else { small }
}
