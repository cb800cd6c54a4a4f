"""`make demo`: the tutorial, typed by a program that shows every command and its answer.

`tutorial` is what is typed, `terminal` types it, `on_site` and `on_this_machine` say where.
"""
