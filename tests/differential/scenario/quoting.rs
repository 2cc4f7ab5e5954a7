//! The words of a script's line.

/// The words of a line; those in double quotes with C's escapes.
pub(super) fn unquoted(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (word, after) = if let Some(quoted) = rest.strip_prefix('"') {
            unescaped(quoted)
        } else {
            let end = rest.find(' ').unwrap_or(rest.len());
            (rest.as_bytes()[..end].to_vec(), &rest[end..])
        };
        words.push(word);
        rest = after.trim_start();
    }
    words
}

/// What stands before the closing quote, and what behind it.
fn unescaped(text: &str) -> (Vec<u8>, &str) {
    let mut word = Vec::new();
    let mut at = 0;
    let bytes = text.as_bytes();
    while bytes[at] != b'"' {
        if bytes[at] != b'\\' {
            word.push(bytes[at]);
            at += 1;
            continue;
        }
        at += 2;
        word.push(match bytes[at - 1] {
            b'r' => b'\r',
            b'n' => b'\n',
            b'x' => {
                at += 2;
                u8::from_str_radix(&text[at - 2..at], 16).unwrap()
            }
            other => other,
        });
    }
    (word, &text[at + 1..])
}
