//! The line that Codis' programs log: `2026/11/22 21:55:00 file.rs:88: [WARN] text`, in local time. Scripts look for its parts.

use crate::local_time::{self, Date};
use std::fmt;
use std::path::Path;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

#[derive(Clone, Copy, Debug)]
pub(super) struct Dated;

impl<S, N> FormatEvent<S, N> for Dated
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Date { year, month, day, hour, minute, second } =
            local_time::ZONE.date(local_time::now().0);
        write!(to, "{year:04}/{month:02}/{day:02} {hour:02}:{minute:02}:{second:02} ")?;
        let place = event.metadata();
        let file = place.file().and_then(|file| Path::new(file).file_name()?.to_str());
        let level = match *place.level() {
            Level::ERROR => "ERROR",
            Level::WARN => "WARN",
            Level::INFO => "INFO",
            Level::DEBUG | Level::TRACE => "DEBUG",
        };
        let (file, line) = (file.unwrap_or("unknown"), place.line().unwrap_or_default());
        write!(to, "{file}:{line}: [{level}] ")?;
        context.field_format().format_fields(to.by_ref(), event)?;
        writeln!(to)
    }
}
