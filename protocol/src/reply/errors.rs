//! Every standard error line, as Redis 7.0 words it. A line begins with its code and has no `-`.

pub const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
pub const SYNTAX: &str = "ERR syntax error";
pub const NOT_INTEGER: &str = "ERR value is not an integer or out of range";
pub const NOT_FLOAT: &str = "ERR value is not a valid float";
pub const OVERFLOW: &str = "ERR increment or decrement would overflow";
pub const NAN: &str = "ERR increment would produce NaN or Infinity";
pub const NO_KEY: &str = "ERR no such key";
pub const INDEX: &str = "ERR index out of range";
pub const OUT_OF_RANGE: &str = "ERR value is out of range";
pub const POSITIVE: &str = "ERR value is out of range, must be positive";
pub const CURSOR: &str = "ERR invalid cursor";
pub const DB_INDEX: &str = "ERR DB index is out of range";
pub const NO_AUTH: &str = "NOAUTH Authentication required.";
pub const WRONG_PASS: &str = "WRONGPASS invalid username-password pair or user is disabled.";
pub const NO_PASSWORD: &str = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?";
pub const NO_PROTO: &str = "NOPROTO unsupported protocol version";
pub const EXEC_ABORT: &str = "EXECABORT Transaction discarded because of previous errors.";
pub const CROSS_SLOT: &str = "CROSSSLOT Keys in request don't hash to the same slot";
pub const NESTED_MULTI: &str = "ERR MULTI calls can not be nested";
pub const EXEC_WITHOUT_MULTI: &str = "ERR EXEC without MULTI";
pub const DISCARD_WITHOUT_MULTI: &str = "ERR DISCARD without MULTI";
pub const WATCH_INSIDE_MULTI: &str = "ERR WATCH inside MULTI is not allowed";

/// The wrong number of arguments for this command; a subcommand is named `config|get`.
pub fn arity(name: &str) -> String {
    format!("ERR wrong number of arguments for '{name}' command")
}

/// `SET key value EX 0` and the like.
pub fn invalid_expire(name: &str) -> String {
    format!("ERR invalid expire time in '{name}' command")
}

/// EXEC is refused before it is looked at, and the transaction is over; `why` is the line that any other command gets.
pub fn exec_refused(why: &str) -> String {
    let why = why.strip_prefix("ERR ").unwrap_or(why);
    format!("EXECABORT Transaction discarded because of: {why}")
}

/// An integer outside of what a command takes.
pub fn out_of_range(least: i64, most: i64) -> String {
    format!("ERR value is out of range, value must between {least} and {most}")
}

/// The command is in the table and refused; `why` is its route's.
pub fn refused(name: &str, why: &str) -> String {
    format!("ERR command '{name}' is not served: {why}")
}

/// No command of this name. `args` are the arguments behind it; the first 128 bytes of them are shown.
pub fn unknown_command<'a>(name: &[u8], args: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut shown = Vec::new();
    for arg in args {
        if shown.len() >= NAME_BYTES_SHOWN {
            break;
        }
        let room = NAME_BYTES_SHOWN - shown.len();
        shown.push(b'\'');
        shown.extend_from_slice(printable(arg, room));
        shown.extend_from_slice(b"' ");
    }
    let name = printable(name, NAME_BYTES_SHOWN);
    [b"ERR unknown command '".as_slice(), name, b"', with args beginning with: ", &shown].concat()
}

/// No subcommand of this name in the container.
pub fn unknown_subcommand(container: &str, name: &[u8]) -> Vec<u8> {
    let name = printable(name, NAME_BYTES_SHOWN);
    let container = container.to_ascii_uppercase();
    [b"ERR unknown subcommand '".as_slice(), name, b"'. Try ", container.as_bytes(), b" HELP."]
        .concat()
}

/// How much of what a client sent an error line repeats.
const NAME_BYTES_SHOWN: usize = 128;

/// The first bytes of a text, up to a zero byte, as C prints it.
fn printable(text: &[u8], bytes_max: usize) -> &[u8] {
    let text = &text[..text.len().min(bytes_max)];
    text.split(|&byte| byte == 0).next().unwrap_or_default()
}
