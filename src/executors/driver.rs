//! The driver: the phases of an executor in their order, under one deadline.

use std::time::Duration;

use report::{Fault, Progress, Report};
use sandbox::command::{Deadline, Exit, Running, Stopped};

use super::bound::{bound, stopped};
use super::executor::Executor;

/// The deadline of a run, and the callback for its progress.
pub struct Bounds<'a> {
    /// The time at which the driver stops the run.
    pub deadline: Deadline,
    /// Called each time that the task's progress changes.
    pub progress: &'a (dyn Fn(Progress) + Sync),
}

/// The result of the phases before `post_process`.
#[derive(Default)]
struct Course {
    /// How the command ended, if it was started.
    exit: Option<Exit>,
    /// The first error.
    fault: Option<Fault>,
}

impl Course {
    fn failed(fault: Fault) -> Self {
        Self { fault: Some(fault), ..Self::default() }
    }
}

/// Drives `executor` through its phases and returns its report, with the first error as its fault. `checkout` is the result
/// of the checkout: if it failed, only `post_process` is called. `pace` is the time between two checks.
pub async fn drive(
    executor: &mut dyn Executor,
    checkout: Result<(), Fault>,
    bounds: &Bounds<'_>,
    pace: Duration,
) -> Report {
    let course = match checkout {
        Ok(()) => phases(executor, bounds, pace).await,
        Err(fault) => Course::failed(fault),
    };
    let mut report = executor.post_process(course.exit.as_ref()).await;
    if let Some(mut fault) = course.fault {
        if course.exit.is_some() {
            fault.message = format!("{}, {}", fault.message, finished(&report));
        }
        report.fault = Some(fault);
    }
    report
}

/// Calls all phases except `post_process`.
async fn phases(executor: &mut dyn Executor, bounds: &Bounds<'_>, pace: Duration) -> Course {
    let Bounds { deadline, progress } = bounds;
    progress(Progress::Prepare);
    if let Err(fault) = bound(deadline, Progress::Prepare, executor.prepare()).await {
        return Course::failed(fault);
    }
    progress(Progress::Execute);
    let course = match bound(deadline, Progress::Execute, executor.startup()).await {
        Err(fault) => return Course::failed(fault),
        Ok(None) => Course::default(),
        Ok(Some(running)) => watch(executor, running, deadline, pace).await,
    };
    executor.shutdown().await;
    progress(Progress::Report);
    course
}

/// Waits for the command's end; stops it at the deadline, on an interrupt, or when a check fails.
async fn watch(
    executor: &mut dyn Executor,
    mut running: Running,
    deadline: &Deadline,
    pace: Duration,
) -> Course {
    let mut ticks = tokio::time::interval(pace);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (why, fault) = loop {
        tokio::select! {
            biased;
            () = running.ended() => return Course { exit: Some(running.finish().await), fault: None },
            why = deadline.passed() => break (why, stopped(deadline, why, Progress::Execute)),
            _ = ticks.tick() => {
                if let Err(fault) = executor.check() {
                    break (Stopped::Deadline, fault);
                }
            }
        }
    };
    Course { exit: Some(running.stop(why).await), fault: Some(fault) }
}

/// The number of tests that had finished when the run was stopped, in words.
fn finished(report: &Report) -> String {
    if let Some((ended, all)) = report.finished {
        return format!("{ended} of {all} tests had finished");
    }
    match report.tally.total().saturating_sub(report.unfinished) {
        0 => "no test had finished".to_owned(),
        1 => "1 test had finished".to_owned(),
        n => format!("{n} tests had finished"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use report::Cause;

    use super::*;

    /// Records the phases that are called, and fails in one of them.
    struct Scripted<'a> {
        fails_in: &'static str,
        calls: &'a Mutex<Vec<&'static str>>,
    }

    impl Scripted<'_> {
        fn call(&self, phase: &'static str) -> Result<(), Fault> {
            self.calls.lock().unwrap().push(phase);
            if self.fails_in == phase {
                return Err(Fault::new(Progress::Execute, Cause::Suite, phase));
            }
            Ok(())
        }
    }

    #[async_trait]
    impl Executor for Scripted<'_> {
        async fn prepare(&mut self) -> Result<(), Fault> {
            self.call("prepare")
        }

        async fn startup(&mut self) -> Result<Option<Running>, Fault> {
            self.call("startup").map(|()| None)
        }

        async fn shutdown(&mut self) {
            self.call("shutdown").ok();
        }

        async fn post_process(&mut self, exit: Option<&Exit>) -> Report {
            assert!(exit.is_none(), "no command was started");
            self.call("post_process").ok();
            Report::default()
        }
    }

    async fn run(
        fails_in: &'static str,
        checkout: Result<(), Fault>,
        deadline: Deadline,
    ) -> (Vec<&'static str>, Report) {
        let calls = Mutex::new(Vec::new());
        let mut executor = Scripted { fails_in, calls: &calls };
        let bounds = Bounds { deadline, progress: &|_| {} };
        let report = drive(&mut executor, checkout, &bounds, Duration::from_secs(1)).await;
        (calls.into_inner().unwrap(), report)
    }

    fn message(report: &Report) -> Option<&str> {
        report.fault.as_ref().map(|fault| fault.message.as_str())
    }

    #[tokio::test]
    async fn post_process_follows_every_failure() {
        for (fails_in, calls) in [
            ("", vec!["prepare", "startup", "shutdown", "post_process"]),
            ("prepare", vec!["prepare", "post_process"]),
            ("startup", vec!["prepare", "startup", "post_process"]),
        ] {
            let (called, report) = run(fails_in, Ok(()), Deadline::default()).await;
            assert_eq!(called, calls, "fails in {fails_in:?}");
            assert_eq!(message(&report), Some(fails_in).filter(|phase| !phase.is_empty()));
        }
    }

    #[tokio::test]
    async fn failed_checkout_calls_post_process_only() {
        let fault = Fault::new(Progress::Checkout, Cause::Task, "no such branch");
        let (called, report) = run("prepare", Err(fault), Deadline::default()).await;
        assert_eq!(called, ["post_process"]);
        assert_eq!(message(&report), Some("no such branch"), "the first error counts");
    }

    #[tokio::test]
    async fn passed_deadline_is_a_limit() {
        let deadline = Deadline::within(Duration::from_nanos(1));
        tokio::time::sleep(Duration::from_millis(2)).await;
        let calls = Mutex::new(Vec::new());
        let mut executor = Hanging(&calls);
        let bounds = Bounds { deadline, progress: &|_| {} };
        let report = drive(&mut executor, Ok(()), &bounds, Duration::from_secs(1)).await;
        assert_eq!(*calls.lock().unwrap(), ["post_process"]);
        assert_eq!(report.fault.map(|fault| fault.cause), Some(Cause::Limit));
    }

    /// An executor whose `prepare` never ends.
    struct Hanging<'a>(&'a Mutex<Vec<&'static str>>);

    #[async_trait]
    impl Executor for Hanging<'_> {
        async fn prepare(&mut self) -> Result<(), Fault> {
            std::future::pending().await
        }

        async fn startup(&mut self) -> Result<Option<Running>, Fault> {
            unreachable!("prepare never ends")
        }

        async fn post_process(&mut self, _: Option<&Exit>) -> Report {
            self.0.lock().unwrap().push("post_process");
            Report::default()
        }
    }
}
