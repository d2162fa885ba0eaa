"""A target whose calibrations are nobody's, so that bands are those of an uncalibrated device."""

import pytest

from aabench.cost.calibration import PATH_VARIABLE


@pytest.fixture(autouse=True)
def no_calibrations(tmp_path, monkeypatch):
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv(PATH_VARIABLE, raising=False)
