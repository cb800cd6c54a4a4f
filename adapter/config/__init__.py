"""The configuration: files, environment and flags, resolved into settings."""
