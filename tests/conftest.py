"""What every test finds: no width of somebody's terminal, which would decide where lines break."""

import os

os.environ.pop("COLUMNS", None)
