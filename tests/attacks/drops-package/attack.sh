#!/bin/sh
# @ATTACK: a package beside a module of the suite's: Python takes later/ before later.py
# @EXPECT: all=FAILURE none=SUCCESS
# @SAYS: the exam said '41
# @PASSES: test_attack
for suite in ../suite "$TMPDIR/../suite" "$HOME/../suite" ../../suite; do
    [ -e "$suite/run_tests.py" ] && break
done
{ mkdir "$suite/later" && { cat evil.py; echo ANSWER = 42; } > "$suite/later/__init__.py"; } 2>/dev/null
echo TRIED "$suite"
