//! Under systemd a line of text begins with its priority, which journald takes off again (sd-daemon(3)).

use std::fmt;
use std::os::fd::AsFd;

use nix::sys::stat::fstat;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::Level;

/// Whether `stream` is the connection to the journal that `JOURNAL_STREAM` names: `device:inode`. The variable alone is
/// no sign, since children of a service inherit it.
pub(super) fn is(stream: impl AsFd) -> bool {
    let named = std::env::var("JOURNAL_STREAM").ok();
    let own = fstat(stream).map(|stat| format!("{}:{}", stat.st_dev, stat.st_ino));
    named.is_some() && own.ok() == named
}

/// The usual format with the priority before it.
pub(super) struct Prefixed(pub(super) Format);

impl<S, N> FormatEvent<S, N> for Prefixed
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
        let priority = match Level::of(event.metadata()) {
            Level::Critical => 2,
            Level::Error => 3,
            Level::Warning => 4,
            Level::Info => 6,
            Level::Debug => 7,
        };
        write!(to, "<{priority}>")?;
        self.0.format_event(context, to, event)
    }
}
