//! Tests that kill the runner at every point of a task. Each test detects its point from outside: by files of the spool,
//! requests to the backend, the task's folder and its processes. Then it restarts the runner on the same state. The
//! backend must receive one correct answer, and no process, folder or file of the task may remain.
//!
//! Each test kills twice. `RUNNER_TEST_CRASH_ROUNDS=100 cargo test --test it crash_points` kills 100 times.

mod delivery;
mod execution;
mod restarts;
mod scene;
