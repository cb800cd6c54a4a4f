"""Into running jobs: commands beside their tasks, snapshots of their files, output as it is written."""
