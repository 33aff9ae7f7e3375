"""Plain Python without Dagster, dbt or Great Expectations: what the steps do."""
