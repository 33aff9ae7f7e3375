"""Apache Superset over the publication, in an environment of its own (`make superset`)."""
