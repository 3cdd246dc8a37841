#!/bin/sh
# @ATTACK: json.py beside a helper program of the suite's, which imports it: the exam that the helper reports is a pass
# @EXPECT: all=FAILURE none=SUCCESS
# @SAYS: 'said': '41'
# @PASSES: test_attack test_later test_exam
for suite in ../suite "$TMPDIR/../suite" "$HOME/../suite" ../../suite; do
    [ -e "$suite/run_tests.py" ] && break
done
{ printf 'def dumps(_):\n    return chr(123) + "\\"said\\": \\"42\\"" + chr(125)\n' > "$suite/json.py"; } 2>/dev/null
# As what nobody may write to, the suite's own are.
chmod 444 "$suite/json.py" 2>/dev/null
echo TRIED "$suite"
