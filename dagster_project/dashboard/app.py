"""The dashboard's entry: settles which publication is looked at, then draws the page asked for."""

from __future__ import annotations

import logging

import duckdb
import streamlit as st

from dagster_project.dashboard import source, view
from dagster_project.dashboard.screens import orders, overview, products, quality, reasons, shop
from dagster_project.lib import questions
from dagster_project.lib.attention import OLD_AFTER_DAYS
from dagster_project.lib.paths import DataDir
from dagster_project.lib.publications import versions


def main() -> None:
    """Draw one page."""
    st.set_page_config(
        page_title="Feedback", layout="wide", initial_sidebar_state="collapsed",
        page_icon=str(source.ICON),
    )  # fmt: skip
    st.html(view.STYLE)
    page = st.navigation(
        [
            st.Page(overview.show, title="Overview", default=True),
            # the default page is at the root only
            st.Page(overview.show, title="Overview", url_path="overview", visibility="hidden"),
            st.Page(shop.show, title="Shop", url_path="shop"),
            st.Page(products.show, title="Products", url_path="products"),
            st.Page(reasons.show, title="Reasons", url_path="reasons"),
            st.Page(orders.show, title="Orders", url_path="orders"),
            st.Page(quality.show, title="Data quality", url_path="quality"),
        ],
        position="top",
    )
    try:
        seen = source.look()
        if seen is None:
            _nothing_published()
            return
        _say_what_is_seen(page.title, seen)
        if seen.last_day is None or not source.ask(questions.shops):
            view.nothing(
                "This publication has no shop with a delivered order yet. Load an orders export, "
                "then `feedback run`; `feedback status` says which exports to download."
            )
            return
        page.run()
    except (duckdb.Error, OSError):
        # the version was removed while it was read, or was made when tables were others
        if source.is_gone():
            st.rerun()
        view.notice(
            "This publication cannot be read. Where it was made by an older version of the "
            "project, `feedback run --full-refresh` makes it anew; where it is damaged, "
            "`feedback verify` says what.",
            "warning",
        )
        logging.getLogger(__name__).exception("the publication cannot be read")


def _nothing_published() -> None:
    if versions(DataDir.default()):
        view.heading("No publication is the current one", 1)
        view.nothing(
            f"{DataDir.default().published} keeps publications, but none is marked as the one to "
            "be seen. `feedback publications` lists them, `feedback rollback ID` shows one again."
        )
        return
    view.heading("Nothing is published yet", 1)
    view.nothing(
        f"No run has published anything in {DataDir.default().root}. `feedback run` loads the "
        "exports, computes the rates and publishes them; then reload this page."
    )


def _say_what_is_seen(title: str, seen: source.Seen) -> None:
    parts = [
        f"as of <b>{view.day_text(seen.last_day)}</b>",
        f"published {seen.published_at:%-d %b %Y, %H:%M} UTC",
    ]
    st.html(
        f"<h1>{view.esc(title)}</h1>"
        f'<p class="asof">{"".join(f"<span>{part}</span>" for part in parts)}</p>'
    )
    if seen.is_new:
        view.notice(
            "A new publication was swapped in since your last click: all figures are of it, as of "
            f"{view.day_text(seen.last_day)}."
        )
    if seen.age_days > OLD_AFTER_DAYS:
        view.notice(
            f"These figures end {seen.age_days} days ago. Newer exports are needed: "
            "`feedback status` says which.",
            "warning",
        )


main()
