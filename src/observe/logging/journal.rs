//! Priorities for systemd's journal: a line of text begins with its priority, which journald removes (sd-daemon(3)).

use std::fmt;
use std::os::fd::AsFd;

use nix::sys::stat::fstat;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::level::Level;

/// Whether `stream` is the connection to the journal that `JOURNAL_STREAM` names as `device:inode`. The variable alone
/// does not show it, because children of a service inherit the variable.
pub(super) fn is(stream: impl AsFd) -> bool {
    let journal = std::env::var("JOURNAL_STREAM").ok();
    let this = fstat(stream).map(|stat| format!("{}:{}", stat.st_dev, stat.st_ino));
    journal.is_some() && this.ok() == journal
}

/// The default text format after the priority.
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
