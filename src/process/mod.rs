//! The only place that starts a child.
//!
//! Every step that can hang or be hostile runs under a [supervisor]: the runner's own binary in a
//! mode of its own, a session and a child subreaper. It promises that nothing a step started outlives the step,
//! also when the runner itself is killed, and that output neither blocks a child nor fills memory.

mod channel;
pub mod confine;
mod disk;
mod hit;
mod meter;
mod output;
mod seal;
mod start;
mod supervised;
pub mod supervisor;
mod teardown;
mod tree;
mod until;

pub use hit::Hit;
pub use output::Captured;
pub use start::BWRAP;
pub use until::Until;

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::observe::{Child, ChildEnd, Observe};
use crate::sandbox::{Plan, Sandbox};
use supervised::Supervised;

/// The variable that marks all that a step starts, so that it is found even where its supervisor was killed.
const MARK: &str = "OSTEST_STEP";

/// How children are stopped and what is kept of their output.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Processes")]
#[group(skip)]
pub struct Settings {
    /// How long an interrupted step has to write what it has, before SIGTERM, and again before SIGKILL
    #[arg(long, global = true, env = "RUNNER_GRACE", value_name = "DURATION", default_value = "5", value_parser = crate::units::interval)]
    pub grace: Duration,

    /// Bytes kept of the beginning and of the end of a step's output, each
    #[arg(long, global = true, env = "RUNNER_KEEP_OUTPUT", value_name = "SIZE", default_value = "64KiB", value_parser = crate::units::size)]
    pub keep_output: u64,
}

/// Kills what is left of steps whose mark begins with `mark`: of a runner that was killed together with a supervisor.
pub fn sweep(mark: &str) {
    for _ in 0..10 {
        let met = tree::kill_marked(&format!("{MARK}={mark}-"));
        if met.is_empty() {
            return;
        }
        tracing::warn!(processes = met.len(), "processes of an earlier run were killed");
    }
}

/// A program to run as one step.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Spec {
    /// Path or name (looked up in the child's `PATH`).
    pub program: String,
    /// Arguments, without the program's name.
    pub args: Vec<String>,
    /// The whole environment; nothing is inherited.
    pub env: Vec<(String, String)>,
    /// Working directory.
    pub dir: PathBuf,
    /// What it reads from stdin; end of file at once where empty. Secrets go here, never into `args`.
    pub stdin: String,
    /// How it is confined.
    #[serde(default)]
    pub plan: Plan,
    /// Files that get the kept stdout and stderr, by their common stem: `STEM.stdout`, `STEM.stderr`.
    #[serde(skip)]
    pub output: Option<PathBuf>,
}

/// Why a step was ended from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Its deadline passed.
    Deadline,
    /// The runner was told to stop.
    Interrupt,
}

impl Stopped {
    /// The one word for it, in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Interrupt => "interrupt",
        }
    }
}

/// How a step ended.
#[derive(Debug, Clone)]
pub struct Exit {
    /// Exit code, where it left by itself.
    pub code: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<i32>,
    /// Why it was stopped from here, if it was.
    pub stopped: Option<Stopped>,
    /// Wall time from start to the end of everything below it.
    pub wall: Duration,
    /// CPU time of all that ran below the supervisor, user and system.
    pub cpu: Duration,
    /// Processes that were still there when the main one had ended, and were killed.
    pub leftovers: u32,
    /// The highest use of memory in bytes, where it was measured for the step as a whole.
    pub memory: Option<u64>,
    /// The limits that it hit.
    pub hits: Vec<Hit>,
    /// What it said on its channel.
    pub told: Vec<Told>,
    /// Why its report could not be taken out of its sandbox.
    pub report: Option<String>,
    /// The file of the suite that it changed, for which it was ended.
    pub spoiled: Option<String>,
    /// What is kept of stdout.
    pub stdout: Captured,
    /// What is kept of stderr.
    pub stderr: Captured,
}

/// A line that a step said on its channel, with what was measured up to then.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Told {
    /// The line, as it came.
    pub line: String,
    /// Where it ends a case: that case's peak of memory in bytes, above what the step used before.
    pub memory: Option<u64>,
    /// What the case died of, where that was a limit.
    pub note: Option<String>,
}

/// Bytes of lines that are kept of one step; what comes after is as if it had not been said.
const MOST_TOLD: usize = 64 << 20;

impl Exit {
    /// Whether it left by itself with code 0.
    pub fn success(&self) -> bool {
        self.code == Some(0) && self.stopped.is_none()
    }

    /// `exit code 1`, `signal 9 (SIGKILL)`.
    pub fn describe(&self) -> String {
        match (self.code, self.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(number)) => match nix::sys::signal::Signal::try_from(number) {
                Ok(signal) => format!("signal {number} ({signal})"),
                Err(_) => format!("signal {number}"),
            },
            (None, None) => "an unknown end".to_owned(),
        }
    }

    /// The last line with text of stderr, else of stdout: usually the one that says what was wrong.
    pub fn last_words(&self) -> Option<String> {
        [&self.stderr, &self.stdout].into_iter().find_map(Captured::last_line)
    }
}

/// A step that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program itself could not be executed.
    #[error("cannot start {program}: {reason}")]
    Program {
        /// As in [`Spec::program`].
        program: String,
        /// The system's words.
        reason: String,
    },
    /// Its sandbox could not be made.
    #[error("cannot make the sandbox: {0}")]
    Sandbox(String),
    /// The supervisor could not be started or reached.
    #[error("cannot start a supervisor process: {0}")]
    Supervisor(#[from] io::Error),
}

/// Starts steps.
#[derive(Debug, Clone)]
pub struct Launcher {
    exe: PathBuf,
    mark: String,
    settings: Settings,
    sandbox: Arc<Sandbox>,
    observe: Observe,
    /// The supervisors of steps that nobody waits for any more.
    ending: TaskTracker,
}

/// How long [`Launcher::settle`] waits for them; longer only where the kernel itself holds a process.
const SETTLE: Duration = Duration::from_secs(5);

impl Launcher {
    /// A launcher that starts `exe` (the runner's own binary; `/proc/self/exe` in the runner, since the path of a
    /// running program is wrong after an upgrade in place) as supervisor. `mark` begins the mark of all it starts.
    pub fn new(exe: impl Into<PathBuf>, mark: impl Into<String>, settings: Settings) -> Self {
        let sandbox = Arc::new(Sandbox::off(crate::sandbox::Settings::default()));
        Self {
            exe: exe.into(),
            mark: mark.into(),
            settings,
            sandbox,
            observe: Observe::default(),
            ending: TaskTracker::new(),
        }
    }

    /// The same, with what confines its steps.
    #[must_use]
    pub fn confined(self, sandbox: Sandbox) -> Self {
        Self { sandbox: Arc::new(sandbox), ..self }
    }

    /// The same, telling `observe` of each step's end.
    #[must_use]
    pub fn observed(self, observe: Observe) -> Self {
        Self { observe, ..self }
    }

    /// Who is told of steps.
    pub fn observe(&self) -> &Observe {
        &self.observe
    }

    /// How steps are confined.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// The runner's own binary, for steps that run it in another mode.
    pub fn exe(&self) -> &Path {
        &self.exe
    }

    /// Waits until the steps that were dropped have ended too, with all that they started. To be called at the end: no
    /// program that is done leaves others behind.
    pub async fn settle(&self) {
        self.ending.close();
        timeout(SETTLE, self.ending.wait()).await.ok();
    }

    /// Starts `spec` under a supervisor of its own.
    pub async fn start(&self, mut spec: Spec) -> Result<Running, StartError> {
        let mark = format!("{}-{:016x}{:016x}", self.mark, fastrand::u64(..), fastrand::u64(..));
        spec.env.push((MARK.to_owned(), mark.clone()));
        let started = Instant::now();
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (events, control) = UnixStream::from_std(ours)?.into_split();
        let mut supervisor = spawn_supervisor(&self.exe, OwnedFd::from(theirs))?;
        let keep = usize::try_from(self.settings.keep_output).unwrap_or(usize::MAX);
        let file = |end: &str| spec.output.as_ref().map(|stem| stem.with_extension(end));
        let flow = output::Flow::new(spec.plan.limits.output_size.0);
        let stdout = output::drain(supervisor.stdout.take(), file("stdout"), keep, flow.clone());
        let stderr = output::drain(supervisor.stderr.take(), file("stderr"), keep, flow.clone());
        let mut running = Running {
            supervisor: Supervised::new(supervisor, self.ending.clone()),
            mark: format!("{MARK}={mark}"),
            control,
            events: BufReader::new(events),
            line: String::new(),
            stdout: Some(stdout),
            stderr: Some(stderr),
            flow,
            flooded: false,
            started,
            grace: self.settings.grace,
            watched: None,
            stopped: None,
            ended: None,
            told: Vec::new(),
            told_bytes: 0,
        };
        let request = serde_json::to_vec(&spec).map_err(io::Error::other)?;
        let length = u32::try_from(request.len()).map_err(io::Error::other)?;
        running.control.write_all(&length.to_le_bytes()).await?;
        running.control.write_all(&request).await?;
        match running.next_event().await? {
            Event::Started => {
                running.watched = Some(self.observe.child());
                Ok(running)
            }
            Event::Failed { reason, sandbox: false } => {
                Err(StartError::Program { program: spec.program, reason })
            }
            Event::Failed { reason, sandbox: true } => {
                // bubblewrap's own words say more than that it ended.
                let words = output::collect(running.stderr.take()).await.last_line();
                Err(StartError::Sandbox(words.map_or(reason.clone(), |words| format!("{reason}: {words}"))))
            }
            Event::Told(_) | Event::Ended(_) => {
                Err(io::Error::other("the supervisor ended before it began").into())
            }
        }
    }

    /// Runs `spec` to its own end or to the one that `until` sets.
    pub async fn run(&self, spec: Spec, until: &Until) -> Result<Exit, StartError> {
        let mut running = self.start(spec).await?;
        let stopped = tokio::select! {
            () = running.ended() => None,
            why = until.over() => Some(why),
        };
        Ok(match stopped {
            None => running.finish().await,
            Some(why) => running.stop(why).await,
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that starts a process in the runner")]
fn spawn_supervisor(exe: &Path, control: OwnedFd) -> io::Result<tokio::process::Child> {
    tokio::process::Command::new(exe)
        .arg(supervisor::MODE)
        .env_clear()
        .stdin(Stdio::from(control))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// What the supervisor tells the runner, a line of JSON each.
#[derive(Debug, Serialize, Deserialize)]
enum Event {
    Started,
    Failed { reason: String, sandbox: bool },
    Told(Told),
    Ended(Ended),
}

/// What the supervisor saw of the step's end.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Ended {
    code: Option<i32>,
    signal: Option<i32>,
    cpu: Duration,
    leftovers: u32,
    memory: Option<u64>,
    hits: Vec<Hit>,
    report: Option<String>,
    spoiled: Option<String>,
}

/// A step that runs. Dropping it ends the step and everything it started.
#[derive(Debug)]
pub struct Running {
    supervisor: Supervised,
    mark: String,
    control: OwnedWriteHalf,
    events: BufReader<OwnedReadHalf>,
    line: String,
    stdout: Option<JoinHandle<Captured>>,
    stderr: Option<JoinHandle<Captured>>,
    /// What comes of both.
    flow: Arc<output::Flow>,
    /// Too much came, and the supervisor was told.
    flooded: bool,
    started: Instant,
    grace: Duration,
    /// Counts it, once it has started.
    watched: Option<Child>,
    stopped: Option<Stopped>,
    ended: Option<Ended>,
    told: Vec<Told>,
    told_bytes: usize,
}

impl Running {
    /// Waits for the end of the step and of everything it started. Safe to drop and call again.
    pub async fn ended(&mut self) {
        let flow = self.flow.clone();
        while self.ended.is_none() {
            let watches = !self.flooded;
            let event = tokio::select! {
                event = self.next_event() => event,
                () = flow.over(), if watches => {
                    self.flooded = true;
                    // A failed write means that the supervisor has just ended.
                    self.control.write_all(&[supervisor::FLOODED]).await.ok();
                    continue;
                }
            };
            self.ended = match event {
                Ok(Event::Ended(ended)) => Some(ended),
                Ok(Event::Told(told)) => {
                    self.note(told);
                    None
                }
                Ok(_) => None,
                // The supervisor is gone without a word: only a SIGKILL does that. What it watched over is ours now.
                Err(_) => Some(self.inherit().await),
            };
        }
    }

    /// Interrupts the step: SIGINT to its group, grace, SIGTERM, grace, SIGKILL to all that it started.
    pub async fn stop(mut self, why: Stopped) -> Exit {
        for request in [supervisor::INTERRUPT, supervisor::TERMINATE, supervisor::KILL] {
            // A failed write means that the supervisor has just ended; waiting finds that out.
            self.control.write_all(&[request]).await.ok();
            if timeout(self.grace, self.ended()).await.is_ok() {
                break;
            }
        }
        if self.ended.is_none() {
            // A supervisor that does not even answer a kill was stopped or is stuck: end everything from here.
            self.ended = Some(self.inherit().await);
        }
        self.stopped = Some(why);
        self.finish().await
    }

    fn note(&mut self, told: Told) {
        self.told_bytes = self.told_bytes.saturating_add(told.line.len());
        if self.told_bytes <= MOST_TOLD {
            self.told.push(told);
        }
    }

    /// Collects the output of a step that has ended.
    pub async fn finish(mut self) -> Exit {
        self.ended().await;
        let mut ended = self.ended.take().unwrap_or_default();
        let stdout = output::collect(self.stdout.take()).await;
        let stderr = output::collect(self.stderr.take()).await;
        // Too much, and at its end before anybody could end it.
        if self.flow.is_over() && !ended.hits.contains(&Hit::Output) {
            ended.hits.push(Hit::Output);
        }
        let stopped = self.stopped.map(Stopped::name);
        let end = ChildEnd { stopped, leftovers: ended.leftovers };
        if let Some(watched) = self.watched.take() {
            watched.ended(end, ended.hits.iter().map(|hit| hit.name()));
        }
        Exit {
            code: ended.code,
            signal: ended.signal,
            stopped: self.stopped,
            wall: self.started.elapsed(),
            cpu: ended.cpu,
            leftovers: ended.leftovers,
            memory: ended.memory,
            hits: ended.hits,
            told: std::mem::take(&mut self.told),
            report: ended.report,
            spoiled: ended.spoiled,
            stdout,
            stderr,
        }
    }

    async fn next_event(&mut self) -> io::Result<Event> {
        // `line` lives in self: a cancelled read keeps what it had.
        let read = self.events.read_line(&mut self.line).await?;
        if read == 0 || !self.line.ends_with('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let event = serde_json::from_str(&self.line).map_err(io::Error::other);
        self.line.clear();
        event
    }

    /// Ends everything that a supervisor watched over which no longer does, and the supervisor with it.
    async fn inherit(&mut self) -> Ended {
        let mut met = tree::kill_supervisor(self.supervisor.id());
        let mut quiet = 0;
        // Several looks that find nothing: a process in the middle of an exec shows no environment for a moment.
        for _ in 0..100 {
            let found = tree::kill_marked(&self.mark);
            quiet = if found.is_empty() { quiet + 1 } else { 0 };
            met.extend(found);
            if quiet == 3 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let leftovers = u32::try_from(met.len()).unwrap_or(u32::MAX);
        Ended { signal: Some(nix::libc::SIGKILL), leftovers, ..Ended::default() }
    }
}
