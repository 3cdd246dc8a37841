//! The OSTEST runner: takes test tasks from a backend, runs them safely, and never loses an answer.
//!
//! The way of a task, a module a step:
//!
//! ```text
//! poll -> claim -> checkout -> execute -> report -> deliver
//! ```
//!
//! [`poll`] takes a free slot and then asks the [`backend`]; what it is given goes into the [`spool`] before anything
//! else happens. An [`attempt`] has it run by a [`worker`], through [`checkout`] and [`execute`], where an executor
//! runs the suite and [`junit`] reads what it wrote; the [`report`] becomes a body that the spool keeps and
//! [`deliver`] sends until the backend has it. Everything that can hang or be hostile runs below [`process`].
//!
//! All of these tell [`observe`] what they do, and [`serve`] shows it to whoever asks.
//!
//! Modules import downward only: `main, app` -> `daemon` -> `cli, config` -> `poll` -> `attempt` -> `worker, deliver` -> `execute` ->
//! `checkout` -> `process` -> `sandbox`, with `junit`, `backend`, `spool` and `git` beside these, and `task`, `report` and the small ones below all.

pub mod app;
pub mod attempt;
pub mod backend;
pub mod checkout;
pub mod cli;
pub mod config;
pub mod config_command;
pub mod daemon;
pub mod deliver;
pub mod demo;
pub mod doctor;
pub mod execute;
pub mod git;
pub mod healthcheck;
pub mod init;
pub mod junit;
pub mod kept;
pub mod live;
pub mod logging;
pub mod manual;
pub mod notify;
pub mod object_cache;
pub mod observe;
pub mod parse_report;
pub mod password;
pub mod poll;
pub mod process;
pub mod reload;
pub mod report;
pub mod repository;
pub mod retry;
pub mod run;
pub mod sandbox;
pub mod screen;
pub mod serve;
pub mod spool;
pub mod spool_command;
pub mod stop;
pub mod task;
pub mod text;
pub mod units;
pub mod worker;
pub mod workspace;
