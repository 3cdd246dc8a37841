"""Starts pytest-xdist's workers so that no program can look into them, or speak for them, in the moment before they could see to
that themselves: from an image that nobody may read. Of a process that executes one the system shows nothing
(https://man7.org/linux/man-pages/man2/prctl.2.html, PR_SET_DUMPABLE). The image is a copy of the dynamic loader, which
then loads the interpreter as it always does.

A program under test may run beside all this. What it can bring about (the end of a process, a full disk) never leads to
workers that can be looked into and are believed: that is what `Disturbed` is for.
"""

import ctypes
import errno
import os
import stat
import subprocess
import sys
import tempfile

from execnet import gateway_io

# What the system says where it has no such thing: no program can bring that about.
MISSING = (errno.ENOSYS, errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.EPERM)
# The loader's exit code for what it cannot load.
NOT_LOADED = 127
# Seconds that an interpreter may take to begin and end.
PATIENCE = 60
# The image of this process, once there is one.
FOUND = []


class Disturbed(Exception):
    """It went wrong in a way that a program under test can bring about."""


def path_of_loader():
    """Where the program interpreter of this process was loaded from; none in a process without one."""
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
    """Makers of files without a name: no other process finds one, or puts its own in its place."""
    # Not in versions before 3.8, and refused where memory that is no process's cannot be counted.
    if hasattr(os, "memfd_create"):
        yield memory
    yield lambda: in_folder(tempfile.gettempdir())
    yield lambda: in_folder(os.curdir)


def path_of(descriptor):
    return "/proc/self/fd/%d" % descriptor


def unreadable(content, descriptor):
    """The file of that descriptor, with that content, as an image that can be executed and not be read."""
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        # Nothing is executed that somebody may write to.
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
        """Starts the interpreter with `arguments`. Nobody inherits the image: it is closed as it is executed, with all
        else that Python opens."""
        return subprocess.Popen(
            [sys.executable] + self.arguments + arguments,
            executable=path_of(self.descriptor),
            close_fds=False,
            env=dict(os.environ, **environment),
            **streams
        )

    def works(self):
        """Whether what it starts is the interpreter that this one is."""
        names = "[sys.executable, sys.prefix, sys.base_prefix, sys.version]"
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        try:
            process = self.start(["-c", "import sys; print(ascii(%s))" % names], {}, **streams)
        except OSError as error:
            # No programs in that folder, or of that kind.
            if error.errno in (errno.EACCES, errno.ENOEXEC) or error.errno in MISSING:
                return False
            raise
        try:
            said = process.communicate(timeout=PATIENCE)[0].decode("ascii", "replace").split("\n")
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        # A loader that cannot load it ends with this; whatever else ended it, a signal may have.
        if process.returncode not in (0, NOT_LOADED):
            raise Disturbed("it ended with %d" % process.returncode)
        return ascii(eval(names)) in said


def find_image():
    """The first image that works; none where the system has no such thing."""
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
    """Whether the system shows nothing of a process whose image cannot be read: it may be told otherwise."""
    with open("/proc/sys/fs/suid_dumpable") as setting:
        return setting.read().strip() in ("0", "2")


def hide(group, environment):
    """From now on the workers that execnet's `group` starts have `environment` as well, and are hidden where they can be.
    Where a program may have seen to it that they are not, the exception comes when all else is done."""
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
        # What else a suite starts with execnet is its own business.
        gateway_io.Popen2IOMaster = Started
        try:
            return makegateway(*args, **named)
        finally:
            gateway_io.Popen2IOMaster = plain

    group.makegateway = start
    if disturbed is not None:
        raise Disturbed(str(disturbed))


def may_look_into_all():
    CAP_SYS_PTRACE = 19
    with open("/proc/self/status") as status:
        effective = [int(line.split()[1], 16) for line in status if line.startswith("CapEff:")]
    return bool(effective and effective[0] >> CAP_SYS_PTRACE & 1)


def is_hidden(gateway):
    """Whether it was started so that nobody can have looked into it. To look whether it can be done now would not do: somebody
    may have ended it meanwhile, and speak in its place."""
    # Root's without a sandbox: nothing is hidden from root, and no promise made.
    if may_look_into_all():
        return True
    if not getattr(gateway._io, "is_hidden", False) or gateway._io.popen.poll() is not None:
        return False
    try:
        os.listdir("/proc/%d/fd" % gateway._io.popen.pid)
    except OSError:
        return True
    return False


def pid_of(gateway):
    """The worker's, as this process has started it; none where another did."""
    return getattr(getattr(gateway._io, "popen", None), "pid", None)
