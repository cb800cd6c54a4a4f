"""Runs in the place of ssh(1), started by condor_ssh_to_job: hands over what ssh would be told.

    condor_ssh_to_job -ssh "python -IS ssh_words.py" JOB

Prints its arguments as a JSON list, on one line, and then lives until its standard input ends: so
long does condor_ssh_to_job keep the key files, which are for one session.
"""

import json
import os
import sys

if __name__ == "__main__":
    os.write(1, json.dumps(sys.argv[1:]).encode("ascii") + b"\n")
    while os.read(0, 4096):
        pass
