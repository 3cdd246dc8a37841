//! The flags of the program, converted to settings, tasks and faults.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use mock_backend::{
    Fault, IdKind, Limits, NewTask, Paths, Settings, Sweep, User, parse_duration, read_tasks,
};

/// A stand-in for the OSTEST backend: the whole contract over HTTP, with fault injection
#[derive(Debug, Parser)]
#[command(name = "mock-backend", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// The address to listen on. The admin API has no authentication: do not expose it
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// The port to listen on; 0 lets the system choose
    #[arg(long, default_value_t = 5000)]
    port: u16,

    /// Require a token for claims and results
    #[arg(long)]
    auth: bool,
    /// A user who may log in; claims and results require the role ADMIN, the default [repeatable]
    #[arg(long, value_name = "NAME:PASSWORD[:ROLE]", default_value = "dora_explorer:dora_explorer:ADMIN")]
    user: Vec<User>,
    /// Lifetime of an access token
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = parse_duration)]
    token_lifetime: Duration,
    /// Lifetime of a refresh token
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = parse_duration)]
    refresh_lifetime: Duration,
    /// Offset of the backend's clock in seconds; negative means behind
    #[arg(long, value_name = "SECONDS", default_value_t = 0, allow_negative_numbers = true)]
    clock_offset: i32,

    /// A file of tasks in the form of the contract: a JSON array, or one object per line [repeatable]
    #[arg(long, value_name = "FILE")]
    tasks: Vec<PathBuf>,
    /// A task; LAB is a number or a comma-separated list of numbers [repeatable]
    #[arg(long, value_name = "URL#BRANCH[#LAB]", value_parser = parse_task)]
    task: Vec<NewTask>,
    /// Generate N tasks for one repository
    #[arg(long, value_name = "N", requires = "repository")]
    generate: Option<usize>,
    /// The repository of the generated tasks
    #[arg(long, value_name = "URL", requires = "generate")]
    repository: Option<String>,
    /// The branch of the generated tasks
    #[arg(long, value_name = "BRANCH", default_value = "main")]
    branch: String,
    /// Kind of the `id` that is generated for tasks without one
    #[arg(long, value_enum, default_value_t = Ids::Uuid)]
    id: Ids,

    /// A fault to inject, such as claim:503:2 or result:drop-after [repeatable]
    #[arg(long, value_name = "ENDPOINT:KIND[:COUNT[@SKIP]]")]
    pub(crate) fault: Vec<Fault>,
    /// Limit of a result's body; a longer body is answered with 413 [default: no limit]
    #[arg(long, value_name = "BYTES")]
    body_limit: Option<usize>,
    /// Age from which a claimed attempt is timed out
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_duration)]
    attempt_timeout: Duration,
    /// Interval between two checks for such attempts
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = parse_duration)]
    sweep_interval: Duration,

    /// Path of the claim endpoint
    #[arg(long, value_name = "PATH", default_value_t = Paths::default().claim)]
    get_api: String,
    /// Path of the result endpoint
    #[arg(long, value_name = "PATH", default_value_t = Paths::default().result)]
    post_api: String,
    /// Path of the login endpoint
    #[arg(long, value_name = "PATH", default_value_t = Paths::default().login)]
    login_api: String,
    /// Path of the token refresh endpoint
    #[arg(long, value_name = "PATH", default_value_t = Paths::default().refresh)]
    token_refresh_api: String,

    /// Exit once every task has a result, and print a table of the results
    #[arg(long)]
    pub(crate) exit_when_done: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Ids {
    Uuid,
    Integer,
}

impl Cli {
    /// The settings of the backend.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            host: self.host,
            port: self.port,
            paths: Paths {
                claim: self.get_api.clone(),
                result: self.post_api.clone(),
                login: self.login_api.clone(),
                refresh: self.token_refresh_api.clone(),
            },
            auth: self.auth,
            users: self.user.clone(),
            access_lifetime: self.token_lifetime,
            refresh_lifetime: self.refresh_lifetime,
            limits: Limits { body: self.body_limit, ..Limits::default() },
            sweep: Sweep { interval: self.sweep_interval, max_age: self.attempt_timeout },
            ids: match self.id {
                Ids::Uuid => IdKind::Uuid,
                Ids::Integer => IdKind::Integer,
            },
            clock_offset_ms: i64::from(self.clock_offset) * 1000,
            ..Settings::default()
        }
    }

    /// The tasks from the files, from `--task` and from `--generate`, in this order.
    ///
    /// # Errors
    /// Returns a message that names the file if a file cannot be read or parsed.
    pub(crate) fn tasks(&self) -> Result<Vec<NewTask>, String> {
        let mut tasks = Vec::new();
        for path in &self.tasks {
            let text = fs::read_to_string(path)
                .map_err(|cause| format!("cannot read {}: {cause}", path.display()))?;
            tasks.extend(read_tasks(&text).map_err(|cause| format!("{}: {cause}", path.display()))?);
        }
        tasks.extend(self.task.iter().cloned());
        if let (Some(count), Some(repository)) = (self.generate, &self.repository) {
            tasks.extend((0..count).map(|_| NewTask::new(repository, &self.branch)));
        }
        Ok(tasks)
    }
}

/// Parses `URL#BRANCH[#LAB[,LAB…]]`.
fn parse_task(text: &str) -> Result<NewTask, String> {
    let parts: Vec<&str> = text.split('#').collect();
    let (url, branch, labs) = match parts[..] {
        [url, branch] => (url, branch, ""),
        [url, branch, labs] => (url, branch, labs),
        _ => return Err("expected URL#BRANCH or URL#BRANCH#LAB".to_owned()),
    };
    if url.is_empty() || branch.is_empty() {
        return Err("URL or BRANCH is empty; expected URL#BRANCH[#LAB]".to_owned());
    }
    let labs = labs.split(',').filter(|lab| !lab.is_empty()).map(str::parse).collect::<Result<Vec<i64>, _>>();
    let labs = labs.map_err(|_| "LAB must be a number or a comma-separated list of numbers".to_owned())?;
    Ok(NewTask::new(url, branch).labs(&labs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(flags: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(["mock-backend"].iter().chain(flags))
    }

    #[test]
    fn flags_are_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn defaults_match_the_documentation() {
        let settings = parse(&[]).unwrap().settings();
        assert_eq!((settings.host.to_string().as_str(), settings.port), ("127.0.0.1", 5000));
        assert!(!settings.auth);
        assert_eq!((settings.users.len(), settings.users[0].name.as_str()), (1, "dora_explorer"));
        assert_eq!(settings.users[0].role, "ADMIN");
        assert_eq!(settings.access_lifetime, Settings::default().access_lifetime);
        assert_eq!(settings.refresh_lifetime, Settings::default().refresh_lifetime);
        assert_eq!(settings.sweep.max_age, Sweep::default().max_age);
    }

    #[test]
    fn given_users_replace_the_default() {
        let settings = parse(&["--user", "a:b", "--user", "c:d:USER"]).unwrap().settings();
        let users: Vec<_> =
            settings.users.iter().map(|user| (user.name.as_str(), user.role.as_str())).collect();
        assert_eq!(users, [("a", "ADMIN"), ("c", "USER")]);
    }

    #[test]
    fn combines_given_and_generated_tasks() {
        let tasks = |flags: &[&str]| parse(flags).unwrap().tasks().unwrap().len();
        assert_eq!(tasks(&["--task", "u#b", "--task", "u#b#1,2", "--generate", "3", "--repository", "u"]), 5);
        for invalid in ["u", "#b", "u#", "u#b#x", "u#b#1#2"] {
            assert!(parse(&["--task", invalid]).is_err(), "{invalid}");
        }
        assert!(parse(&["--generate", "3"]).is_err(), "without a repository");
    }
}
