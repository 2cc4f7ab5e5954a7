//! Numbers read as Go's `strconv` reads them, with its error texts: clients and scripts see them.

/// Reads a decimal number; the error is Go's, of the function `name`: `ParseInt`, `Atoi`.
pub fn parse(name: &str, text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("strconv.{name}: parsing {text:?}: invalid syntax"));
    }
    text.parse().map_err(|_| format!("strconv.{name}: parsing {text:?}: value out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_worded_as_in_go() {
        assert_eq!(parse("ParseInt", "-12"), Ok(-12));
        assert_eq!(parse("ParseInt", "+7"), Ok(7));
        assert_eq!(
            parse("ParseInt", "x").unwrap_err(),
            r#"strconv.ParseInt: parsing "x": invalid syntax"#
        );
        assert_eq!(parse("Atoi", "").unwrap_err(), r#"strconv.Atoi: parsing "": invalid syntax"#);
        assert_eq!(
            parse("Atoi", "9223372036854775808").unwrap_err(),
            r#"strconv.Atoi: parsing "9223372036854775808": value out of range"#
        );
    }
}
