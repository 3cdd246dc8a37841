#!/bin/sh
# @ATTACK: writes to stdout without end, into a pipe that the suite reads into memory
# @EXPECT: all=ERROR|FAILURE
exec cat /dev/zero
