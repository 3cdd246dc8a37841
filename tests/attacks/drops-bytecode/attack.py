#!/usr/bin/env python3
# @ATTACK: bytecode in the suite's __pycache__, made to look as if it came from the suite's own later.py
# @EXPECT: all=FAILURE none=SUCCESS
# @SAYS: the exam said '41
# @PASSES: test_attack test_later
import glob
import importlib.util
import marshal
import os
import struct
import sys

suite = next((at for at in ("../suite", os.environ.get("TMPDIR", "") + "/../suite", "../../suite") if os.path.exists(at + "/run_tests.py")), "../suite")
with open("evil.py", encoding="utf-8") as file:
    code = compile(file.read() + "\nANSWER = 42\n", "later.py", "exec")
for name in ("later", "helper"):
    try:
        source = os.stat(f"{suite}/{name}.py")
        head = importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, int(source.st_mtime) & 0xFFFFFFFF, source.st_size)
        os.makedirs(f"{suite}/__pycache__", exist_ok=True)
        target = f"{suite}/__pycache__/{name}.{sys.implementation.cache_tag}.pyc"
        with open(target + ".new", "wb") as file:
            file.write(head + marshal.dumps(code))
        os.replace(target + ".new", target)
    except OSError as error:
        print("BLOCKED", name, error)
print("TRIED", suite, glob.glob(f"{suite}/__pycache__/*"))
