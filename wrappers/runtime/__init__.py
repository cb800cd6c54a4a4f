"""The program on the compute node: reads ``plan.json``, leaves ``report.json`` beside it.

Packed unchanged into ``runner.pyz``. Python 3.6 syntax, the standard library alone, and imports
that a job does not need are made inside functions: a job of one task must start at once.
Names of files are bytes throughout, because a node's locale is often C and names need not be UTF-8.
"""
