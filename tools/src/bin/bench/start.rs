//! How large the program is, and how soon it asks.

use std::fs;

use crate::common::programs::command;
use crate::daemon::{Daemon, Options};
use crate::rows::Row;
use crate::stats::{median, number, quantile};
use crate::world::World;

/// Starts runners on the warm state folder.
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
        let middle = median(&times);
        let measured = format!("{middle:.1} ms (of {starts}; the slowest {:.1})", quantile(&times, 1.0));
        rows.push(
            Row::told(
                format!("start to first poll, warm state folder, sandbox {sandbox}: {level}"),
                measured,
            )
            .bar("<= 30 ms", middle <= 30.0)
            .value("ms", middle),
        );
    }
    Ok(rows)
}

/// The binary as it would be shipped.
pub(crate) fn size_row(world: &World) -> Result<Row, String> {
    let size = |path: &std::path::Path| {
        let size = fs::metadata(path).map(|metadata| number(metadata.len()) / f64::from(1 << 20));
        size.map_err(|error| format!("cannot look at {}: {error}", path.display()))
    };
    let (whole, copy) = (size(&world.program)?, world.at("stripped"));
    let stripped = command("strip").arg("-o").arg(&copy).arg(&world.program).status();
    if !stripped.is_ok_and(|status| status.success()) {
        return Ok(Row::skipped(
            "release binary, stripped",
            format!("there is no strip; as it is: {whole:.1} MiB"),
        ));
    }
    let size = size(&copy)?;
    Ok(Row::told("release binary, stripped", format!("{size:.1} MiB ({whole:.1} as it is)"))
        .bar("<= 16 MiB", size <= 16.0)
        .value("mib", size))
}
