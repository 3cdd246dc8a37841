
# Done: from here on it is the module that it replaced.
import importlib
import os
import sys

name, folder, path = __name__, os.path.dirname(os.path.abspath(__file__)), sys.path
sys.path = [entry for entry in path if os.path.abspath(entry or ".") != folder]
del sys.modules[name]
sys.modules[name] = importlib.import_module(name)
sys.path = path
