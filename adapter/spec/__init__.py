"""A job description: what it may say, read, checked whole, made into a :class:`.job.Job`."""
