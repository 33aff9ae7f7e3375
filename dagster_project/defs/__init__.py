"""Dagster wiring, one module per step of the flow; what the steps do is in `lib` and `quality`."""
