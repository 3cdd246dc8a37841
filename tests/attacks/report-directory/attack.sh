#!/bin/sh
# @ATTACK: the report is a directory with a report in it
# @EXPECT: all=ERROR|FAILURE
REPORT=$(tr "\\000" "\\n" < /proc/$PPID/cmdline | sed -n "s/^--junit-xml=//p")
rm -rf "$REPORT"
mkdir "$REPORT"
echo '<testsuite tests="1"><testcase name="forged"/></testsuite>' > "$REPORT/report.xml"
echo TRIED "$REPORT"
