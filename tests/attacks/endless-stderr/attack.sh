#!/bin/sh
# @ATTACK: writes to stderr without end, into a pipe that the suite reads into memory
# @EXPECT: all=ERROR|FAILURE
exec yes "an endless complaint" >&2
