"""For the interpreters that a suite starts besides the one that runs its tests: from the suite's folder they import what
belongs to the suite, and nothing that a student's program has put beside it.

Loaded by a .pth file of the suite's environment; does nothing where OSTEST_SEALED does not name a suite. OSTEST_OWN names a file
that lists the suite's own files; the runner sees to it that they, and the list, stay as they are.
"""

import os
import sys


def install(suite, listed):
    from importlib import machinery, util

    root = os.path.realpath(suite)

    def inside(path):
        real = os.path.realpath(path or os.curdir)
        return real == root or real.startswith(root + os.sep)

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

    sys.dont_write_bytecode = True
    sys.meta_path.insert(0, Finder)


# Where there are events, there is the plugin, which looks closer.
if os.environ.get("OSTEST_SEALED") and not os.environ.get("OSTEST_EVENTS"):
    install(os.environ["OSTEST_SEALED"], os.environ.get("OSTEST_OWN", ""))
