"""SSH to where a job runs, and the project's whole policy of it: no other package imports paramiko.

A host is believed because a known_hosts file, the user's, the system's or the site's, or a certificate
authority says so; never because it was seen before. Users are let in by their keys alone: nothing asks
for a password. What the user's own ssh configuration says of a host is taken from ``ssh -G``.

Importing this package is cheap: paramiko, which takes 150 ms, is imported when a connection is made.
"""
