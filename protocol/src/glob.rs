//! Patterns as KEYS and SCAN MATCH know them: `*`, `?`, `[a-z]`, `[^a]`, `\` before any of them.
//!
//! The rules are those of Redis' `stringmatchlen` (src/util.c), its leniency with an unclosed `[` included. Time is bounded by pattern length
//! times text length: a failed `*` is retried only from the last one, as with one star nothing is gained by going back further.

/// Whether the whole text fits the pattern.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Behind the last star, and where the text stood then.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p + 1, t));
            p += 1;
            continue;
        }
        let fits = if t < text.len() { one(pattern, p, text[t]) } else { None };
        if p >= pattern.len() && t >= text.len() {
            return true;
        }
        if let Some(next) = fits {
            p = next;
            t += 1;
            continue;
        }
        match star {
            Some((behind, from)) if from < text.len() => {
                star = Some((behind, from + 1));
                p = behind;
                t = from + 1;
            }
            _ => return false,
        }
    }
}

/// Whether one byte fits the pattern at `p`; returns where the pattern goes on.
fn one(pattern: &[u8], p: usize, byte: u8) -> Option<usize> {
    match *pattern.get(p)? {
        b'?' => Some(p + 1),
        b'[' => class(pattern, p + 1, byte),
        b'\\' if p + 1 < pattern.len() => (pattern[p + 1] == byte).then_some(p + 2),
        literal => (literal == byte).then_some(p + 1),
    }
}

/// A class from behind its `[`.
fn class(pattern: &[u8], mut p: usize, byte: u8) -> Option<usize> {
    let not = pattern.get(p) == Some(&b'^');
    p += usize::from(not);
    let mut found = false;
    loop {
        match pattern.get(p) {
            // Never closed: the class ends with the pattern.
            None => break,
            Some(b']') => {
                p += 1;
                break;
            }
            Some(b'\\') if p + 1 < pattern.len() => {
                found |= pattern[p + 1] == byte;
                p += 2;
            }
            Some(&low) if pattern.get(p + 1) == Some(&b'-') && p + 2 < pattern.len() => {
                let high = pattern[p + 2];
                found |= (low.min(high)..=low.max(high)).contains(&byte);
                p += 3;
            }
            Some(&literal) => {
                found |= literal == byte;
                p += 1;
            }
        }
    }
    (found != not).then_some(p)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_of_redis_tests() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("*", "anything", true),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h[ae]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hallo", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("[", "[", false),
            ("[abc", "b", true),
            ("a\\", "a\\", true),
            ("", "", true),
            ("", "a", false),
            ("a**b", "ab", true),
            ("*a", "aaab", false),
            ("[]]", "]", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn a_hostile_pattern_costs_no_more_than_its_length_times_the_texts() {
        let pattern = "a*".repeat(2000);
        let text = "a".repeat(20_000) + "b";
        assert!(matches(pattern.as_bytes(), text.as_bytes()));
        assert!(!matches((pattern + "c").as_bytes(), text.as_bytes()));
    }
}
