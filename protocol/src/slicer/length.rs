//! Lengths as nearly all of them are. Hot path.

/// Reads a length of one or two digits without sign or leading zero, as nearly all are, behind the type byte at `at`. A loop over the digits
/// costs several times as much.
#[expect(clippy::inline_always, reason = "called, it costs twice as much")]
#[inline(always)]
pub(super) fn plain_length<const KIND: u8>(input: &[u8], at: usize) -> Option<(usize, usize)> {
    // A whole request has at least five bytes here: its shortest argument is `$0` and two line ends.
    let &[kind, first, second, third, fourth] = input.get(at..)?.first_chunk()?;
    let first = usize::from(first.wrapping_sub(b'0'));
    if kind != KIND || first > 9 {
        return None;
    }
    if second == b'\r' {
        return (third == b'\n').then_some((first, at + 4));
    }
    let second = usize::from(second.wrapping_sub(b'0'));
    let plain = second <= 9 && first > 0 && third == b'\r' && fourth == b'\n';
    plain.then_some((first * 10 + second, at + 5))
}
