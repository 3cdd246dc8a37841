//! Completion scripts and the manual page, generated from the declaration of the command line.

use std::io;

use clap::{Arg, ArgAction, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

/// A shell for which there is a completion script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[expect(missing_docs, reason = "the names of the shells")]
pub enum CompletedShell {
    Bash,
    Zsh,
    Fish,
}

/// The script with which `shell` completes the command line of `command`.
pub fn completions(shell: CompletedShell, command: &Command) -> Vec<u8> {
    let shell = match shell {
        CompletedShell::Bash => Shell::Bash,
        CompletedShell::Zsh => Shell::Zsh,
        CompletedShell::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut visible(command), command.get_name(), &mut script);
    script
}

/// A copy of `command` without the hidden options, which the completion would offer.
fn visible(command: &Command) -> Command {
    Command::new(command.get_name().to_owned())
        .about(command.get_about().cloned().unwrap_or_default())
        .version(command.get_version().unwrap_or_default().to_owned())
        .args(command.get_arguments().filter(|argument| !argument.is_hide_set()).map(completed))
        .subcommands(command.get_subcommands().map(visible))
}

/// A copy of `argument` for the completion. A switch such as `--auth[=true|false]` becomes one without a value: a shell
/// would complete the next word as its value, which is valid only after `=`.
fn completed(argument: &Arg) -> Arg {
    if !argument.is_require_equals_set() {
        return argument.clone();
    }
    let plain = Arg::new(argument.get_id().clone()).action(ArgAction::SetTrue).global(true);
    plain
        .long(argument.get_long().unwrap_or_default().to_owned())
        .help(argument.get_help().cloned().unwrap_or_default())
}

/// The manual page of `command` and all its subcommands, in roff.
///
/// # Errors
/// None in practice: the page is written to memory.
pub fn page(mut command: Command) -> io::Result<Vec<u8>> {
    command.build();
    let mut commands = Roff::new();
    commands.control("SH", ["COMMANDS"]);
    describe(&command, "", &mut commands);
    let mut synopsis = Roff::new();
    synopsis.control("SH", ["SYNOPSIS"]);
    synopsis.text([
        bold("runner"),
        roman(" ["),
        italic("option"),
        roman(" ...] ["),
        italic("command"),
        roman("]"),
    ]);
    let mut page = Vec::new();
    let man = Man::new(command);
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    synopsis.to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    commands.to_writer(&mut page)?;
    man.render_options_section(&mut page)?;
    man.render_extra_section(&mut page)?;
    service_sections().to_writer(&mut page)?;
    man.render_version_section(&mut page)?;
    // Without a declared encoding groff reads ASCII, and a terminal may not have this character.
    Ok(String::from_utf8_lossy(&page).replace('…', "...").into_bytes())
}

/// The sections about systemd and files, which do not follow from the options.
fn service_sections() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["UNDER SYSTEMD"]);
    roff.text([roman(
        "The status line (systemctl status) shows whether the runner is preparing the suite, idle, working or \
         stopping; how many slots are busy; the first tasks with their progress; and any problem with the spool, the \
         backend, the login, the suite or the poll loop. If the poll loop is stuck, the runner stops feeding the \
         watchdog, and systemd restarts it. A reload reads the settings again. A stop drains: the runner finishes its \
         tasks and asks systemd for the time that this takes.",
    )]);
    roff.control("SH", ["FILES"]);
    for (path, what) in [
        ("/etc/ostest-runner/config.toml", "Settings, unless --config names another file."),
        ("/etc/ostest-runner/environment", "Settings of the units as environment variables."),
        (
            "/etc/ostest-runner/NAME.environment",
            "Variables of the instance ostest-runner@NAME; they go before those of environment.",
        ),
        ("/etc/credstore/ostest-runner.password", "The password, which systemd passes on as a credential."),
        (
            "/etc/credstore/ostest-runner@NAME.password",
            "The password of the instance NAME, if it has its own.",
        ),
        (
            "/var/lib/ostest-runner, /var/lib/ostest-runner-NAME",
            "State folders: spool, mirrors, environments.",
        ),
    ] {
        roff.control("TP", []);
        roff.text([italic(path)]);
        roff.text([roman(what)]);
    }
    roff
}

/// Writes the subcommands below `command`, each with its own arguments; the settings are in a section of their own.
fn describe(command: &Command, prefix: &str, to: &mut Roff) {
    let is_own = |argument: &&Arg| {
        !argument.is_positional() && !argument.is_global_set() && argument.get_id() != "help"
    };
    for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
        let name = format!("{prefix}{} ", command.get_name());
        if command.has_subcommands() {
            describe(command, &name, to);
            continue;
        }
        let positional: Vec<_> = command.get_positionals().map(ToString::to_string).collect();
        to.control("TP", []);
        to.text([bold(name), italic(positional.join(" "))]);
        to.text([roman(command.get_about().map(ToString::to_string).unwrap_or_default())]);
        for argument in command.get_arguments().filter(is_own) {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            to.control("br", []);
            to.text([bold(argument.to_string()), roman(format!(": {help}"))]);
        }
    }
}
