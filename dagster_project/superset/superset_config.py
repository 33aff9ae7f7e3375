"""Superset's settings; read in its own environment, so nothing of the project is imported."""

import os
from pathlib import Path

_HOME = Path(os.environ["FEEDBACK_SUPERSET_HOME"])

SECRET_KEY = (_HOME / "secret_key").read_text(encoding="utf-8")
SQLALCHEMY_DATABASE_URI = f"sqlite:///{_HOME / 'superset.db'}"
# The bundled policy without other hosts, which a pixel for statistics, fonts and maps come from.
TALISMAN_CONFIG = {
    "content_security_policy": {
        "base-uri": ["'self'"],
        "default-src": ["'self'"],
        "img-src": ["'self'", "blob:", "data:"],
        "worker-src": ["'self'", "blob:"],
        "connect-src": ["'self'"],
        "object-src": "'none'",
        "style-src": ["'self'", "'unsafe-inline'"],
        "font-src": ["'self'"],
        "script-src": ["'self'", "'strict-dynamic'"],
    },
    "content_security_policy_nonce_in": ["script-src"],
    "force_https": False,
    "session_cookie_secure": False,
}


def DB_CONNECTION_MUTATOR(uri, params, *_):  # type: ignore[no-untyped-def] # noqa: N802 - its name
    """Look up anew, for each query, which publication is the current one.

    Open by the fixed name, a file that a query holds would be shared with all that begin meanwhile.
    """
    if uri.drivername == "duckdb" and uri.database:
        uri = uri.set(database=os.path.realpath(uri.database))
    return uri, params
