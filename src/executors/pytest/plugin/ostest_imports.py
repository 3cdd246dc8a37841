"""What the suite's interpreter may import once pytest has loaded the runner's plugin: nothing that a student's program has
put beside the suite's own files or changed, and never its bytecode. Works with Python 3.7 and pytest 6 and later.
"""

import os
import sys
import types
from importlib import machinery, util

# Files and folders of the suite that are looked at; what lies behind that is not imported.
MOST_WALKED = 200000
SOURCES = tuple(machinery.SOURCE_SUFFIXES)
EXTENSIONS = tuple(machinery.EXTENSION_SUFFIXES)
ARCHIVES = (".zip", ".egg", ".whl", ".pyz")


def identity(path):
    """Which file it is and that nobody has changed it: the time of its last change cannot be set back."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return (found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def owned(suite, listed):
    """The suite's own files, by the runner's list; none of them where that cannot be read."""
    try:
        with open(listed, "rb") as names:
            return {os.path.join(os.path.realpath(suite), os.fsdecode(name)) for name in names.read().split(b"\0")}
    except OSError:
        return set()


class Guard:
    """What may be imported: from the suite what was there before any test and has not changed since, from the folders
    that a student's program writes to nothing, from elsewhere all. Bytecode only from elsewhere."""

    def __init__(self, suite, writable, listed=None):
        self.own = owned(suite, listed) if suite and listed else None
        self.suites = {os.path.abspath(suite), os.path.realpath(suite)} if suite else set()
        self.roots = [path for folder in writable for path in {os.path.abspath(folder), os.path.realpath(folder)}]
        # The innermost folder decides, so the longest comes first; the suite before a folder of the same name.
        self.roots = sorted(set(self.roots) - self.suites | self.suites, key=len, reverse=True)
        self.files = {}
        self.folders = set()
        if suite:
            self.walk(os.path.realpath(suite))

    def walk(self, top):
        left, walked = [top], 0
        while left:
            folder = left.pop()
            self.folders.add(folder)
            try:
                entries = list(os.scandir(folder))
            except OSError:
                continue
            walked += len(entries)
            if walked > MOST_WALKED:
                return
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in (".git", "__pycache__"):
                        left.append(entry.path)
                elif entry.name.endswith(SOURCES + EXTENSIONS + ARCHIVES) and self.is_own(entry.path):
                    self.files[entry.path] = identity(entry.path)

    def is_own(self, path):
        """Whether it is the suite's: a student's program may have run before this one began."""
        return self.own is None or path in self.own

    def root(self, path):
        for root in self.roots:
            if path == root or path.startswith(root.rstrip("/") + "/"):
                return root
        return None

    def covers(self, path):
        """Whether the path is in one of the folders, as it is written or as it is meant."""
        path = os.path.abspath(path)
        return self.root(path) is not None or self.root(os.path.realpath(path)) is not None

    def allows(self, path):
        path = os.path.abspath(path)
        folder, name = os.path.split(path)
        place, real = os.path.join(os.path.realpath(folder), name), os.path.realpath(path)
        if self.root(place) is None and self.root(path) is not None:
            return False
        for spot in {place, real}:
            root = self.root(spot)
            if root is None:
                continue
            known = self.files.get(spot)
            if root not in self.suites or known is None or known != identity(spot):
                return False
        return True

    def allows_folder(self, path):
        return os.path.realpath(path) in self.folders

    def refuse(self, path):
        raise ImportError("the runner refuses %s: it was not there before the tests, or has changed" % path, path=path)

    def install(self):
        sys.dont_write_bytecode = True
        sys.path_hooks.insert(0, self.path_hook)
        for path in list(sys.path_importer_cache):
            if self.covers(path):
                del sys.path_importer_cache[path]
        self.guard_loaders()
        self.guard_rewriting()
        self.guard_conftests()

    def guard_conftests(self):
        """A folder among pytest's arguments, `--src FOLDER` say, is searched for a conftest.py before anything knows
        what the option means. One of a student's is nobody's business: as if it were empty."""
        from _pytest.config import PytestPluginManager

        load = PytestPluginManager._importconftest

        def importconftest(manager, conftestpath, *args, **named):
            root = self.root(os.path.realpath(str(conftestpath)))
            if root is not None and root not in self.suites:
                return types.ModuleType("conftest")
            return load(manager, conftestpath, *args, **named)

        PytestPluginManager._importconftest = importconftest

    def path_hook(self, path):
        """For `sys.path_hooks`: a folder that is covered is searched here, for what is allowed."""
        path = os.path.abspath(path)
        if not self.covers(path) or path.endswith(ARCHIVES) and self.allows(path):
            raise ImportError("not guarded", path=path)
        return Finder(self, path)

    def guard_loaders(self):
        """Whoever gets a loader from elsewhere, `spec_from_file_location` say, meets the same rules."""
        source, sourceless, extension = (
            machinery.SourceFileLoader,
            machinery.SourcelessFileLoader,
            machinery.ExtensionFileLoader,
        )
        source_code, sourceless_code, create = source.get_code, sourceless.get_code, extension.create_module

        def get_source_code(loader, fullname):
            path = loader.get_filename(fullname)
            if not self.covers(path):
                return source_code(loader, fullname)
            data = loader.get_data(path)
            # After it was read: what was exchanged meanwhile is not the same file any more.
            if not self.allows(path):
                self.refuse(path)
            return loader.source_to_code(data, path)

        def get_sourceless_code(loader, fullname):
            path = loader.get_filename(fullname)
            return self.refuse(path) if self.covers(path) else sourceless_code(loader, fullname)

        def create_module(loader, spec):
            if self.covers(spec.origin) and not self.allows(spec.origin):
                self.refuse(spec.origin)
            return create(loader, spec)

        source.get_code, sourceless.get_code = get_source_code, get_sourceless_code
        extension.create_module = create_module

    def guard_rewriting(self):
        """pytest keeps bytecode of what it rewrites, and reads sources, by itself."""
        from _pytest.assertion import rewrite

        read, test = getattr(rewrite, "_read_pyc", None), getattr(rewrite, "_rewrite_test", None)
        if read is None or test is None:
            # A version unknown today: no bytecode at all rather than a student's.
            sys.pycache_prefix = os.path.join(os.path.abspath(os.sep), "nonexistent")
            return

        def read_pyc(path, pyc, *args, **named):
            if self.covers(str(path)) or self.covers(str(pyc)):
                return None
            return read(path, pyc, *args, **named)

        def rewrite_test(path, *args, **named):
            rewritten = test(path, *args, **named)
            if self.covers(str(path)) and not self.allows(str(path)):
                self.refuse(str(path))
            return rewritten

        rewrite._read_pyc, rewrite._rewrite_test = read_pyc, rewrite_test


class Finder(machinery.FileFinder):
    """Searches one folder for what the guard allows. The kind of FileFinder that `pkgutil` knows."""

    LOADERS = [(suffix, machinery.ExtensionFileLoader) for suffix in EXTENSIONS] + [
        (suffix, machinery.SourceFileLoader) for suffix in SOURCES
    ]

    def __init__(self, guard, path):
        machinery.FileFinder.__init__(self, path)
        self.guard = guard

    def find_spec(self, fullname, target=None):
        base = os.path.join(self.path, fullname.rpartition(".")[2])
        for inner, places in (("/__init__", [base]), ("", None)):
            for suffix, loader in self.LOADERS:
                path = base + inner + suffix
                if os.path.exists(path) and self.guard.allows(path):
                    made = loader(fullname, path)
                    return util.spec_from_file_location(
                        fullname, path, loader=made, submodule_search_locations=places
                    )
        if self.guard.allows_folder(base) and os.path.isdir(base):
            spec = machinery.ModuleSpec(fullname, None)
            spec.submodule_search_locations = [base]
            return spec
        return None
