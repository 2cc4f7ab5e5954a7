//! Every error text that a client of codis-proxy can see. Lines have no `-` and no line end. Applications match on `backend conn`,
//! `is not allowed`, `NOAUTH` and `slot is not ready`.

use crate::gonumber;

pub const CLIENTS_MAX: &str = "ERR max number of clients reached";
pub const NOT_ONLINE: &str = "ERR router is not online";
pub const NO_AUTH: &str = "NOAUTH Authentication required";
pub const NO_PASSWORD: &str = "ERR Client sent AUTH, but no password is set";
pub const WRONG_PASSWORD: &str = "ERR invalid password";
pub const DB_INDEX: &str = "ERR invalid DB index";
pub const BAD_COMMAND_LENGTH: &str =
    "ERR handle request, bad command length, too short or too long";
pub const SLOT_NOT_READY: &str = "ERR handle request, slot is not ready, may be offline";
pub const REQUEST_BROKEN: &str = "ERR handle request, request is broken";
pub const REQUEST_CONN_RESET: &str = "ERR handle request, backend conn reset";
pub const RESPONSE_CONN_RESET: &str = "ERR handle response, backend conn reset";
pub const RESPONSE_REQUIRED: &str = "ERR handle response, resp is required";

/// The longest name of a command, bytes.
pub const COMMAND_BYTES_MAX: usize = 64;

// What the admin API says, as the `Cause` of a failure.
pub const CLOSED_PROXY: &str = "use of closed proxy";
pub const CLOSED_ROUTER: &str = "use of closed router";
pub const INVALID_SLOT: &str = "use of invalid slot id";
pub const INVALID_METHOD: &str = "use of invalid forwarder method";
pub const MISSING_LOG_LEVEL: &str = "missing loglevel";
pub const INVALID_LOG_LEVEL: &str = "invalid loglevel";

/// The name is told as `name` says: codis-proxy has it in upper case.
pub fn arity(name: &str) -> String {
    format!("ERR wrong number of arguments for '{name}' command")
}

/// `SELECT` of a database that is not there.
pub fn db_range(databases: i64) -> String {
    format!("ERR invalid DB index, only accept DB [0,{databases})")
}

/// `PING`, `INFO` or `SLOTSINFO` of an address that serves nothing.
pub fn backend_not_found(addr: &str) -> String {
    format!("ERR backend server '{addr}' not found")
}

/// Reads the number of a slot in SLOTSSCAN and SLOTSMAPPING; the error is the line.
pub fn slot_number(text: &str, slots: i64) -> Result<u32, String> {
    let refused = |why: &str| format!("ERR parse slotnum '{text}' failed, {why}");
    let number = gonumber::parse("ParseInt", text).map_err(|why| refused(&why))?;
    if (0..slots).contains(&number) { Ok(number as u32) } else { Err(refused("out of range")) }
}

/// The command is not allowed.
pub fn not_allowed(name: &str) -> String {
    format!("ERR handle request, command '{}' is not allowed", name.to_ascii_uppercase())
}

/// What could not be sent; `why` is one of the texts behind `ERR handle request, `.
pub fn request(why: &str) -> String {
    format!("ERR handle request, {why}")
}

/// What was sent, and the reply did not come; `why` is the network's error.
pub fn response_conn_failure(why: &str) -> String {
    format!("ERR handle response, backend conn failure, {why}")
}

/// The type of a reply, in the words of these texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyType {
    Simple,
    Error,
    Int,
    Bulk,
    Array,
}

impl ReplyType {
    /// The word, with its brackets.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Simple => "<string>",
            Self::Error => "<error>",
            Self::Int => "<int>",
            Self::Bulk => "<bulkbytes>",
            Self::Array => "<array>",
        }
    }
}

/// Which of the two words that move a key the reply answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mover {
    /// `SLOTSMGRTTAGONE`.
    TagOne,
    /// `SLOTSMGRT-EXEC-WRAPPER`.
    Wrapper,
}

impl Mover {
    const fn word(self) -> &'static str {
        match self {
            Self::TagOne => "slotsmgrt",
            Self::Wrapper => "slotsmgrt-exec-wrapper",
        }
    }

    /// The node answered with an error.
    pub fn said_error(self, text: &str) -> String {
        request(&format!("bad {} resp: {text}", self.word()))
    }

    /// The node answered with another type.
    pub fn wrong_type(self, got: ReplyType) -> String {
        request(&format!("bad {} resp: should be integer, but got {}", self.word(), got.word()))
    }
}

/// A wrapper's array of another length than 2.
pub fn wrapper_length(len: usize) -> String {
    request(&format!("bad slotsmgrt-exec-wrapper resp: array.len = {len}"))
}

/// A wrapper's first element that is no integer of one character: in practice -1.
pub fn wrapper_first(got: ReplyType, len: usize) -> String {
    request(&format!(
        "bad slotsmgrt-exec-wrapper resp: type(array[0]) = {}, len(array[0].value) = {len}",
        got.word()
    ))
}

/// A wrapper's first element that is another number than 0, 1 and 2.
pub fn wrapper_unknown(first: u8, second: &str) -> String {
    request(&format!("bad slotsmgrt-exec-wrapper resp: [{first}] {second}"))
}

/// A part of MGET, MSET, DEL or EXISTS with an unexpected reply: `len` is the array's of MGET, the value's of the others.
pub fn bad_part(name: &str, got: ReplyType, len: usize) -> String {
    let what = if name.eq_ignore_ascii_case("mget") { "array.len" } else { "value.len" };
    format!(
        "ERR handle response, bad {} resp: {} {what} = {len}",
        name.to_ascii_lowercase(),
        got.word()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_codis_proxy() {
        for (text, want) in [
            (arity("MGET"), "ERR wrong number of arguments for 'MGET' command"),
            (arity("CODIS.INFO"), "ERR wrong number of arguments for 'CODIS.INFO' command"),
            (db_range(16), "ERR invalid DB index, only accept DB [0,16)"),
            (backend_not_found("hello"), "ERR backend server 'hello' not found"),
            (not_allowed("KeYs"), "ERR handle request, command 'KEYS' is not allowed"),
            (
                slot_number("1024", 1024).unwrap_err(),
                "ERR parse slotnum '1024' failed, out of range",
            ),
            (slot_number("-1", 1024).unwrap_err(), "ERR parse slotnum '-1' failed, out of range"),
            (
                slot_number("x", 1024).unwrap_err(),
                r#"ERR parse slotnum 'x' failed, strconv.ParseInt: parsing "x": invalid syntax"#,
            ),
            (Mover::TagOne.said_error("ERR x"), "ERR handle request, bad slotsmgrt resp: ERR x"),
            (
                Mover::TagOne.wrong_type(ReplyType::Bulk),
                "ERR handle request, bad slotsmgrt resp: should be integer, but got <bulkbytes>",
            ),
            (
                Mover::Wrapper.wrong_type(ReplyType::Simple),
                "ERR handle request, bad slotsmgrt-exec-wrapper resp: should be integer, but got <string>",
            ),
            (
                wrapper_first(ReplyType::Int, 2),
                "ERR handle request, bad slotsmgrt-exec-wrapper resp: type(array[0]) = <int>, len(array[0].value) = 2",
            ),
            (
                wrapper_length(3),
                "ERR handle request, bad slotsmgrt-exec-wrapper resp: array.len = 3",
            ),
            (wrapper_unknown(7, "x"), "ERR handle request, bad slotsmgrt-exec-wrapper resp: [7] x"),
            (
                bad_part("MGET", ReplyType::Error, 0),
                "ERR handle response, bad mget resp: <error> array.len = 0",
            ),
            (
                bad_part("MSET", ReplyType::Error, 5),
                "ERR handle response, bad mset resp: <error> value.len = 5",
            ),
            (
                response_conn_failure("i/o timeout"),
                "ERR handle response, backend conn failure, i/o timeout",
            ),
        ] {
            assert_eq!(text, want);
        }
        assert_eq!(slot_number("579", 1024), Ok(579));
    }
}
