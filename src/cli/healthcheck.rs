//! `runner healthcheck`: requests `/healthz` of the running runner, for a container engine or a script.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};
use url::Url;

use crate::cli::Exit;
use crate::config::Settings;
use text::{one_line, shorten};

/// Arguments of `runner healthcheck`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// URL of the runner; a path in it replaces /healthz [default: the address of --listen]
    #[arg(long, value_name = "URL", value_parser = http_url)]
    pub url: Option<Url>,
}

fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "http" && url.has_host());
    url.ok_or_else(|| "expected an http:// URL, such as http://127.0.0.1:9180".to_owned())
}

/// How long the answer may take. Container engines wait longer than this for a health check.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Requests the health of the running runner. If it is not healthy, prints why on stderr.
///
/// # Errors
/// Neither `--url` nor `--listen` is given.
pub async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let url = target(args, settings.serve.listen.0)?;
    let Err(error) = check(&url).await else { return Ok(Exit::Success) };
    writeln!(io::stderr(), "runner: {error:#}")?;
    Ok(Exit::Failure)
}

/// The URL to request: `--url`, or the address in `listen`.
fn target(args: &Args, listen: Option<SocketAddr>) -> anyhow::Result<Url> {
    let mut url = match (&args.url, listen) {
        (Some(url), _) => url.clone(),
        (None, Some(address)) => format!("http://{}/", reachable(address)).parse()?,
        (None, None) => bail!("healthcheck: say with --listen or --url where the runner listens"),
    };
    if url.path() == "/" {
        url.set_path("/healthz");
    }
    Ok(url)
}

/// An address to connect to: the loopback address if the runner listens on all addresses.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}

/// Requests `url`. An error says in one line what is wrong.
async fn check(url: &Url) -> anyhow::Result<()> {
    // The client requires a provider, although this request is not encrypted.
    rustls::crypto::ring::default_provider().install_default().ok();
    // No proxy, because the runner is on this machine; and no certificates, because the URL is http.
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(TIMEOUT).build()?;
    let mut answer =
        client.get(url.clone()).send().await.with_context(|| format!("{url} does not answer"))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let body = answer.chunk().await.ok().flatten().unwrap_or_default();
    let words = String::from_utf8_lossy(&body[..body.len().min(2000)]).trim().replace('\n', "; ");
    bail!("{url} answers {}: {}", status.as_u16(), shorten(&one_line(&words), 500));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_an_address_that_answers() {
        let target = |url: Option<&str>, listen: Option<&str>| {
            let url = url.map(|url| http_url(url).unwrap());
            target(&Args { url }, listen.map(|listen| listen.parse().unwrap())).map(String::from).ok()
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(target(None, Some("0.0.0.0:9180")), some("http://127.0.0.1:9180/healthz"));
        assert_eq!(target(None, Some("[::]:1")), some("http://[::1]:1/healthz"));
        assert_eq!(target(None, Some("10.1.2.3:1")), some("http://10.1.2.3:1/healthz"));
        assert_eq!(target(Some("http://h:5"), Some("[::]:1")), some("http://h:5/healthz"));
        assert_eq!(target(Some("http://h/readyz"), None), some("http://h/readyz"));
        assert_eq!(target(None, None), None);
    }
}
