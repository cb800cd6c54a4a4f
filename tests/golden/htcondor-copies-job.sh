#!/bin/bash

# Many jobs have this script: what each of them writes is in a folder named by its number.
umask 077
prominence_copy=$(( $1 ))
mkdir -p "$prominence_copy" || exit 1
exec >>"$prominence_copy"/stdout 2>>"$prominence_copy"/stderr || exit 1

umask 077
export LANG=C.UTF-8 PATH USER="${USER:-$(id -un)}"
touch "$prominence_copy"/report.json "$prominence_copy"/wrapper.log
mkdir -p outputs-0
mkdir -p "$prominence_copy"/attempts
export http_proxy=http://proxy:3128

# The first python3 that is new enough runs the job; it takes this shell's place, so that the
# scheduler's signals reach it.
for python in python3 /usr/bin/python3 /usr/libexec/platform-python /usr/bin/python3.*[0-9]; do
    if "$python" -ISc 'import sys; sys.exit(sys.version_info < (3, 6))' 2>/dev/null; then
        exec "$python" -IS runner.pyz plan.json "$prominence_copy"
    fi
done
echo "prominence: no Python 3.6 or later was found on $(uname -n)" >&2
exit 127
