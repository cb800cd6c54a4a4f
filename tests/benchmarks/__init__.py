"""`make bench`: the paths that have a budget, each beside its bare counterpart in the same run.

`__main__` runs on this machine: it brings the test site up, starts `inside` on the login node and
prints the table. Everything that is timed runs there, as an ordinary user.
"""
