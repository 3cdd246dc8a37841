//! Start of commands, each under a supervisor of its own.

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

use super::deadline::Deadline;
use super::error::StartError;
use super::exit::Exit;
use super::observer::Observer;
use super::output;
use super::prepared::Prepared;
use super::running::Running;
use super::settings::Settings;
use super::spec::{MARK, Spec};
use super::supervised::Supervised;
use super::supervisor;
use crate::confine::Sandbox;

/// Starts commands.
#[derive(Debug, Clone)]
pub struct Launcher {
    exe: PathBuf,
    mark: String,
    settings: Settings,
    sandbox: Arc<Sandbox>,
    observer: Option<Arc<dyn Observer>>,
    /// Supervisors of commands that were dropped.
    ending: TaskTracker,
}

/// Bytes that are kept at least of each end of the output of a command whose output is its answer, whatever the settings
/// say about a suite's output.
const MIN_ANSWER: usize = 64 << 10;

/// How long [`Launcher::settle`] waits. It takes longer only where the kernel itself holds a process.
const SETTLE: Duration = Duration::from_secs(5);

impl Launcher {
    /// Makes a launcher without a sandbox.
    ///
    /// `exe` is started as supervisor: the runner's own binary (in the runner `/proc/self/exe`, since the path of a running
    /// program is wrong after an upgrade in place). `mark` begins the mark of everything that is started.
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

    /// Sets the sandbox.
    #[must_use]
    pub fn confined(self, sandbox: Sandbox) -> Self {
        Self { sandbox: Arc::new(sandbox), ..self }
    }

    /// Sets the observer, which is called at the end of each command.
    #[must_use]
    pub fn observed(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// Returns the sandbox of commands.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Returns the runner's own binary, for commands that run it in another mode.
    pub fn exe(&self) -> &Path {
        &self.exe
    }

    /// Waits until commands that were dropped have ended, with everything that they started. Call it at the program's end,
    /// so that no process outlives it.
    pub async fn settle(&self) {
        self.ending.close();
        timeout(SETTLE, self.ending.wait()).await.ok();
    }

    /// Starts `spec`.
    ///
    /// # Errors
    /// [`StartError`] if the supervisor, the sandbox or the program cannot be started.
    pub async fn start(&self, spec: Spec) -> Result<Running, StartError> {
        self.prepare(spec).await?.start().await
    }

    /// Starts a supervisor that prepares everything that `spec` needs, except for the program under test, which may still be
    /// on its way.
    ///
    /// # Errors
    /// [`StartError::Supervisor`]; other failures are returned by [`Prepared::start`].
    pub async fn prepare(&self, mut spec: Spec) -> Result<Prepared, StartError> {
        let mark = format!("{}-{:016x}{:016x}", self.mark, fastrand::u64(..), fastrand::u64(..));
        spec.env.push((MARK.to_owned(), mark.clone()));
        let started = Instant::now();
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (event_stream, control) = UnixStream::from_std(ours)?.into_split();
        let mut supervisor = spawn_supervisor(&self.exe, OwnedFd::from(theirs))?;
        let keep = usize::try_from(self.settings.keep_output).unwrap_or(usize::MAX);
        // Without a file the output is for the runner: stdout is the command's answer, stderr explains a failure.
        let keep = if spec.output.is_none() { keep.max(MIN_ANSWER) } else { keep };
        let file = |end: &str| spec.output.as_ref().map(|stem| stem.with_extension(end));
        let flow = output::Flow::new(spec.plan.limits.output_size.0);
        let stdout = output::drain(supervisor.stdout.take(), file("stdout"), keep, flow.clone());
        let stderr = output::drain(supervisor.stderr.take(), file("stderr"), keep, flow.clone());
        let mut running = Running {
            supervisor: Supervised::new(supervisor, self.ending.clone()),
            mark: format!("{MARK}={mark}"),
            control,
            event_stream: BufReader::new(event_stream),
            line: String::new(),
            stdout: Some(stdout),
            stderr: Some(stderr),
            flow,
            flooded: false,
            started,
            grace: self.settings.grace,
            observed: None,
            stopped: None,
            ended: None,
            events: Vec::new(),
            event_bytes: 0,
        };
        let request = serde_json::to_vec(&spec).map_err(io::Error::other)?;
        let length = u32::try_from(request.len()).map_err(io::Error::other)?;
        running.control.write_all(&length.to_le_bytes()).await?;
        running.control.write_all(&request).await?;
        Ok(Prepared { running, program: spec.program, observer: self.observer.clone() })
    }

    /// Runs `spec` to its end, or stops it at the `deadline`.
    ///
    /// # Errors
    /// As [`Self::start`].
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
