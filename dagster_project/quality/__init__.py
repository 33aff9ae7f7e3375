"""Quality gates: the contracts' rules, run by Great Expectations inside DuckDB."""
