//! Where a request or a reply ends, and where a request's arguments are, without copying. Hot path.
//!
//! One pass: each byte is looked at once, however many reads a frame arrives in, because the progress is kept between calls. What is inside
//! an argument or a reply is not judged. Stricter than Redis in one point: the byte behind CR must be LF and an argument must end with
//! CR LF (Redis skips two bytes unseen), because frames go unchanged onto connections that many clients share.

mod inline;
mod length;
mod reply;
mod request;

pub use reply::{REPLY_DEPTH_MAX, REPLY_LINE_BYTES_MAX, ReplyScan};
pub use request::{Args, Limits, Sliced, slice_request};
