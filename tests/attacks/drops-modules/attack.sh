#!/bin/sh
# @ATTACK: new modules beside the suite's own, under names that Python looks for there first: decimal, colorsys
# @EXPECT: all=FAILURE none=SUCCESS
# @SAYS: the exam said '41
# @PASSES: test_attack
for suite in ../suite "$TMPDIR/../suite" "$HOME/../suite" ../../suite; do
    [ -e "$suite/run_tests.py" ] && break
done
for name in decimal _decimal colorsys; do
    { cat evil.py really.py > "$suite/$name.py"; } 2>/dev/null
done
echo TRIED "$suite"
