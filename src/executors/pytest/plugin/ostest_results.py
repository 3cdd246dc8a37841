"""Results of test cases in the form of pytest's JUnit file, as the runner reads it: names, outcomes and descriptions. Works with
Python 3.7 and pytest 6 and later.
"""

import re

# Maximum bytes of a description, before JSON.
MAX_DESCRIPTION = 16 << 10
# Characters of each end of a longer name. The runner keeps fewer.
MAX_NAME_END = 4 << 10
# The characters that pytest's junitxml escapes; and DEL, in the same way.
ILLEGAL = re.compile("[^\t\n\r\x20-\x7e\x80-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escape(text):
    """Escapes characters that XML does not allow, as pytest does."""
    return ILLEGAL.sub(lambda match: "#x%02X" % ord(match.group()), str(text))


def cut(text, limit=MAX_DESCRIPTION):
    """Shortens text to at most `limit` bytes: head and tail, and between them the line that the runner uses too."""
    data = text.encode("utf-8")
    if len(data) <= limit:
        return text
    half = limit // 2 - 40
    head, tail = data[:half].decode("utf-8", "ignore"), data[-half:].decode("utf-8", "ignore")
    removed = len(data) - len(head.encode("utf-8")) - len(tail.encode("utf-8"))
    return "%s\n[\u2026 %d bytes cut \u2026]\n%s" % (head, removed, tail)


def without_blank_ends(text):
    """Removes blank lines at the start and white space at the end; keeps the indentation of the first line."""
    text = text.rstrip()
    return text[text.rfind("\n", 0, len(text) - len(text.lstrip())) + 1 :]


def describe(problems):
    """Joins the problems of a case into one description: of each the message, unless its text begins with it, and the text."""
    lines = []
    for _, message, text, kind in problems:
        message, text = escape(message).strip(), without_blank_ends(escape(text))
        if not message and not text:
            lines.append(kind)
            continue
        begin = text.lstrip()
        if not begin.startswith(message) or begin[len(message) :][:1].isalnum():
            lines.append(message)
        lines.append(text)
    return cut("\n".join(line for line in lines if line))


def shorten(message):
    """Shortens a message as newer versions of pytest do for the message attribute."""
    from _pytest import junitxml

    return getattr(junitxml, "shorten_message", str)(message)


def crash(report):
    """The message of the exception in a report."""
    found = getattr(report.longrepr, "reprcrash", None)
    return str(report.longrepr) if found is None else found.message


def without(prefix, text):
    return text[len(prefix) :] if text.startswith(prefix) else text


def problem(report):
    """The problem in a test report by the rules of pytest's `junitxml`: outcome, message, text, type; None if there is none."""
    expected = getattr(report, "wasxfail", None)
    if report.outcome == "failed" and report.when == "call":
        if expected is not None:
            return ("skipped", "xfail-marked test passes unexpectedly", "", "")
        return ("failed", shorten(crash(report)), str(report.longrepr), "")
    if report.outcome == "failed":
        when = "teardown" if report.when == "teardown" else "setup"
        message = 'failed on %s with "%s"' % (when, crash(report))
        return ("errored", shorten(message), str(report.longrepr), "")
    if report.outcome == "skipped" and expected is not None:
        return ("skipped", without("reason: ", expected), "", "pytest.xfail")
    if report.outcome == "skipped":
        if not isinstance(report.longrepr, tuple):
            return ("skipped", "", str(report.longrepr), "pytest.skip")
        path, line, reason = report.longrepr
        reason = without("Skipped: ", reason)
        return ("skipped", reason, "%s:%s: %s" % (path, line, reason), "pytest.skip")
    return None


def case_name(nodeid, prefix):
    """The name of a case: `classname::name`, both as pytest writes them into its JUnit file."""
    try:
        from _pytest.junitxml import mangle_test_address

        names = list(mangle_test_address(nodeid))
    except Exception:
        path, bracket, parameters = str(nodeid).partition("[")
        names = [part for part in path.split("::") if part != "()"]
        names[0] = re.sub(r"\.py$", "", names[0].replace("/", "."))
        names[-1] += bracket + parameters
    classes = ([prefix] if prefix else []) + names[:-1]
    name = escape("%s::%s" % (".".join(classes), names[-1]))
    if len(name) > 2 * MAX_NAME_END:
        name = name[:MAX_NAME_END] + name[-MAX_NAME_END:]
    return name
