//! Each limit bites at its figure and not below.

use crate::requests::encoded;
use protocol::ProtocolError;
use protocol::slicer::{Args, Limits, Sliced, slice_request};

fn sliced(input: &[u8], limits: &Limits) -> Result<Sliced, ProtocolError> {
    slice_request(input, limits, &mut Args::new())
}

#[test]
fn a_frame_up_to_its_limit_is_taken_and_a_longer_one_refused_at_its_header() {
    let frame = encoded(&[b"SET".to_vec(), b"k".to_vec(), vec![b'v'; 100]]);
    let limits = Limits { frame_bytes_max: frame.len(), ..Limits::default() };
    assert_eq!(sliced(&frame, &limits), Ok(Sliced::Request { len: frame.len() }));
    let limits = Limits { frame_bytes_max: frame.len() - 1, ..Limits::default() };
    let error = sliced(&frame[..frame.len() - 102], &limits).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("Protocol error: request is larger than {} bytes", frame.len() - 1)
    );
}

/// Offsets are 32 bits wide.
#[test]
fn a_frame_of_four_gibibytes_is_refused_whatever_the_limit_says() {
    let limits =
        Limits { frame_bytes_max: usize::MAX, bulk_bytes_max: usize::MAX, ..Limits::default() };
    assert_eq!(
        sliced(b"*1\r\n$4294967296\r\n", &limits),
        Err(ProtocolError::FrameTooLong(u32::MAX as usize))
    );
    assert_eq!(
        sliced(b"*1\r\n$9223372036854775807\r\n", &limits),
        Err(ProtocolError::FrameTooLong(u32::MAX as usize))
    );
}

#[test]
fn an_argument_up_to_its_limit_is_taken_and_a_longer_one_refused_at_its_header() {
    let limits = Limits { bulk_bytes_max: 10, ..Limits::default() };
    assert_eq!(sliced(b"*1\r\n$10\r\n0123456789\r\n", &limits), Ok(Sliced::Request { len: 21 }));
    assert_eq!(sliced(b"*1\r\n$11\r\n", &limits), Err(ProtocolError::BulkLength));
    assert_eq!(
        sliced(b"*1\r\n$1073741824\r\n", &Limits::default()),
        Err(ProtocolError::BulkLength)
    );
}

#[test]
fn arguments_up_to_their_limit_are_taken_and_more_refused_at_the_header() {
    let limits = Limits { args_max: 2, ..Limits::default() };
    assert_eq!(sliced(b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", &limits), Ok(Sliced::Request { len: 18 }));
    assert_eq!(sliced(b"*3\r\n", &limits), Err(ProtocolError::MultibulkLength));
    assert_eq!(sliced(b"*1048577\r\n", &Limits::default()), Err(ProtocolError::MultibulkLength));
}

#[test]
fn an_inline_request_up_to_its_limit_is_taken_and_a_longer_one_refused() {
    let limits = Limits { inline_bytes_max: 6, ..Limits::default() };
    assert!(matches!(sliced(b"ECHO a\n", &limits), Ok(Sliced::Inline { len: 7, .. })));
    assert_eq!(sliced(b"ECHO ab\n", &limits), Err(ProtocolError::InlineTooLong));
    assert_eq!(sliced(b"ECHO ab", &limits), Err(ProtocolError::InlineTooLong));
}

#[test]
fn a_length_without_end_is_refused_at_the_limit_of_a_line() {
    let limits = Limits { inline_bytes_max: 30, ..Limits::default() };
    assert_eq!(
        sliced(&[b"*".as_slice(), &[b'1'; 30]].concat(), &limits),
        Err(ProtocolError::MultibulkCountTooLong)
    );
    assert_eq!(
        sliced(&[b"*1\r\n$".as_slice(), &[b'1'; 30]].concat(), &limits),
        Err(ProtocolError::BulkCountTooLong)
    );
    assert_eq!(
        sliced(&[b"*".as_slice(), &[b'1'; 29]].concat(), &limits),
        Ok(Sliced::Incomplete { at_least: 1 })
    );
    // Also when the end came in the same read.
    let whole = [b"*".as_slice(), &[b'1'; 30], b"\r\n"].concat();
    assert_eq!(sliced(&whole, &limits), Err(ProtocolError::MultibulkCountTooLong));
}

/// A TLS hello, an HTTP/2 preface: Redis waits for ever.
#[test]
fn a_zero_byte_in_a_line_is_refused_at_once() {
    assert_eq!(
        sliced(b"\x16\x03\x01\x02\x00\x01", &Limits::default()),
        Err(ProtocolError::ZeroByte)
    );
    assert_eq!(sliced(b"PING a\0b\r\n", &Limits::default()), Err(ProtocolError::ZeroByte));
}
