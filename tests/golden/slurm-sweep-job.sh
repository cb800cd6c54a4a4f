#!/bin/bash
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=2048M
#SBATCH --time=45
#SBATCH --open-mode=append
#SBATCH --nice=97

# Many jobs have this script: what each of them writes is in a folder named by its number.
umask 077
prominence_copy=$(( $1 + SLURM_ARRAY_TASK_ID ))
mkdir -p '/home/a b/workflows/3/'"$prominence_copy" || exit 1
exec >>'/home/a b/workflows/3/'"$prominence_copy"/stdout 2>>'/home/a b/workflows/3/'"$prominence_copy"/stderr || exit 1

# The first python3 that is new enough runs the job; it takes this shell's place, so that the
# scheduler's signals reach it.
for python in python3 /usr/bin/python3 /usr/libexec/platform-python /usr/bin/python3.*[0-9]; do
    if "$python" -ISc 'import sys; sys.exit(sys.version_info < (3, 6))' 2>/dev/null; then
        exec "$python" -IS /opt/prominence/runner.pyz '/home/a b/workflows/3/plan.json' "$prominence_copy"
    fi
done
echo "prominence: no Python 3.6 or later was found on $(uname -n)" >&2
exit 127
