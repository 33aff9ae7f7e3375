"""The buttons beneath a table that take its rows away."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from dagster_project.lib.downloads import CSV_TYPE, XLSX_TYPE, as_csv, as_workbook
from dagster_project.lib.questions import Row


def offer(name: str, columns: Sequence[str], rows: Callable[[], list[Row]]) -> None:
    """Offer rows as CSV and XLSX; they are asked for when somebody takes them."""
    left, right, _ = st.columns([1, 1, 3])
    left.download_button(
        "CSV",
        lambda: as_csv(columns, rows()),
        file_name=f"{name}.csv",
        mime=CSV_TYPE,
        key=f"_csv_{name}",
        icon=":material/download:",
        on_click="ignore",
        width="stretch",
    )
    right.download_button(
        "XLSX",
        lambda: as_workbook(columns, rows()),
        file_name=f"{name}.xlsx",
        mime=XLSX_TYPE,
        key=f"_xlsx_{name}",
        icon=":material/download:",
        on_click="ignore",
        width="stretch",
    )
