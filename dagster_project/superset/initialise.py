"""Make or bring up to date Superset's own database, and its one user.

Run by the Python of Superset's environment, so nothing of the project is imported.
"""

import os
from pathlib import Path

from flask_migrate import upgrade
from superset.app import create_app

_HOME = Path(os.environ["FEEDBACK_SUPERSET_HOME"])

app = create_app()
with app.app_context():
    import superset
    from superset.extensions import appbuilder, db

    upgrade(directory=str(Path(superset.__file__).parent / "migrations"))
    appbuilder.add_permissions(update_perms=True)
    users = appbuilder.sm
    users.sync_role_definitions()
    if users.find_user("admin") is None:
        password = (_HOME / "admin_password").read_text(encoding="utf-8")
        role = users.find_role("Admin")
        users.add_user("admin", "Feedback", "Warehouse", "admin@localhost", role, password)
    db.session.commit()
