//! Settings of the backend: its address, paths, login and timeouts.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use text::units::interval;
use url::Url;

/// Settings of the backend.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Backend")]
#[group(skip)]
pub struct Settings {
    /// URL of the backend
    #[arg(long, global = true, env = "RUNNER_BACKEND_URL", value_name = "URL", default_value = "http://localhost:5000", value_parser = backend_url)]
    pub backend_url: Url,

    /// Path that hands out tasks
    #[arg(long, global = true, env = "RUNNER_GET_API", value_name = "PATH", default_value = "/api/task/available", value_parser = api_path)]
    pub get_api: String,

    /// Path that takes results
    #[arg(long, global = true, env = "RUNNER_POST_API", value_name = "PATH", default_value = "/api/task/result", value_parser = api_path)]
    pub post_api: String,

    /// Path to log in
    #[arg(long, global = true, env = "RUNNER_LOGIN_API", value_name = "PATH", default_value = "/api/v1/login", value_parser = api_path)]
    pub login_api: String,

    /// Path to refresh the token
    #[arg(long, global = true, env = "RUNNER_TOKEN_REFRESH_API", value_name = "PATH", default_value = "/api/v1/auth/refresh", value_parser = api_path)]
    pub token_refresh_api: String,

    /// Time between token refreshes; sooner if the token expires sooner
    #[arg(long, global = true, env = "RUNNER_REFRESH_TIME", value_name = "DURATION", default_value = "60", value_parser = interval)]
    pub refresh_time: Duration,

    /// The backend wants a login
    #[arg(long, global = true, env = "RUNNER_AUTH", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_name = "true|false", value_parser = text::units::flag)]
    pub auth: bool,

    /// User name
    #[arg(long, global = true, env = "RUNNER_LOGIN", value_name = "NAME", default_value = "dora_explorer")]
    pub login: String,

    /// Password; prefer --password-file or RUNNER_PASSWORD, because `ps` shows arguments. With --auth and none of
    /// these: systemd's credential ostest-runner.password or password
    #[arg(
        long,
        global = true,
        env = "RUNNER_PASSWORD",
        hide_env_values = true,
        value_name = "PASSWORD",
        default_value = "dora_explorer",
        hide_default_value = true
    )]
    pub password: SecretString,

    /// File that holds the password; precedes a password from the same place
    #[arg(long, global = true, env = "RUNNER_PASSWORD_FILE", value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    /// Descriptor that holds the password: how the runner hands `--password` to itself
    #[arg(long, global = true, hide = true, value_name = "NUMBER")]
    pub password_fd: Option<i32>,

    /// How long connecting to the backend may take
    #[arg(long, global = true, env = "RUNNER_CONNECT_TIMEOUT", value_name = "DURATION", default_value = "5", value_parser = interval)]
    pub connect_timeout: Duration,

    /// How long a request to the backend may take as a whole
    #[arg(long, global = true, env = "RUNNER_REQUEST_TIMEOUT", value_name = "DURATION", default_value = "30", value_parser = interval)]
    pub request_timeout: Duration,

    /// How long a claim may take; one that takes longer may be lost
    #[arg(long, global = true, env = "RUNNER_CLAIM_TIMEOUT", value_name = "DURATION", default_value = "10", value_parser = interval)]
    pub claim_timeout: Duration,
}

/// Timeouts that a reload can change.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Maximum time of a request, including its response.
    pub request: Duration,
    /// Maximum time of a claim.
    pub claim: Duration,
}

impl Settings {
    /// The timeouts of these settings.
    pub fn timeouts(&self) -> Timeouts {
        Timeouts { request: self.request_timeout, claim: self.claim_timeout }
    }
}

/// Parses the URL of a backend, which must not contain a login, query or fragment.
fn backend_url(text: &str) -> Result<Url, String> {
    let expected = "expected an http:// or https:// URL, such as http://localhost:5000";
    let url = Url::parse(text).map_err(|error| format!("{error}; {expected}"))?;
    match url.scheme() {
        _ if !url.username().is_empty() || url.password().is_some() => {
            Err("it contains a login, which `ps` would show; use --login and --password-file".to_owned())
        }
        _ if url.query().is_some() || url.fragment().is_some() => {
            Err(format!("it has a ? or # part; {expected}"))
        }
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err(expected.to_owned()),
    }
}

/// Parses a path below the URL of the backend.
fn api_path(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(char::is_whitespace) || text.contains("://") {
        return Err("expected a path below the backend's URL, such as /api/task".to_owned());
    }
    Ok(format!("/{}", text.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_urls_and_paths_while_parsing() {
        assert!(backend_url("http://localhost:5000/base").is_ok());
        for wrong in ["localhost:5000", "ftp://x", "http://", "", "http://x/?a=1"] {
            assert!(backend_url(wrong).is_err(), "{wrong}");
        }
        assert_eq!(api_path("api/task").as_deref(), Ok("/api/task"));
        assert!(api_path("http://x/api").is_err());
    }
}
