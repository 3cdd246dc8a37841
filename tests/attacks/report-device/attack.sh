#!/bin/sh
# @ATTACK: the report is a device, made or linked: endless zeros
# @EXPECT: all=ERROR|FAILURE
REPORT=$(tr "\\000" "\\n" < /proc/$PPID/cmdline | sed -n "s/^--junit-xml=//p")
rm -rf "$REPORT"
mknod "$REPORT" c 1 5 2>/dev/null && echo LEAKED a device was made || ln -s /dev/zero "$REPORT"
echo TRIED "$REPORT"
