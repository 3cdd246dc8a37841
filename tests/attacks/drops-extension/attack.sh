#!/bin/sh
# @ATTACK: a shared object beside a module of the suite's: Python takes later.so before later.py
# @EXPECT: all=FAILURE none=SUCCESS
# @SAYS: the exam said '41
# @PASSES: test_attack
for suite in ../suite "$TMPDIR/../suite" "$HOME/../suite" ../../suite; do
    [ -e "$suite/run_tests.py" ] && break
done
sed "s|EVIL|$PWD/evil.py|" later.c.in > later.c
cc -shared -fPIC -o later.so later.c || exit 1
{ cat later.so > "$suite/later.so"; } 2>/dev/null
echo TRIED "$suite"
