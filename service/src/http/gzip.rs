//! Answers in fewer bytes, for whoever takes gzip (RFC 9110, 8.4.1.3 and 12.5.3).

use super::{Request, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{self, HeaderValue};
use std::io::Write;

/// Bytes of a body from which on it is worth the time.
const BODY_BYTES_MIN: usize = 1024;

/// Whether the client takes gzip.
pub(super) fn is_taken(request: &Request) -> bool {
    let taken = request.header(header::ACCEPT_ENCODING.as_str()).unwrap_or_default();
    taken.split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let is_never = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        matches!(name.trim(), "gzip" | "x-gzip" | "*") && !is_never
    })
}

/// The same answer, its body compressed if that is worth it.
pub(super) fn compressed(mut response: Response) -> Response {
    if response.body.len() < BODY_BYTES_MIN {
        return response;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Into memory; what goes wrong there leaves the answer as it is.
    let Ok(body) = encoder.write_all(&response.body).and_then(|()| encoder.finish()) else {
        return response;
    };
    response.body = body.into();
    response
        .with_header(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))
        .with_header(header::VARY, HeaderValue::from_static("Accept-Encoding"))
}
