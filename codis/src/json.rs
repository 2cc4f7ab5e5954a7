//! JSON as Go writes it: four spaces, `<`, `>` and `&` escaped, whole floats without a fraction.
//!
//! Codis' readers decode it with any spacing; people compare it with what they are used to.

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, PrettyFormatter, Serializer};
use std::io::{self, Write};

/// The body of an answer, without a line end.
pub fn pretty<T: Serialize + ?Sized>(value: &T) -> String {
    let mut out = Vec::new();
    let format = GoFormat(PrettyFormatter::with_indent(b"    "));
    let written = value.serialize(&mut Serializer::with_formatter(&mut out, format));
    debug_assert!(written.is_ok(), "our values have text keys only");
    String::from_utf8(out).unwrap_or_default()
}

struct GoFormat(PrettyFormatter<'static>);

/// Forwards what is no different in Go.
macro_rules! as_pretty {
    ($($name:ident($($arg:ident: $kind:ty),*);)*) => {$(
        fn $name<W: ?Sized + Write>(&mut self, to: &mut W, $($arg: $kind),*) -> io::Result<()> {
            self.0.$name(to, $($arg),*)
        }
    )*};
}

impl Formatter for GoFormat {
    as_pretty! {
        begin_array();
        end_array();
        begin_array_value(first: bool);
        end_array_value();
        begin_object();
        end_object();
        begin_object_key(first: bool);
        begin_object_value();
        end_object_value();
    }

    fn write_f64<W: ?Sized + Write>(&mut self, to: &mut W, value: f64) -> io::Result<()> {
        let size = value.abs();
        if size != 0.0 && (size < 1e-6 || size >= 1e21) {
            let text = format!("{value:e}");
            let sign = if size >= 1e21 { "e+" } else { "e" };
            return to.write_all(text.replace('e', sign).as_bytes());
        }
        write!(to, "{value}")
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        to: &mut W,
        text: &str,
    ) -> io::Result<()> {
        let mut rest = text;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (plain, special) = rest.split_at(at);
            let mut letters = special.chars();
            let letter = letters.next().unwrap_or_default();
            write!(to, "{plain}\\u{:04x}", letter as u32)?;
            rest = letters.as_str();
        }
        to.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(
        &mut self,
        to: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        match escape {
            CharEscape::Backspace => to.write_all(b"\\u0008"),
            CharEscape::FormFeed => to.write_all(b"\\u000c"),
            other => self.0.write_char_escape(to, other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_look_as_go_writes_them() {
        assert_eq!(pretty("OK"), "\"OK\"");
        assert_eq!(pretty(&json!({})), "{}");
        assert_eq!(pretty(&json!([])), "[]");
        assert_eq!(
            pretty(&json!({"a": [1, {"b": null}]})),
            "{\n    \"a\": [\n        1,\n        {\n            \"b\": null\n        }\n    ]\n}"
        );
        assert_eq!(
            pretty("<a href=\"x\">&\u{2028}é\u{8}"),
            r#""\u003ca href=\"x\"\u003e\u0026\u2028é\u0008""#
        );
    }

    #[test]
    fn floats_have_no_useless_fraction() {
        for (value, want) in [
            (1.0, "1"),
            (0.0, "0"),
            (0.37, "0.37"),
            (1e-7, "1e-7"),
            (1e21, "1e+21"),
            (1e20, "100000000000000000000"),
        ] {
            assert_eq!(pretty(&value), want);
        }
    }
}
