#!/bin/sh
# @ATTACK: removes its own checkout, HOME, TMPDIR, the suite and all around it
# @EXPECT: all=ERROR|FAILURE
echo TRIED
here=$(pwd)
around=$(dirname "${here:?}")
cd /
rm -rf "${here:?}" "${HOME:?}" "${TMPDIR:?}" "${around:?}/suite" "${around:?}/out" "${around:?}" 2>/dev/null
exit 0
