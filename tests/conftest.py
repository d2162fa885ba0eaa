"""What every test finds: nobody's terminal, and properties that are tried alike each time."""

import os

from hypothesis import HealthCheck, settings

for name in ("COLUMNS", "FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS"):
    os.environ.pop(name, None)  # they would decide where lines break and what stands between words

# How long an example takes says nothing: the machine may be busy with another one.
settings.register_profile(
    "searching", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
# The same examples in every run, so that a run which fails says something about the change that it
# is of. `pytest --hypothesis-profile=searching` looks for new ones.
settings.register_profile("repeatable", settings.get_profile("searching"), derandomize=True)
settings.load_profile("repeatable")
