//! The settings of `--listen`.

use std::net::SocketAddr;

/// Settings of the HTTP server.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Seeing inside")]
#[group(skip)]
pub struct Settings {
    /// Address to serve /metrics, /healthz, /readyz and /status on, such as 127.0.0.1:9180
    #[arg(long, global = true, env = "RUNNER_LISTEN", value_name = "ADDRESS", default_value = "none", value_parser = address)]
    pub listen: Listen,
}

/// Address of the HTTP server; `None`: it is off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Listen(pub Option<SocketAddr>);

fn address(text: &str) -> Result<Listen, String> {
    let expected = "expected an address and a port, such as 127.0.0.1:9180 or [::]:9180, or none";
    match text.trim() {
        "" | "none" => Ok(Listen(None)),
        text => text.parse().map(|address| Listen(Some(address))).map_err(|_| expected.to_owned()),
    }
}
