#!/bin/sh
# @ATTACK: the report is a FIFO: who opens it waits for ever
# @EXPECT: all=ERROR|FAILURE
REPORT=$(tr "\\000" "\\n" < /proc/$PPID/cmdline | sed -n "s/^--junit-xml=//p")
rm -rf "$REPORT"
mkfifo "$REPORT"
echo TRIED "$REPORT"
