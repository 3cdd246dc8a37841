//! Measures the size of the binary, and the time from the start to the first poll.

use std::fs;

use tools::programs::command;

use crate::daemon::{Daemon, Options};
use crate::row::Row;
use crate::stats::{median, quantile, to_f64};
use crate::world::World;

/// Starts runners on a warm state folder, without and with the sandbox.
///
/// # Errors
/// Returns a message if a runner cannot be started, sends no request or fails.
pub(crate) async fn measure(world: &World, starts: usize) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for sandbox in ["none", "auto"] {
        let (mut times, mut level) = (Vec::new(), String::new());
        for _ in 0..starts {
            let backend = world.backend().await?;
            let daemon = Daemon::start(world, &backend, Options { sandbox, ..Options::default() })?;
            times.push(daemon.first_poll(&backend).await?.as_secs_f64() * 1e3);
            level = daemon.level();
            daemon.stop().await?;
        }
        let ms = median(&times);
        let measured = format!("{ms:.1} ms (of {starts}; slowest {:.1})", quantile(&times, 1.0));
        let figure = format!("start to first poll, warm state folder, sandbox {sandbox}: {level}");
        rows.push(Row::new(figure, measured).limit("<= 30 ms", ms <= 30.0).value("ms", ms));
    }
    Ok(rows)
}

/// The size of the stripped binary.
///
/// # Errors
/// Returns a message if the binary cannot be read.
pub(crate) fn size_row(world: &World) -> Result<Row, String> {
    let mib = |path: &std::path::Path| {
        let mib = fs::metadata(path).map(|metadata| to_f64(metadata.len()) / f64::from(1 << 20));
        mib.map_err(|error| format!("cannot read {}: {error}", path.display()))
    };
    let (original, copy) = (mib(&world.program)?, world.path("stripped"));
    let stripped = command("strip").arg("-o").arg(&copy).arg(&world.program).status();
    if !stripped.is_ok_and(|status| status.success()) {
        let reason = format!("`strip` failed; unstripped: {original:.1} MiB");
        return Ok(Row::skipped("release binary, stripped", reason));
    }
    let size = mib(&copy)?;
    Ok(Row::new("release binary, stripped", format!("{size:.1} MiB (before: {original:.1})"))
        .limit("<= 16 MiB", size <= 16.0)
        .value("mib", size))
}
