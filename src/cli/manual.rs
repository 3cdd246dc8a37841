//! What a shell and `man` know of the command line, made from its one declaration.

use std::io;

use clap::{Arg, ArgAction, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

/// The shells that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[expect(missing_docs, reason = "they are called so")]
pub enum Shells {
    Bash,
    Zsh,
    Fish,
}

/// A script that completes the command line of `command`.
pub fn completions(shell: Shells, command: &Command) -> Vec<u8> {
    let shell = match shell {
        Shells::Bash => Shell::Bash,
        Shells::Zsh => Shell::Zsh,
        Shells::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut visible(command), command.get_name(), &mut script);
    script
}

/// The command without what is not for people; the completion would offer it.
fn visible(command: &Command) -> Command {
    Command::new(command.get_name().to_owned())
        .about(command.get_about().cloned().unwrap_or_default())
        .version(command.get_version().unwrap_or_default().to_owned())
        .args(command.get_arguments().filter(|argument| !argument.is_hide_set()).map(completed))
        .subcommands(command.get_subcommands().map(visible))
}

/// A switch takes a value only after `=`: shells that know that it takes one would complete the next word as that.
fn completed(argument: &Arg) -> Arg {
    if !argument.is_require_equals_set() {
        return argument.clone();
    }
    let plain = Arg::new(argument.get_id().clone()).action(ArgAction::SetTrue).global(true);
    plain
        .long(argument.get_long().unwrap_or_default().to_owned())
        .help(argument.get_help().cloned().unwrap_or_default())
}

/// The page of `command` and of all its subcommands, in roff.
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
    service().to_writer(&mut page)?;
    man.render_version_section(&mut page)?;
    // groff reads ASCII where nothing tells it of another encoding, and a terminal may have no such character.
    Ok(String::from_utf8_lossy(&page).replace('…', "...").into_bytes())
}

/// What the units bring, which no declaration of options knows.
fn service() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["UNDER SYSTEMD"]);
    roff.text([roman(
        "The status line (systemctl status) says whether the runner makes ready what tasks share, is idle, working or \
         stopping; how many slots are busy; the first tasks, each with its progress; and what is in the way: the spool, \
         the backend, the login, the suite, or that the poll loop is stuck. In the last case the watchdog is not fed \
         any more, and systemd restarts the runner. A reload reads the settings again; a stop drains, and asks for \
         the time that takes.",
    )]);
    roff.control("SH", ["FILES"]);
    for (path, what) in [
        ("/etc/ostest-runner/config.toml", "Settings, where --config names no other file."),
        ("/etc/ostest-runner/environment", "Settings of the units as environment variables."),
        (
            "/etc/ostest-runner/NAME.environment",
            "The same of the instance ostest-runner@NAME; goes over the former.",
        ),
        ("/etc/credstore/ostest-runner.password", "The password, handed on by systemd as a credential."),
        ("/etc/credstore/ostest-runner@NAME.password", "The same of an instance, where it has its own."),
        (
            "/var/lib/ostest-runner, /var/lib/ostest-runner-NAME",
            "What outlives a run: spool, mirrors, environments.",
        ),
    ] {
        roff.control("TP", []);
        roff.text([italic(path)]);
        roff.text([roman(what)]);
    }
    roff
}

/// The subcommands below `command`, each with what it takes besides the settings.
fn describe(command: &Command, above: &str, to: &mut Roff) {
    let own = |argument: &&Arg| {
        !argument.is_positional() && !argument.is_global_set() && argument.get_id() != "help"
    };
    for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
        let name = format!("{above}{} ", command.get_name());
        if command.has_subcommands() {
            describe(command, &name, to);
            continue;
        }
        let positional: Vec<_> = command.get_positionals().map(ToString::to_string).collect();
        to.control("TP", []);
        to.text([bold(name), italic(positional.join(" "))]);
        to.text([roman(command.get_about().map(ToString::to_string).unwrap_or_default())]);
        for argument in command.get_arguments().filter(own) {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            to.control("br", []);
            to.text([bold(argument.to_string()), roman(format!(": {help}"))]);
        }
    }
}
