"""Superset's REST API, as far as the set-up needs it."""

from __future__ import annotations

from pathlib import Path

import requests

from dagster_project.lib.errors import FeedbackError

_TIMEOUT = 300


def import_bundle(address: str, home: Path, bundle: bytes) -> None:
    """Make or renew all objects of a bundle; raises FeedbackError with Superset's answer."""
    with requests.Session() as session:
        session.headers["Referer"] = address
        password = (home / "admin_password").read_text(encoding="utf-8")
        login = {"username": "admin", "password": password, "provider": "db", "refresh": False}
        token = _ask(session, "POST", f"{address}/api/v1/security/login", json=login)
        session.headers["Authorization"] = f"Bearer {token['access_token']}"
        guard = _ask(session, "GET", f"{address}/api/v1/security/csrf_token/")
        session.headers["X-CSRFToken"] = guard["result"]
        files = {"bundle": ("feedback.zip", bundle, "application/zip")}
        _ask(session, "POST", f"{address}/api/v1/assets/import/", files=files)


def _ask(session: requests.Session, method: str, url: str, **content: object) -> dict[str, str]:
    answer = session.request(method, url, timeout=_TIMEOUT, **content)
    if not answer.ok:
        raise FeedbackError(
            f"Superset answers {answer.status_code} to {url}: {answer.text[:500]} "
            "Was the admin's password changed? Then write it into superset/admin_password."
            if answer.status_code == requests.codes.unauthorized
            else f"Superset answers {answer.status_code} to {url}: {answer.text[:500]}"
        )
    return dict(answer.json())
