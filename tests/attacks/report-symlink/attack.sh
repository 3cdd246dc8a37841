#!/bin/sh
# @ATTACK: the report is a link to a passing report of the student's own
# @EXPECT: all=ERROR|FAILURE
REPORT=$(tr "\\000" "\\n" < /proc/$PPID/cmdline | sed -n "s/^--junit-xml=//p")
rm -rf "$REPORT"
echo '<testsuite tests="1"><testcase name="forged"/></testsuite>' > forged.xml
chmod 400 forged.xml
ln -s "$PWD/forged.xml" "$REPORT"
echo TRIED "$REPORT"
