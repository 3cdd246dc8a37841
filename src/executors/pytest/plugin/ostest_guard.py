"""Guards the imports of every interpreter of a suite from its start: from the suite's folder it imports the files of the suite only, and
nothing that a program under test has put beside them. The plugin replaces it by a stricter guard when pytest loads it; a suite can run a
program before that.

A .pth file of the suite's environment loads it. It guards imports if OSTEST_SEALED names the suite's folder. OSTEST_OWN names a file that
lists the suite's files; the runner protects them and the list from changes. The interpreter that has the socket for events hides its
memory and descriptors here.
"""

import os
import sys

# The number of the socket for events, which the plugin takes from here.
EVENTS = ""
FINDERS = []


def keep_events(number):
    """Keeps the socket for events: no child inherits it, and no other process can read this one."""
    global EVENTS
    try:
        import stat

        import ostest_memory

        if not number.isdigit() or not stat.S_ISSOCK(os.fstat(int(number)).st_mode):
            return
        os.set_inheritable(int(number), False)
        EVENTS = number
        # The runner examines this process before it is hidden, and answers when it has done so.
        os.write(int(number), b'{"event":"trust"}\n')
        os.read(int(number), 1)
        ostest_memory.hide()
    except (OSError, OverflowError):
        pass


def uninstall():
    """Removes this guard. The plugin calls it after it has installed its own."""
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
        # Somebody has removed the list: then no file counts as the suite's.
        own = set()

    def is_foreign(path):
        return os.path.realpath(path) not in own

    class Source(machinery.SourceFileLoader):
        """Loads sources and never bytecode, which any program can write beside them."""

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
                # The next finders decide.
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
                raise ModuleNotFoundError("the runner refuses %s: it is not a file of the suite" % spec.origin, name=fullname)
            return found

    def is_foreign_distribution(distribution):
        """Whether a program under test can have written the distribution: it is in such a folder, and not all its files are the suite's."""
        path = os.path.realpath(str(getattr(distribution, "_path", os.sep)))
        if not any(below(path, folder) for folder in roots):
            return False
        try:
            names = [os.path.join(path, name) for name in os.listdir(path)]
        except OSError:
            names = [path]
        return any(map(is_foreign, names))

    def guard_distributions():
        """Hides foreign distributions, whose entry points pytest would load as plugins."""
        find = machinery.PathFinder.find_distributions

        def find_distributions(*args, **named):
            return (found for found in find(*args, **named) if not is_foreign_distribution(found))

        machinery.PathFinder.find_distributions = staticmethod(find_distributions)

    sys.dont_write_bytecode = True
    sys.meta_path.insert(0, Finder)
    FINDERS.append(Finder)
    # Python before 3.8 has no such function.
    if hasattr(machinery.PathFinder, "find_distributions"):
        guard_distributions()


keep_events(os.environ.pop("OSTEST_EVENTS", ""))
if os.environ.get("OSTEST_SEALED"):
    install(
        os.environ["OSTEST_SEALED"],
        os.environ.get("OSTEST_OWN", ""),
        os.environ.get("OSTEST_WRITABLE", "").split(":"),
    )
