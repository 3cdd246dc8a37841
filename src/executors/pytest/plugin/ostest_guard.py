"""For all interpreters of a suite, as they begin: from the suite's folder they import what belongs to the suite, and nothing
that a student's program has put beside it. The plugin looks closer, once pytest has loaded it; a suite may have let a student's
program run before that.

Loaded by a .pth file of the suite's environment; guards no imports where OSTEST_SEALED does not name a suite. OSTEST_OWN names a
file that lists the suite's own files; the runner sees to it that they, and the list, stay as they are. The interpreter that was
given the socket for events keeps it to itself from here on, and is nobody's to look into.
"""

import os
import sys

# The number of the socket for events, for the plugin.
EVENTS = ""
FINDERS = []


def keep_events(number):
    """Takes the number out of the environment; the descriptor behind it is not inherited, nor to be had by looking."""
    global EVENTS
    try:
        import stat

        if not number.isdigit() or not stat.S_ISSOCK(os.fstat(int(number)).st_mode):
            return
        os.set_inheritable(int(number), False)
        EVENTS = number
        # Before nobody can look into this one any more: only who is named may hide, and the answer says that it is.
        os.write(int(number), b'{"event":"trust"}\n')
        os.read(int(number), 1)
        hide_memory()
    except (OSError, OverflowError):
        pass


def hide_memory():
    """Makes the interpreter's memory and descriptors nobody's to look at, not even this user's other processes'."""
    try:
        # What ctypes is made of: to load all of that takes longer than the rest of an interpreter's start.
        import _ctypes

        PR_SET_DUMPABLE = 4
        _ctypes.call_function(_ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl"), (PR_SET_DUMPABLE, 0, 0, 0, 0))
    except Exception:
        pass


def uninstall():
    """For the plugin, whose own guard is in force."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if finder not in FINDERS]


def install(suite, listed, writable):
    from importlib import machinery, util

    root = os.path.realpath(suite)
    roots = [root] + [os.path.realpath(folder) for folder in writable if folder]

    def below(real, folder):
        return real == folder or real.startswith(folder + os.sep)

    def inside(path):
        return below(os.path.realpath(path or os.curdir), root)

    try:
        with open(listed, "rb") as names:
            own = {os.path.join(root, os.fsdecode(name)) for name in names.read().split(b"\0")}
    except OSError:
        # Somebody has seen to that: then nothing is the suite's.
        own = set()

    def is_foreign(path):
        return os.path.realpath(path) not in own

    class Source(machinery.SourceFileLoader):
        """Never bytecode: that is written beside the sources, by whoever comes first."""

        def get_code(self, fullname):
            path = self.get_filename(fullname)
            return self.source_to_code(self.get_data(path), path)

    class Finder:
        @classmethod
        def find_spec(cls, fullname, path=None, target=None):
            places = sys.path if path is None else list(path)
            if not any(map(inside, places)):
                return None
            spec = machinery.PathFinder.find_spec(fullname, places, target)
            if spec is None or not spec.has_location or not inside(spec.origin):
                # Those that come after this one decide.
                return None
            if isinstance(spec.loader, machinery.SourceFileLoader) and not is_foreign(spec.origin):
                return util.spec_from_file_location(
                    fullname,
                    spec.origin,
                    loader=Source(fullname, spec.origin),
                    submodule_search_locations=spec.submodule_search_locations,
                )
            if isinstance(spec.loader, machinery.ExtensionFileLoader) and not is_foreign(spec.origin):
                return spec
            others = [place for place in places if not inside(place)]
            found = machinery.PathFinder.find_spec(fullname, others, target)
            if found is None:
                raise ModuleNotFoundError("the runner refuses %s: it is not the suite's" % spec.origin, name=fullname)
            return found

    def is_strange(distribution):
        """Whether it lies where a student's program can put one, and is not the suite's own with all its files."""
        path = os.path.realpath(str(getattr(distribution, "_path", os.sep)))
        if not any(below(path, folder) for folder in roots):
            return False
        try:
            names = [os.path.join(path, name) for name in os.listdir(path)]
        except OSError:
            names = [path]
        return any(map(is_foreign, names))

    def guard_distributions():
        """A package's name and entry points are not imported: pytest takes its plugins by them."""
        find = machinery.PathFinder.find_distributions

        def find_distributions(*args, **named):
            return (found for found in find(*args, **named) if not is_strange(found))

        machinery.PathFinder.find_distributions = staticmethod(find_distributions)

    sys.dont_write_bytecode = True
    sys.meta_path.insert(0, Finder)
    FINDERS.append(Finder)
    # Older than Python 3.8, nothing is found in this way.
    if hasattr(machinery.PathFinder, "find_distributions"):
        guard_distributions()


keep_events(os.environ.pop("OSTEST_EVENTS", ""))
if os.environ.get("OSTEST_SEALED"):
    install(
        os.environ["OSTEST_SEALED"],
        os.environ.get("OSTEST_OWN", ""),
        os.environ.get("OSTEST_WRITABLE", "").split(":"),
    )
