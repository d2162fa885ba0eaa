"""Faults of code under test: each costs its own row, says why, and nothing else."""

import pandas as pd
import pytest

import aabench

FORMS = {
    "good": ("ok", None),
    "noisy": ("ok", None),
    "reads_stdin": ("ok", None),
    "leaks": ("ok", None),
    "raises": ("crashed", "KeyError: 'no such head'"),
    "refuses": ("unsupported", "needs a map of 3x3"),
    "exits": ("crashed", "SystemExit"),
    "exits_hard": ("crashed", "exit code 7"),
    "segfaults": ("crashed", "SIGSEGV"),
    "killed": ("crashed", "SIGKILL"),
    "hangs": ("timeout", "--timeout 4 s"),
    "hangs_holding_the_interpreter": ("timeout", "--timeout 4 s"),
    "wrong_shape": ("wrong", "the form returned shape (2, 2, 16, 1)"),
    "wrong_kind": ("wrong", "NoneType"),
    "wrong_numbers": ("wrong", "its output disagrees"),
    "wrong_gradient": ("wrong", "gradient of q disagrees"),
    "not_a_number": ("wrong", "relative error nan"),
    "out_of_memory": ("oom", "allocate"),
}


HANGING = ["hangs", "hangs_holding_the_interpreter"]
OTHERS = [name for name in FORMS if name not in HANGING]


def swept(names, folder, timeout):
    return aabench.sweep(
        in_channels=8,
        heads=2,
        dk=4,
        dv=4,
        resolution=4,
        mode="train",
        attention=[f"faulty_forms:{name}" for name in names],
        device="cpu",
        seconds_per_case=0.02,
        rounds=1,
        timeout=timeout,
        out=folder / "run",
    )


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """No limit that a busy machine could take them to, starting a worker anew after each crash."""
    return swept(OTHERS, tmp_path_factory.mktemp("others"), timeout=250)


@pytest.fixture(scope="module")
def hanging(tmp_path_factory):
    return swept(HANGING, tmp_path_factory.mktemp("hanging"), timeout=4)


@pytest.mark.parametrize("name", FORMS)
def test_a_fault_is_a_row_with_its_reason(request, name):
    frame = request.getfixturevalue("hanging" if name in HANGING else "others")
    status, clue = FORMS[name]
    row = frame[frame["attention"] == f"faulty_forms:{name}"].iloc[0]
    assert row["status"] == status, row["reason"]
    if clue is None:
        assert pd.isna(row["reason"])
        assert row["latency_median_s"] > 0
        assert row["peak_allocated_bytes"] > row["base_bytes"] > 0
        assert row["latency_ratio"] > 0
    else:
        assert clue in row["reason"]
        assert not row["latency_median_s"] > 0  # what is wrong or lost is not timed


def test_no_row_is_missing_and_none_is_extra(others, hanging):
    assert list(others["attention"]) == [f"faulty_forms:{name}" for name in OTHERS]
    assert list(hanging["attention"]) == [f"faulty_forms:{name}" for name in HANGING]
