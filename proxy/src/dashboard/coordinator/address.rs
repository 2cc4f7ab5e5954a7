//! Addresses as settings of Codis give them, and HTTP's small encodings.

use std::fmt::Write;

/// `http://HOST:PORT/PATH`, in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// `HOST:PORT`.
    pub(crate) address: String,
    /// Begins with a slash.
    pub(crate) path: String,
}

impl Url {
    /// Reads an address with or without `http://`; port 80 where none is given.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.starts_with("https://") {
            return Err(format!("{text}: only http:// is spoken here, not https://"));
        }
        let rest = text.strip_prefix("http://").unwrap_or(text);
        let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '@') {
            return Err(format!("{text:?} must be http://HOST:PORT/PATH"));
        }
        Ok(Self { address: with_port(host, 80), path: path.to_owned() })
    }
}

/// `HOST:PORT`, with a port for those who named none.
pub(super) fn with_port(host: &str, port: u16) -> String {
    // The last colon of an IPv6 address in brackets is inside them.
    let named = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    if named { host.to_owned() } else { format!("{host}:{port}") }
}

/// The value of an `Authorization` header for `user:password`.
pub(crate) fn basic(auth: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = "Basic ".to_owned();
    for chunk in auth.as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = (bits >> (18 - 6 * place)) as usize & 63;
            text.push(if place <= chunk.len() { char::from(DIGITS[digit]) } else { '=' });
        }
    }
    text
}

/// What stands for `bytes` in a path, a query or a form; slashes stay.
pub(crate) fn percent(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                text.push(char::from(*byte));
            }
            other => _ = write!(text, "%{other:02X}"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_with_and_without_what_may_be_left_out() {
        let url = |text: &str| Url::parse(text).map(|url| (url.address, url.path));
        let is = |address: &str, path: &str| Ok((address.to_owned(), path.to_owned()));
        assert_eq!(url("http://h:1/a/b?c=d"), is("h:1", "/a/b?c=d"));
        assert_eq!(url(" h:1 "), is("h:1", "/"));
        assert_eq!(url("http://h"), is("h:80", "/"));
        assert_eq!(url("[::1]"), is("[::1]:80", "/"));
        assert_eq!(url("[::1]:5/x"), is("[::1]:5", "/x"));
        for bad in ["", "http://", "https://h:1", "http:///x", "http://u:p@h", "a b"] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn secrets_are_written_as_rfc_7617_has_it() {
        assert_eq!(basic("Aladdin:open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(basic("a:b"), "Basic YTpi");
        assert_eq!(basic("a:bc"), "Basic YTpiYw==");
        assert_eq!(basic("a:bcd"), "Basic YTpiY2Q=");
        assert_eq!(basic("ü:ÿ?>"), "Basic w7w6w78/Pg==");
    }

    #[test]
    fn what_means_something_in_a_form_is_escaped() {
        assert_eq!(percent(b"/a-b_c.d~e/"), "/a-b_c.d~e/");
        assert_eq!(percent("{\"a\": ü&=+}".as_bytes()), "%7B%22a%22%3A%20%C3%BC%26%3D%2B%7D");
    }
}
