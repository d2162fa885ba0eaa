"""Connecting to Ray: what cannot work is said at once, with what to check."""

import socket
import sys

import pytest

from aabench.cli.run_flags import with_address
from aabench.errors import UsageError
from aabench.runs import ray_connection
from aabench.runs.ray_connection import check_answer, connect
from aabench.runs.ray_post import restore_threads


@pytest.fixture
def silent_port():
    """A port that nobody listens at, nor can while it is held."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.mark.parametrize(
    ("address", "usual"), [("127.0.0.1:{port}", "6379"), ("ray://127.0.0.1:{port}", "10001")]
)
def test_an_address_that_does_not_answer(address, usual, silent_port):
    with pytest.raises(UsageError, match=rf"no Ray cluster answers at .* check that.*{usual}"):
        check_answer(address.format(port=silent_port))


def test_silence_has_an_end():
    # a listener whose queue is full drops what comes next, as a firewall does
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), pytest.raises(UsageError) as refused:
            check_answer(f"127.0.0.1:{port}", seconds=0.2)
        assert "within 0.2 s: timed out" in str(refused.value)


@pytest.mark.parametrize(
    "address", ["head", "head:", ":6379", "head:port", "ray://head", "head:99999"]
)
def test_what_is_no_address(address):
    with pytest.raises(UsageError, match="not an address|no Ray cluster answers"):
        check_answer(address, seconds=0.2)


def test_an_open_port_of_something_else(monkeypatch):
    pytest.importorskip("ray", reason="needs Ray: pip install 'aabench[ray]'")
    monkeypatch.setattr(ray_connection, "TRIAL_SECONDS", 3)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        with pytest.raises(UsageError, match="nothing that speaks Ray within 3 s; start one"):
            connect(f"127.0.0.1:{listener.getsockname()[1]}")


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'aabench\[ray\]'"):
        connect("local")


@pytest.mark.parametrize(
    ("words", "complete"),
    [
        (["--ray"], ["--ray", "local"]),
        (["quick", "--ray", "--rounds", "1"], ["quick", "--ray", "local", "--rounds", "1"]),
        (["--ray", "head:6379"], ["--ray", "head:6379"]),
        (["--ray=auto", "quick"], ["--ray=auto", "quick"]),
        (["quick"], ["quick"]),
    ],
)
def test_an_address_may_be_left_out(words, complete):
    assert with_address(words) == complete


def test_threads_are_the_users_and_not_rays():
    here = {"OMP_NUM_THREADS": "1", "HOME": "/root"}
    restore_threads(here, {})
    assert here == {"HOME": "/root"}
    restore_threads(here, {"OMP_NUM_THREADS": "4"})
    assert here["OMP_NUM_THREADS"] == "4"
