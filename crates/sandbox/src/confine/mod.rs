//! What a child may see and use. A policy of ours, over two mechanisms: bubblewrap, where namespaces can be had, and a
//! stage of the runner's own binary (limits, Landlock, seccomp) that runs inside it, or alone.
//!
//! A [`Plan`] goes to the supervisor of a step and says all about that step's confinement; nothing here starts a process.

pub mod arguments;
pub mod broker;
pub mod cgroup;
pub mod ended;
pub mod filter;
pub mod limits;
mod rules;
pub mod stage;
pub mod users;
pub mod view;
pub mod window;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use cgroup::Groups;
pub use limits::{Limits, Most};
pub use rules::version as stage_version;

/// How strangers' code is confined.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Sandbox")]
#[group(skip)]
pub struct Settings {
    /// How tasks are confined; auto: as strongly as this machine allows
    #[arg(long, global = true, env = "RUNNER_SANDBOX", value_enum, default_value_t = Choice::Auto)]
    pub sandbox: Choice,

    /// Refuse to start if the confinement would be weaker than this
    #[arg(long, global = true, env = "RUNNER_SANDBOX_REQUIRE", value_enum, value_name = "LEVEL")]
    pub sandbox_require: Option<Level>,

    /// More folders that tasks may read, such as a toolchain below /opt
    #[arg(
        long,
        global = true,
        env = "RUNNER_SANDBOX_READABLE",
        value_name = "FOLDER",
        value_delimiter = ','
    )]
    pub sandbox_readable: Vec<PathBuf>,

    /// First of the user ids for tasks if the runner is root; each running task has one, and ids of the machine's
    /// users and groups are skipped
    #[arg(long, global = true, env = "RUNNER_SANDBOX_UID", value_name = "UID", default_value_t = users::FIRST, value_parser = clap::value_parser!(u32).range(1_000..4_000_000_000))]
    pub sandbox_uid: u32,

    #[command(flatten)]
    #[expect(missing_docs, reason = "documented where it is owned")]
    pub limits: Limits,

    /// Network of a task: none (its own loopback, if namespaces work), or the host's
    #[arg(long, global = true, env = "RUNNER_NETWORK", value_enum, default_value_t = Network::None)]
    pub network: Network,
}

impl Settings {
    /// What is wrong with them where the runner keeps things in `folders`.
    pub fn check(&self, folders: &[&Path]) -> Result<(), String> {
        const OWN: &[&str] = &["/tmp", "/var/tmp", "/dev/shm", "/dev", "/proc", "/sys"];
        for readable in &self.sandbox_readable {
            let real = readable.canonicalize().unwrap_or_else(|_| readable.clone());
            let holds = |folder: &Path| folder.starts_with(&real);
            let why = if !real.is_absolute() {
                "expected an absolute path".to_owned()
            } else if let Some(own) = OWN.iter().map(Path::new).find(|folder| holds(folder)) {
                format!("a task has {} of its own; name the folders that it needs", own.display())
            } else if let Some(folder) = folders.iter().find(|folder| holds(folder)) {
                format!("the runner keeps its own things in {}, below it", folder.display())
            } else {
                continue;
            };
            return Err(format!("--sandbox-readable {}: {why}", readable.display()));
        }
        Ok(())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sandbox: Choice::None,
            sandbox_require: None,
            sandbox_readable: Vec::new(),
            sandbox_uid: users::FIRST,
            limits: Limits::none(),
            network: Network::None,
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Choice {
    /// The strongest that works.
    Auto,
    /// Namespaces by bubblewrap, and everything of basic.
    Bwrap,
    /// Limits, Landlock and seccomp.
    Basic,
    /// Nothing.
    None,
}

/// How strong a confinement is, weakest first.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
pub enum Level {
    /// Nothing is confined.
    #[default]
    None,
    /// Limits, Landlock, seccomp, and a user for each task if the runner is root.
    Basic,
    /// The same within namespaces of its own.
    Bwrap,
}

impl Level {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic => "basic",
            Self::Bwrap => "bwrap",
        }
    }
}

/// What a task may reach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum Network {
    /// Nothing outside.
    #[default]
    None,
    /// All that the host can.
    Host,
}

/// Everything about the confinement of one step.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Plan {
    /// How strong.
    pub level: Level,
    /// The user to run as; none: the runner's own.
    pub user: Option<u32>,
    /// What it may use.
    pub limits: Limits,
    /// What it may reach.
    pub network: Network,
    /// Where its control group is made, and the group's name.
    pub group: Option<(Groups, String)>,
    /// What it may see.
    pub view: View,
    /// Whether it is given a channel for events.
    pub events: bool,
    /// Whether a broker keeps the suite's files as they are.
    pub brokered: bool,
    /// Whether `/dev/shm` is the task's own; found out while the view is made.
    pub own_shared: bool,
}

/// What a step may see.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub enum View {
    /// All that its user may.
    #[default]
    All,
    /// A suite and the program under test.
    Suite(SuiteView),
    /// A tool of the runner's that needs the machine: git, or the maker of environments.
    Tool(ToolView),
}

/// The view of a suite.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SuiteView {
    /// A folder on which the task's disk is mounted, in a mount namespace of its own.
    pub stage: PathBuf,
    /// The suite's shared tree.
    pub tree: PathBuf,
    /// Where the task's copy of it is to be.
    pub suite: PathBuf,
    /// The program under test, which is there.
    pub source: PathBuf,
    /// HOME, TMPDIR and the folder of the report: there and empty.
    pub home: PathBuf,
    /// See `home`.
    pub temp: PathBuf,
    /// See `home`.
    pub out: PathBuf,
    /// The report in `out`.
    pub report: PathBuf,
    /// Most bytes of a report that are taken.
    pub report_limit: u64,
    /// Further folders that may be read.
    pub readable: Vec<PathBuf>,
    /// What nobody may close to others, where the task runs as the owner of it all.
    pub guarded: Vec<PathBuf>,
}

/// The view of a tool: everything, read only, but for these.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ToolView {
    /// Folders that it writes to.
    pub writable: Vec<PathBuf>,
    /// What it must not see.
    pub hidden: Vec<PathBuf>,
}

/// What is enforced on this machine. Made by trying, see `process::confine`.
#[derive(Debug, Clone)]
pub struct Sandbox {
    /// The level in force.
    pub level: Level,
    /// Why it is not a stronger one, where a stronger one was tried.
    pub weaker_because: Option<String>,
    /// The users for tasks, where the runner may change them.
    pub users: Option<users::Users>,
    /// Where control groups can be made.
    pub groups: Option<Groups>,
    /// The version of Landlock; 0: none.
    pub landlock: i32,
    /// Whether there can be a broker of files.
    pub broker: bool,
    /// Where a task's disk is mounted; none: below the task's own folder.
    pub stage: Option<PathBuf>,
    /// What tools must not see.
    pub hidden: Vec<PathBuf>,
    /// The settings.
    pub settings: Settings,
    /// Begins the names of control groups.
    pub prefix: String,
}

impl Sandbox {
    /// Nothing is confined, and nothing measured.
    pub fn off(settings: Settings) -> Self {
        Self {
            level: Level::None,
            weaker_because: None,
            users: None,
            groups: None,
            landlock: 0,
            broker: false,
            stage: None,
            hidden: Vec::new(),
            settings,
            prefix: String::new(),
        }
    }

    /// What is enforced and what is not, in one line.
    pub fn line(&self) -> String {
        let bwrap = self.level == Level::Bwrap;
        let confined = self.level > Level::None;
        let host = self.settings.network == Network::Host;
        let yes = |holds: bool| if holds { "yes" } else { "no" };
        let net = match (confined, host) {
            (true, false) if bwrap => "netns=yes",
            (true, false) => "netns=no inet=denied",
            _ => "netns=no inet=host",
        };
        let landlock =
            if confined && self.landlock > 0 { format!("abi{}", self.landlock) } else { "no".to_owned() };
        format!(
            "pidns={} {net} mountns={} uid-drop={} landlock={landlock} seccomp={} memory={} pids={} cpu={} disk={} suite={}",
            yes(bwrap),
            yes(bwrap),
            yes(confined && self.users.is_some()),
            yes(confined),
            self.memory(),
            match &self.groups {
                Some(Groups::V1 { pids: Some(_), .. } | Groups::V2(_)) if confined => "cgroup",
                _ if confined => "rlimit",
                _ => "no",
            },
            match &self.groups {
                Some(Groups::V1 { cpu: Some(_), .. } | Groups::V2(_)) if confined => "cgroup",
                _ => "no",
            },
            match self.level {
                Level::Bwrap => "tmpfs",
                Level::Basic => "watched",
                Level::None => "no",
            },
            match self.level {
                Level::None => "no",
                _ if self.users.is_none() && !self.broker => "watched",
                Level::Bwrap | Level::Basic => "read-only",
            },
        )
    }

    /// How memory is limited and measured: by a control group, or by looking at the processes again and again.
    pub fn memory(&self) -> &'static str {
        self.groups.as_ref().map_or("sampled", Groups::name)
    }

    /// The plan for a suite; `user` was lent by [`Self::users`].
    pub fn suite(&self, name: &str, user: Option<u32>, view: SuiteView) -> Plan {
        let confined = self.level > Level::None;
        let limits = if confined { self.settings.limits } else { Limits::none() };
        let group = self.groups.clone().map(|groups| (groups, format!("{}{name}", self.prefix)));
        let mut view = view;
        if let Some(stage) = &self.stage {
            view.stage.clone_from(stage);
        }
        view.readable.extend(self.settings.sandbox_readable.iter().cloned());
        let view = View::Suite(view);
        let (level, network) = (self.level, self.settings.network);
        let brokered = confined && self.broker && user.is_none();
        Plan { level, user, limits, network, group, view, events: true, brokered, own_shared: false }
    }

    /// The plan for a tool that writes to `writable`.
    pub fn tool(&self, writable: &[&Path]) -> Plan {
        if self.level == Level::None {
            return Plan::default();
        }
        let writable = writable.iter().map(|path| path.to_path_buf()).collect();
        let view = View::Tool(ToolView { writable, hidden: self.hidden.clone() });
        Plan { level: self.level, network: Network::Host, view, ..Plan::default() }
    }
}
