//! Starts steps, each under a supervisor of its own.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::observer::Observer;
use super::supervised::Supervised;
use super::{Deadline, Exit, Held, MARK, Running, Settings, Spec, StartError, output, supervisor};
use crate::confine::Sandbox;

/// Starts steps.
#[derive(Debug, Clone)]
pub struct Launcher {
    exe: PathBuf,
    mark: String,
    settings: Settings,
    sandbox: Arc<Sandbox>,
    observer: Option<Arc<dyn Observer>>,
    /// The supervisors of steps that nobody waits for any more.
    ending: TaskTracker,
}

/// What is kept at least of the output of a step that answers by it, however little is to be kept of a suite's.
const LEAST_ANSWER: usize = 64 << 10;

/// How long [`Launcher::settle`] waits for them; longer only where the kernel itself holds a process.
const SETTLE: Duration = Duration::from_secs(5);

impl Launcher {
    /// A launcher that starts `exe` (the runner's own binary; `/proc/self/exe` in the runner, since the path of a
    /// running program is wrong after an upgrade in place) as supervisor. `mark` begins the mark of all it starts.
    pub fn new(exe: impl Into<PathBuf>, mark: impl Into<String>, settings: Settings) -> Self {
        let sandbox = Arc::new(Sandbox::off(crate::confine::Settings::default()));
        Self {
            exe: exe.into(),
            mark: mark.into(),
            settings,
            sandbox,
            observer: None,
            ending: TaskTracker::new(),
        }
    }

    /// The same, with what confines its steps.
    #[must_use]
    pub fn confined(self, sandbox: Sandbox) -> Self {
        Self { sandbox: Arc::new(sandbox), ..self }
    }

    /// The same, with an observer that hears of each command's end.
    #[must_use]
    pub fn observed(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer: Some(observer), ..self }
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
    pub async fn start(&self, spec: Spec) -> Result<Running, StartError> {
        self.hold(spec).await?.go().await
    }

    /// Has a supervisor of its own make ready all that `spec` needs, up to the program under test.
    pub async fn hold(&self, mut spec: Spec) -> Result<Held, StartError> {
        let mark = format!("{}-{:016x}{:016x}", self.mark, fastrand::u64(..), fastrand::u64(..));
        spec.env.push((MARK.to_owned(), mark.clone()));
        let started = Instant::now();
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (events, control) = UnixStream::from_std(ours)?.into_split();
        let mut supervisor = spawn_supervisor(&self.exe, OwnedFd::from(theirs))?;
        let keep = usize::try_from(self.settings.keep_output).unwrap_or(usize::MAX);
        // What goes to no file is not for people: stdout is the step's answer then, and stderr why there is none.
        let keep = if spec.output.is_none() { keep.max(LEAST_ANSWER) } else { keep };
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
        Ok(Held { running, program: spec.program, observer: self.observer.clone() })
    }

    /// Runs `spec` to its own end or to the `deadline`.
    pub async fn run(&self, spec: Spec, deadline: &Deadline) -> Result<Exit, StartError> {
        let mut running = self.start(spec).await?;
        let stopped = tokio::select! {
            () = running.ended() => None,
            why = deadline.passed() => Some(why),
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
