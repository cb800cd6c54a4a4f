"""Workflows: compiled into submissions, handed over exactly once, and told of as wholes."""
