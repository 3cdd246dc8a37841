"""Starts pytest-xdist's workers so that no program can read them, or send results in their place, from their first moment on: from an
executable image that nobody can read. Linux makes a process that executes such an image not dumpable
(https://man7.org/linux/man-pages/man2/prctl.2.html, PR_SET_DUMPABLE). The image is a copy of the dynamic loader, which then loads the
interpreter as usual.

A program under test can run at the same time. Nothing that it can cause (the end of a process, a full disk) leads to workers that are
readable and trusted: such cases raise `Disturbed`.
"""

import ctypes
import errno
import os
import stat
import subprocess
import sys
import tempfile

from execnet import gateway_io

# Errors of a system without the feature. No program can cause them.
MISSING = (errno.ENOSYS, errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.EPERM)
# Exit code of the loader for a program that it cannot load.
NOT_LOADED = 127
# Maximum seconds for the start and end of an interpreter.
MAX_SECONDS = 60
# The image of this process, after it was made.
FOUND = []


class Disturbed(Exception):
    """A failure that a program under test can cause."""


def path_of_loader():
    """The path of this process's dynamic loader; None in a process without one."""
    AT_BASE = 7
    libc = ctypes.CDLL(None)
    libc.getauxval.restype = ctypes.c_ulong
    begin = "%08x-" % libc.getauxval(AT_BASE)
    with open("/proc/self/maps") as maps:
        paths = [line.split(None, 5)[5].rstrip("\n") for line in maps if line.startswith(begin)]
    return paths[0] if paths else None


def memory():
    MFD_EXEC = 0x10
    try:
        return os.memfd_create("python", os.MFD_CLOEXEC | MFD_EXEC)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    # Linux before 6.3.
    return os.memfd_create("python", os.MFD_CLOEXEC)


def in_folder(folder):
    return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o700)


def places():
    """Functions that make files without a name, which no other process can find or replace."""
    # Python before 3.8 has no such function, and the sandbox refuses it where it cannot account for such memory.
    if hasattr(os, "memfd_create"):
        yield memory
    yield lambda: in_folder(tempfile.gettempdir())
    yield lambda: in_folder(os.curdir)


def path_of(descriptor):
    return "/proc/self/fd/%d" % descriptor


def unreadable(content, descriptor):
    """Writes the content to the descriptor's file and makes it an image that can be executed and not be read."""
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        # Linux executes no file that is open for writing.
        image = os.open(path_of(descriptor), os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fchmod(image, 0o111)
    except BaseException:
        os.close(image)
        raise
    return image


def is_unreadable(image):
    if stat.S_IMODE(os.fstat(image).st_mode) != 0o111:
        return False
    try:
        os.close(os.open(path_of(image), os.O_RDONLY | os.O_CLOEXEC))
    except PermissionError:
        return True
    return False


class Image:
    """An image, and the arguments with which it starts this interpreter."""

    def __init__(self, descriptor, arguments):
        self.descriptor = descriptor
        self.arguments = arguments

    def start(self, arguments, environment, **streams):
        """Starts the interpreter with `arguments`. The worker does not inherit the image: its descriptor closes on exec, as all descriptors
        of Python do."""
        return subprocess.Popen(
            [sys.executable] + self.arguments + arguments,
            executable=path_of(self.descriptor),
            close_fds=False,
            env=dict(os.environ, **environment),
            **streams
        )

    def works(self):
        """Whether it starts the interpreter of this process."""
        names = "[sys.executable, sys.prefix, sys.base_prefix, sys.version]"
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        try:
            process = self.start(["-c", "import sys; print(ascii(%s))" % names], {}, **streams)
        except OSError as error:
            # The folder or the system does not allow such programs.
            if error.errno in (errno.EACCES, errno.ENOEXEC) or error.errno in MISSING:
                return False
            raise
        try:
            output = process.communicate(timeout=MAX_SECONDS)[0].decode("ascii", "replace").split("\n")
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        # A loader that cannot load the interpreter ends with NOT_LOADED. A program can cause any other end, with a signal.
        if process.returncode not in (0, NOT_LOADED):
            raise Disturbed("it ended with %d" % process.returncode)
        return ascii(eval(names)) in output


def find_image():
    """The first image that works; None if the system supports none."""
    loader = path_of_loader()
    if loader is None:
        return None
    with open(loader, "rb") as file:
        content = file.read()
    program = os.path.realpath(sys.executable)
    # The second for interpreters that find their libraries beside themselves, and not beside a link; glibc 2.33 and later.
    ways = ([sys.executable], ["--argv0", sys.executable, program])
    disturbed = None
    for make in places():
        try:
            descriptor = unreadable(content, make())
        except OSError as error:
            if error.errno not in MISSING:
                disturbed = error
            continue
        for image in [Image(descriptor, arguments) for arguments in ways]:
            try:
                if is_unreadable(descriptor) and image.works():
                    return image
            except (Disturbed, OSError) as error:
                disturbed = error
        os.close(descriptor)
    if disturbed is not None:
        raise Disturbed(str(disturbed))
    return None


def image_of_process():
    if not FOUND:
        FOUND.append(find_image())
    return FOUND[0]


def hides():
    """Whether Linux hides processes with an unreadable image; a system setting can turn that off."""
    with open("/proc/sys/fs/suid_dumpable") as setting:
        return setting.read().strip() in ("0", "2")


def hide(group, environment):
    """Makes execnet's `group` start its workers with `environment` added, and hidden if the system allows it. If a program under test may
    have prevented that, raises `Disturbed` at the end."""
    image = disturbed = None
    try:
        image = image_of_process() if hides() else None
    except Exception as error:
        disturbed = error
    makegateway, plain = group.makegateway, gateway_io.Popen2IOMaster

    class Started(plain):
        def __init__(self, args, execmodel):
            streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            self.is_hidden = image is not None and args[0] == sys.executable and is_unreadable(image.descriptor)
            if self.is_hidden:
                self.popen = image.start(args[1:], environment, **streams)
            else:
                self.popen = subprocess.Popen(args, env=dict(os.environ, **environment), **streams)
            gateway_io.Popen2IO.__init__(self, self.popen.stdin, self.popen.stdout, execmodel=execmodel)

    def start(*args, **named):
        # Other gateways that the suite opens with execnet start as usual.
        gateway_io.Popen2IOMaster = Started
        try:
            return makegateway(*args, **named)
        finally:
            gateway_io.Popen2IOMaster = plain

    group.makegateway = start
    if disturbed is not None:
        raise Disturbed(str(disturbed))


def can_read_all_processes():
    CAP_SYS_PTRACE = 19
    with open("/proc/self/status") as status:
        effective = [int(line.split()[1], 16) for line in status if line.startswith("CapEff:")]
    return bool(effective and effective[0] >> CAP_SYS_PTRACE & 1)


def is_hidden(gateway):
    """Whether the worker was started so that nobody can have read it. A check of the running process alone is not enough: a program can
    have ended it and taken its place."""
    # This is root without a sandbox: nothing is hidden from root, and nothing is promised.
    if can_read_all_processes():
        return True
    if not getattr(gateway._io, "is_hidden", False) or gateway._io.popen.poll() is not None:
        return False
    try:
        os.listdir("/proc/%d/fd" % gateway._io.popen.pid)
    except OSError:
        return True
    return False


def pid_of(gateway):
    """The process id of the worker; None if another process has started it."""
    return getattr(getattr(gateway._io, "popen", None), "pid", None)
