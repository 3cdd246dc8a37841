"""Starts pytest-xdist's workers so that no program can look into them, or speak for them, in the moment before they could see to
that themselves: from an image that nobody may read. Of a process that executes one the system shows nothing
(https://man7.org/linux/man-pages/man2/prctl.2.html, PR_SET_DUMPABLE). The image is a copy of the dynamic loader, which
then loads the interpreter as it always does.
"""

import ctypes
import os
import subprocess
import sys
import tempfile

from execnet import gateway_io

# The number of the image's descriptor, for a worker to close it.
IMAGE = "OSTEST_IMAGE"


def path_of_loader():
    """Where the program interpreter of this process was loaded from; none in a process without one."""
    AT_BASE = 7
    libc = ctypes.CDLL(None)
    libc.getauxval.restype = ctypes.c_ulong
    begin = "%08x-" % libc.getauxval(AT_BASE)
    with open("/proc/self/maps") as maps:
        paths = [line.split(None, 5)[5].rstrip("\n") for line in maps if line.startswith(begin)]
    return paths[0] if paths else None


def files_without_name():
    """Such as nobody finds: no other process opens one, or puts its own in its place."""
    # Not in versions before 3.8, and refused where memory that is no process's cannot be counted.
    if hasattr(os, "memfd_create"):
        MFD_EXEC = 0x10
        for flags in (os.MFD_CLOEXEC | MFD_EXEC, os.MFD_CLOEXEC):
            try:
                yield os.memfd_create("python", flags)
            except OSError:
                pass
    for folder in (tempfile.gettempdir(), os.curdir):
        try:
            yield os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o700)
        except OSError:
            pass


def path_of(descriptor):
    return "/proc/self/fd/%d" % descriptor


def unreadable(content, descriptor):
    """The file of that descriptor, with that content, as an image that can be executed and not be read."""
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        # Nothing is executed that somebody may write to.
        image = os.open(path_of(descriptor), os.O_RDONLY | os.O_CLOEXEC)
    os.fchmod(image, 0o111)
    return image


class Image:
    """An image, and the arguments with which it starts this interpreter."""

    def __init__(self, descriptor, arguments):
        self.descriptor = descriptor
        self.arguments = arguments

    def start(self, arguments, environment, **streams):
        """Starts the interpreter with `arguments`."""
        return subprocess.Popen(
            [sys.executable] + self.arguments + arguments,
            executable=path_of(self.descriptor),
            pass_fds=(self.descriptor,),
            env=dict(os.environ, **environment),
            **streams
        )

    def works(self):
        """Whether what it starts is the interpreter that this one is."""
        names = "[sys.executable, sys.prefix, sys.base_prefix, sys.version]"
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        try:
            process = self.start(["-c", "import sys; print(ascii(%s))" % names], {}, **streams)
        except OSError:
            return False
        return process.communicate()[0].decode("ascii", "replace").strip() == ascii(eval(names))


def find_image():
    """The first image that works; none where nothing does."""
    loader = path_of_loader()
    if loader is None:
        return None
    with open(loader, "rb") as file:
        content = file.read()
    program = os.path.realpath(sys.executable)
    # Loaders before glibc 2.33 do not know the option: then it must not matter.
    ways = (["--argv0", sys.executable, program], [sys.executable])
    for descriptor in files_without_name():
        descriptor = unreadable(content, descriptor)
        for arguments in ways:
            image = Image(descriptor, arguments)
            if image.works():
                return image
        os.close(descriptor)
    return None


def hide(group, environment):
    """From now on the workers that execnet's `group` starts have `environment` as well, and are hidden where they can be."""
    image = None
    try:
        image = find_image()
    except Exception:
        # They are met as they are, and it is said of them.
        pass
    makegateway, plain = group.makegateway, gateway_io.Popen2IOMaster

    class Started(plain):
        def __init__(self, args, execmodel):
            streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            if image is not None and args[0] == sys.executable:
                number = str(image.descriptor)
                self.popen = image.start(args[1:], dict(environment, **{IMAGE: number}), **streams)
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


def pid_of(gateway):
    """The worker's, if this process has started it: not what somebody says in its place."""
    return getattr(getattr(gateway._io, "popen", None), "pid", None)


def may_look_into_all():
    CAP_SYS_PTRACE = 19
    with open("/proc/self/status") as status:
        effective = [int(line.split()[1], 16) for line in status if line.startswith("CapEff:")]
    return bool(effective and effective[0] >> CAP_SYS_PTRACE & 1)


def is_hidden(gateway):
    """Whether no program can have looked into it yet: what this one must not, they must not."""
    pid = pid_of(gateway)
    if pid is None:
        return False
    # Root's without a sandbox: nothing is hidden from root, and no promise made.
    if may_look_into_all():
        return True
    try:
        os.listdir("/proc/%d/fd" % pid)
    except OSError:
        return os.path.isdir("/proc/self/fd")
    return False
