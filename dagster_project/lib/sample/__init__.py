"""Deterministic sample exports: made-up shops in the layouts of four countries, with their truth.

`world` makes up the events, `rows` and `writers` show them as files, `truth` counts them.
"""

from dagster_project.lib.sample.generate import SampleTruth, write_sample
from dagster_project.lib.sample.truth import DayTruth

__all__ = ["DayTruth", "SampleTruth", "write_sample"]
