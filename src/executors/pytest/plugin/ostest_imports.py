"""Guards the imports of the suite's interpreter after pytest has loaded the runner's plugin: it imports no file that a program under test
has added or changed, and none of its bytecode. Works with Python 3.7 and pytest 6 and later.
"""

import os
import sys
import types
from importlib import machinery, util

# Maximum number of files and folders of the suite that are examined; further files are not imported.
MAX_WALKED = 200000
SOURCES = tuple(machinery.SOURCE_SUFFIXES)
EXTENSIONS = tuple(machinery.EXTENSION_SUFFIXES)
ARCHIVES = (".zip", ".egg", ".whl", ".pyz")


def identity(path):
    """The identity of a file and of its content: no program can set its change time (st_ctime) back. None if there is no file."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return (found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def listed_files(suite, listed):
    """The paths of the suite's files by the runner's list; empty if the list cannot be read."""
    try:
        with open(listed, "rb") as names:
            return {os.path.join(os.path.realpath(suite), os.fsdecode(name)) for name in names.read().split(b"\0")}
    except OSError:
        return set()


class Guard:
    """Decides what can be imported: from the suite the files that existed before any test and have not changed since; from the folders
    that a program under test writes to, nothing; from other folders, everything. Bytecode comes from other folders only."""

    def __init__(self, suite, writable, listed=None):
        self.listed = listed_files(suite, listed) if suite and listed else None
        self.suites = {os.path.abspath(suite), os.path.realpath(suite)} if suite else set()
        self.roots = [path for folder in writable for path in {os.path.abspath(folder), os.path.realpath(folder)}]
        # The innermost folder decides, so the longest path comes first. A folder that is both the suite and writable counts as the suite.
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
            if walked > MAX_WALKED:
                return
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in (".git", "__pycache__"):
                        left.append(entry.path)
                elif entry.name.endswith(SOURCES + EXTENSIONS + ARCHIVES) and self.is_listed(entry.path):
                    self.files[entry.path] = identity(entry.path)

    def is_listed(self, path):
        """Whether the file is in the list of the suite's files. A program under test can have run before this interpreter started."""
        return self.listed is None or path in self.listed

    def root(self, path):
        for root in self.roots:
            if path == root or path.startswith(root.rstrip("/") + "/"):
                return root
        return None

    def covers(self, path):
        """Whether the path is in one of the guarded folders, before or after its symbolic links are resolved."""
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
        """Replaces a conftest.py of the program under test by an empty module. pytest searches each folder among its arguments for one,
        also the value of an option such as `--src FOLDER`, before it knows what the option means."""
        from _pytest.config import PytestPluginManager

        load = PytestPluginManager._importconftest

        def importconftest(manager, conftestpath, *args, **named):
            root = self.root(os.path.realpath(str(conftestpath)))
            if root is not None and root not in self.suites:
                return types.ModuleType("conftest")
            return load(manager, conftestpath, *args, **named)

        PytestPluginManager._importconftest = importconftest

    def path_hook(self, path):
        """An entry of `sys.path_hooks`: the finder for a guarded folder."""
        path = os.path.abspath(path)
        if not self.covers(path) or path.endswith(ARCHIVES) and self.allows(path):
            raise ImportError("not guarded", path=path)
        return Finder(self, path)

    def guard_loaders(self):
        """Applies the same rules to loaders that code makes itself, for example with `spec_from_file_location`."""
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
            # Checked after the file was read, so that a file that was exchanged meanwhile is refused.
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
        """Applies the same rules to pytest's rewriting of assertions, which reads sources and caches bytecode by itself."""
        from _pytest.assertion import rewrite

        read, test = getattr(rewrite, "_read_pyc", None), getattr(rewrite, "_rewrite_test", None)
        if read is None or test is None:
            # An unknown version of pytest: disables all bytecode.
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
    """Finds the modules in one folder that the guard allows. It is a FileFinder because `pkgutil` supports those."""

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
