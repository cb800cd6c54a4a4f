#!/bin/bash
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=2048M
#SBATCH --time=45
#SBATCH --open-mode=append
#SBATCH --nice=97
#SBATCH --partition=long
#SBATCH --account=fusion
#SBATCH --qos=normal
#SBATCH --constraint='ib&avx2'
#SBATCH --exclusive

module load apptainer

# The first python3 that is new enough runs the job; it takes this shell's place, so that the
# scheduler's signals reach it.
for python in python3 /usr/bin/python3 /usr/libexec/platform-python /usr/bin/python3.*[0-9]; do
    if "$python" -ISc 'import sys; sys.exit(sys.version_info < (3, 6))' 2>/dev/null; then
        exec "$python" -IS /opt/prominence/runner.pyz '/home/a b/jobs/0/12/plan.json'
    fi
done
echo "prominence: no Python 3.6 or later was found on $(uname -n)" >&2
exit 127
