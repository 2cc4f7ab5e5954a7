//! Slices requests: RESP arrays of bulk strings, and inline requests. Hot path.

use super::inline;
use super::length::plain_length;
use crate::ProtocolError;
use crate::number::parse_int;
use memchr::memchr;
use smallvec::SmallVec;
use std::ops::Range;

/// What a request may measure. Redis' figures by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A whole request; at most 4 GiB − 1.
    pub frame_bytes_max: usize,
    /// One argument.
    pub bulk_bytes_max: usize,
    /// Arguments of one request.
    pub args_max: usize,
    /// An inline request, and the line that holds a length.
    pub inline_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes_max: 1 << 30,
            bulk_bytes_max: 512 << 20,
            args_max: 1 << 20,
            inline_bytes_max: 64 << 10,
        }
    }
}

impl Limits {
    /// Refuses an argument of `len` bytes that begins at `start` of its frame.
    fn check(&self, len: usize, start: usize) -> Result<(), ProtocolError> {
        let frame_bytes_max = self.frame_bytes_max.min(u32::MAX as usize);
        if len > self.bulk_bytes_max {
            Err(ProtocolError::BulkLength)
        } else if start + len + 2 > frame_bytes_max {
            Err(ProtocolError::FrameTooLong(frame_bytes_max))
        } else {
            Ok(())
        }
    }
}

/// What stands at the beginning of the input.
#[derive(Debug, PartialEq, Eq)]
pub enum Sliced {
    /// Not yet a whole request; at least so many more bytes are missing.
    Incomplete { at_least: usize },
    /// A RESP array of bulk strings: the first `len` bytes.
    Request { len: usize },
    /// An inline request of `len` bytes. `frame` says the same as a RESP array; the arguments refer to it.
    Inline { len: usize, frame: Vec<u8> },
    /// `len` bytes that ask for nothing: an empty line, `*0`, `*-1`.
    Nothing { len: usize },
}

/// Where the arguments of one request are, relative to its first byte; and how far slicing has come, while the request is incomplete.
#[derive(Debug, Default)]
pub struct Args {
    spans: SmallVec<[Span; 8]>,
    progress: Progress,
}

/// Start and length. `u32` keeps eight of them in one cache line; `Limits::frame_bytes_max` is cut to fit.
type Span = (u32, u32);

#[derive(Debug, Default)]
struct Progress {
    stage: Stage,
    /// The first byte not yet understood.
    at: usize,
    /// The first byte in which no line end has been looked for.
    searched: usize,
}

#[derive(Clone, Copy, Debug, Default)]
enum Stage {
    /// At the first byte of a request.
    #[default]
    Start,
    /// At the `$` of the next of `left` arguments.
    Length { left: usize },
    /// At the first of `len` bytes of the next of `left` arguments.
    Body { left: usize, len: usize },
    /// The request is whole; the next call begins a new one.
    Whole,
}

/// Spans kept for the next request; more are given back, since idle connections are many.
const SPANS_KEPT_MAX: usize = 128;

impl Args {
    /// No arguments, no progress.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many arguments there are, the command's name included.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Where argument `index` is in the frame.
    pub fn range(&self, index: usize) -> Option<Range<usize>> {
        self.spans.get(index).copied().map(range)
    }

    /// Argument `index` of `frame`.
    pub fn get<'a>(&self, frame: &'a [u8], index: usize) -> Option<&'a [u8]> {
        frame.get(self.range(index)?)
    }

    /// All arguments of `frame`.
    pub fn iter<'a>(
        &self,
        frame: &'a [u8],
    ) -> impl ExactSizeIterator<Item = &'a [u8]> + DoubleEndedIterator {
        self.spans.iter().map(move |&span| frame.get(range(span)).unwrap_or_default())
    }

    /// The arguments from `first` on, of the same frame: a request within a request.
    pub fn behind(&self, first: usize) -> Self {
        let spans = self.spans.get(first..).unwrap_or_default();
        Self { spans: SmallVec::from_slice(spans), progress: Progress::default() }
    }

    /// Forgets arguments and progress. A call that follows a whole request does it by itself.
    pub fn clear(&mut self) {
        self.progress = Progress::default();
        if self.spans.capacity() > SPANS_KEPT_MAX {
            self.spans = SmallVec::new();
        } else {
            self.spans.clear();
        }
    }

    /// Keeps the progress until more bytes are there.
    fn wait(&mut self, stage: Stage, at: usize, at_least: usize) -> Sliced {
        self.progress.stage = stage;
        self.progress.at = at;
        Sliced::Incomplete { at_least }
    }

    fn push(&mut self, start: usize, len: usize) {
        self.spans.push((start as u32, len as u32));
    }
}

fn range((start, len): Span) -> Range<usize> {
    start as usize..start as usize + len as usize
}

/// Finds the request at the beginning of `input` and its arguments.
///
/// While the answer is `Incomplete`, call again with the same `args` and the same bytes followed by more. Behind an error no frame border is
/// known: the connection must be closed.
pub fn slice_request(
    input: &[u8],
    limits: &Limits,
    args: &mut Args,
) -> Result<Sliced, ProtocolError> {
    if matches!(args.progress.stage, Stage::Whole) {
        args.clear();
    }
    let sliced = advance(input, limits, args);
    if !matches!(sliced, Ok(Sliced::Incomplete { .. })) {
        args.progress.stage = Stage::Whole;
    }
    sliced
}

fn advance(input: &[u8], limits: &Limits, args: &mut Args) -> Result<Sliced, ProtocolError> {
    let mut at = args.progress.at;
    let (mut left, mut body) = match args.progress.stage {
        Stage::Length { left } => (left, None),
        Stage::Body { left, len } => (left, Some(len)),
        Stage::Start | Stage::Whole => match begin(input, limits, args)? {
            Begun::Arguments { left, behind } => {
                at = behind;
                (left, None)
            }
            Begun::Done(sliced) => return Ok(sliced),
        },
    };
    loop {
        let len = if let Some(len) = body.take() {
            len
        } else {
            let plain = match plain_length::<b'$'>(input, at) {
                None => bulk_length(input, at, limits, &mut args.progress)?,
                plain => plain,
            };
            let Some((len, behind)) = plain else {
                let at_least = if at < input.len() { 1 } else { left * ARGUMENT_BYTES_MIN };
                return Ok(args.wait(Stage::Length { left }, at, at_least));
            };
            limits.check(len, behind)?;
            at = behind;
            len
        };
        let end = at + len;
        match input.get(end..).and_then(<[u8]>::first_chunk) {
            Some(b"\r\n") => {}
            Some(_) => return Err(ProtocolError::ExpectedLineEnd),
            None => {
                let at_least = end + 2 - input.len() + (left - 1) * ARGUMENT_BYTES_MIN;
                return Ok(args.wait(Stage::Body { left, len }, at, at_least));
            }
        }
        args.push(at, len);
        at = end + 2;
        left -= 1;
        if left == 0 {
            return Ok(Sliced::Request { len: at });
        }
    }
}

/// `$0` and two line ends.
const ARGUMENT_BYTES_MIN: usize = 6;

/// What the first line of a request says.
enum Begun {
    Arguments { left: usize, behind: usize },
    Done(Sliced),
}

fn begin(input: &[u8], limits: &Limits, args: &mut Args) -> Result<Begun, ProtocolError> {
    let (count, behind) = match plain_length::<b'*'>(input, 0) {
        Some((count, behind)) => (count as i64, behind),
        None => match input.first() {
            None => return Ok(Begun::Done(Sliced::Incomplete { at_least: 1 })),
            Some(b'*') => match odd_length(input, 0, limits, &mut args.progress) {
                Odd::Number(count, behind) => (count, behind),
                Odd::NotYet => return Ok(Begun::Done(Sliced::Incomplete { at_least: 1 })),
                Odd::Invalid => return Err(ProtocolError::MultibulkLength),
                Odd::TooLong => return Err(ProtocolError::MultibulkCountTooLong),
                Odd::NoLineEnd => return Err(ProtocolError::ExpectedLineEnd),
            },
            Some(_) => return inline_request(input, limits, args).map(Begun::Done),
        },
    };
    if count <= 0 {
        return Ok(Begun::Done(Sliced::Nothing { len: behind }));
    }
    match usize::try_from(count) {
        Ok(left) if left <= limits.args_max => Ok(Begun::Arguments { left, behind }),
        _ => Err(ProtocolError::MultibulkLength),
    }
}

/// Reads the length of an argument, whatever it looks like, and where its bytes begin; nothing if the line is not whole.
fn bulk_length(
    input: &[u8],
    at: usize,
    limits: &Limits,
    progress: &mut Progress,
) -> Result<Option<(usize, usize)>, ProtocolError> {
    match input.get(at) {
        None => return Ok(None),
        Some(b'$') => {}
        Some(&other) => return Err(ProtocolError::ExpectedBulk(other)),
    }
    match odd_length(input, at, limits, progress) {
        Odd::Number(len, behind) => match usize::try_from(len) {
            Ok(len) => Ok(Some((len, behind))),
            Err(_) => Err(ProtocolError::BulkLength),
        },
        Odd::NotYet => Ok(None),
        Odd::Invalid => Err(ProtocolError::BulkLength),
        Odd::TooLong => Err(ProtocolError::BulkCountTooLong),
        Odd::NoLineEnd => Err(ProtocolError::ExpectedLineEnd),
    }
}

/// What stands between a type byte and the line's end.
enum Odd {
    /// The number, and where the line behind it begins.
    Number(i64, usize),
    NotYet,
    Invalid,
    TooLong,
    NoLineEnd,
}

/// Reads any length line: incomplete, long, negative, or none at all.
fn odd_length(input: &[u8], at: usize, limits: &Limits, progress: &mut Progress) -> Odd {
    let from = progress.searched.max(at + 1);
    let Some(found) = input.get(from..).and_then(|rest| memchr(b'\r', rest)) else {
        progress.searched = input.len();
        return if input.len() - at > limits.inline_bytes_max { Odd::TooLong } else { Odd::NotYet };
    };
    let end = from + found;
    progress.searched = end;
    match input.get(end + 1) {
        _ if end - at > limits.inline_bytes_max => Odd::TooLong,
        None => Odd::NotYet,
        Some(b'\n') => parse_int(&input[at + 1..end])
            .map_or(Odd::Invalid, |number| Odd::Number(number, end + 2)),
        Some(_) => Odd::NoLineEnd,
    }
}

/// A line of words: what a person types into telnet.
#[cold]
fn inline_request(input: &[u8], limits: &Limits, args: &mut Args) -> Result<Sliced, ProtocolError> {
    let from = args.progress.searched;
    let fresh = input.get(from..).unwrap_or_default();
    let end = memchr(b'\n', fresh).map(|found| from + found);
    if memchr(0, &input[from..end.unwrap_or(input.len())]).is_some() {
        return Err(ProtocolError::ZeroByte);
    }
    if end.unwrap_or(input.len()) > limits.inline_bytes_max {
        return Err(ProtocolError::InlineTooLong);
    }
    let Some(end) = end else {
        args.progress.searched = input.len();
        return Ok(Sliced::Incomplete { at_least: 1 });
    };
    let len = end + 1;
    let line = input[..end].strip_suffix(b"\r").unwrap_or(&input[..end]);
    let words = inline::split(line).ok_or(ProtocolError::UnbalancedQuotes)?;
    let Some(name) = words.first() else {
        return Ok(Sliced::Nothing { len });
    };
    // As in Redis: a page cannot make its visitor's browser send us requests in the body of a form.
    if name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:") {
        return Err(ProtocolError::Http);
    }
    let mut frame = Vec::new();
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    crate::request::encode_request(&mut frame, &words);
    let mut of_frame = Args::new();
    advance(&frame, &Limits::default(), &mut of_frame)?;
    args.spans = of_frame.spans;
    Ok(Sliced::Inline { len, frame })
}
