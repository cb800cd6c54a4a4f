"""Starts the jobs of one local submission and watches over them: a program in the standard library alone.

    python -I -S launcher/__main__.py FOLDER/local.json

The file is what :class:`.LocalBackend` writes. The program claims the submission's tag and ends; its child
goes on in a session of its own, so that the jobs outlive the terminal, and keeps their record (:mod:`.journal`).
Exit codes: 0, the submission is taken over; 3, another launcher has the tag; else nothing was
started, and the last line on standard error says why.

The submission waits for the claim: pathlib, typing and contextlib would cost it 10 ms.
"""
