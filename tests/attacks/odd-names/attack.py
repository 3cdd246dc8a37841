#!/usr/bin/env python3
# @ATTACK: names with newlines, control characters, no UTF-8, 255 bytes, leading dashes, and what a shell would expand
# @EXPECT: all=SUCCESS
import os

names = [b"new\nline", b"\x1b[31mred\x07", b"\xff\xfe\x80", b"n" * 255, b"-rf", b"*", b"$(touch x)", b" ", b"~", b"..\n", b"a;b|c&d", b"\x01"]
for folder in (b".", os.environb.get(b"HOME", b"."), os.environb.get(b"TMPDIR", b"."), b".."):
    for name in names:
        try:
            os.makedirs(os.path.join(folder, name, name))
            with open(os.path.join(folder, name, b"file\n" + name[:200]), "wb") as file:
                file.write(b"x")
        except OSError as error:
            print("BLOCKED", ascii(folder), ascii(name), error.strerror)
print("TRIED\t\x1b[2J names")
