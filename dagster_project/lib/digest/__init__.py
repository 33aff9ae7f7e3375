"""The weekly digest: what changed, why, what to do, what comes next; for shops' owners."""
