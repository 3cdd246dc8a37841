"""Hides the memory and the descriptors of this process from all other processes, also from those of the same user. The guard and the
plugin use it. Works with Python 3.7 and later.
"""

PR_SET_DUMPABLE = 4


def hide():
    """Makes this process not dumpable (https://man7.org/linux/man-pages/man2/prctl.2.html)."""
    try:
        # The extension module behind ctypes. Importing ctypes itself takes longer than the rest of an interpreter's start.
        import _ctypes

        _ctypes.call_function(_ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl"), (PR_SET_DUMPABLE, 0, 0, 0, 0))
    except Exception:
        hide_with_ctypes()


def hide_with_ctypes():
    """The same by documented means, for versions of Python in which _ctypes differs."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    except Exception:
        pass
