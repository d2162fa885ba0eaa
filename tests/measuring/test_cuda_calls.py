"""The thin layer over ``torch.cuda``: which calls it makes, in which order, with a stand-in for CUDA.

What a real card answers is tested in ``test_cuda_card.py``.
"""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from aabench.measuring.cuda_allocator import CudaAllocator
from aabench.measuring.cuda_device import CAPTURE_WARM_UP_CALLS, CudaDevice

DEVICE = torch.device("cuda", 1)


@pytest.fixture
def log(monkeypatch):
    """Replaces what is used of ``torch.cuda``; the list says what was called."""
    calls = []

    class Stream:
        def __init__(self, device, name="side"):
            assert device == DEVICE
            self.name = name

        def wait_stream(self, other):
            calls.append(f"{self.name} waits for {other.name}")

        def record_event(self, event):
            calls.append(f"record on {self.name}")
            event.time_ms = float(len(calls))

    class Event:
        def __init__(self, enable_timing=False):
            assert enable_timing

        def elapsed_time(self, later):
            return later.time_ms - self.time_ms

    class CUDAGraph:
        def replay(self):
            calls.append("replay")

        def reset(self):
            calls.append("graph reset")

    def within(name):
        @contextmanager
        def block(_):
            calls.append(f"enter {name}")
            yield
            calls.append(f"leave {name}")

        return block

    main = Stream(DEVICE, "main")
    stand_ins = {
        "Stream": Stream,
        "Event": Event,
        "CUDAGraph": CUDAGraph,
        "graph": within("graph"),
        "stream": within("stream"),
        "device": within("device"),
        "current_stream": lambda device: main,
        "synchronize": lambda device: calls.append("synchronize"),
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    return calls


class LoggedStep:
    def __init__(self, log, error=None):
        self.log, self.error = log, error

    def run(self):
        self.log.append("run")
        if self.error is not None and "enter graph" in self.log:
            raise self.error

    def reset(self):
        self.log.append("reset")


WARM_UP = [
    *("side waits for main", "enter stream"),
    *["run", "reset"] * CAPTURE_WARM_UP_CALLS,
    *("leave stream", "main waits for side"),
]


def test_capture_warms_up_on_a_side_stream_and_captures_one_run(log):
    with CudaDevice(DEVICE).captured(LoggedStep(log)) as replay:
        replay()
        replay()
    assert log == [
        *WARM_UP,
        *("enter graph", "run", "leave graph"),
        "reset",  # the captured gradients are the graph's own
        *("replay", "replay"),
        *("synchronize", "graph reset"),
    ]


def test_a_refused_capture_drops_the_gradients_and_raises(log):
    step = LoggedStep(log, RuntimeError("not permitted when stream is capturing"))
    with pytest.raises(RuntimeError, match="not permitted"), CudaDevice(DEVICE).captured(step):
        pytest.fail("there is nothing to replay")
    assert log == [*WARM_UP, "enter graph", "run", "reset"]


def test_a_graph_is_released_when_a_replay_fails(log):
    with pytest.raises(ZeroDivisionError), CudaDevice(DEVICE).captured(LoggedStep(log)):
        raise ZeroDivisionError
    assert log[-2:] == ["synchronize", "graph reset"]


def test_marks_are_timing_events_on_the_current_stream_in_milliseconds(log):
    device = CudaDevice(DEVICE)
    begin, end = device.mark(), device.mark()
    assert log == ["record on main"] * 2
    assert device.seconds_between(begin, end) == pytest.approx(1e-3)


def test_the_device_is_current_inside_activated_only(log):
    with CudaDevice(DEVICE).activated():
        log.append("inside")
    assert log == ["enter device", "inside", "leave device"]


def test_the_cache_is_flushed_with_a_buffer_of_its_size(monkeypatch):
    made = []

    def empty(size, dtype, device):
        made.append((size, dtype, device, buffer))
        return buffer

    buffer = torch.ones(4096, dtype=torch.uint8)
    properties = SimpleNamespace(L2_cache_size=4096)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(torch, "empty", empty)
    flush = CudaDevice(DEVICE).cache_flusher()
    flush()
    assert buffer.count_nonzero() == 0
    flush()
    assert made == [(4096, torch.uint8, DEVICE, buffer)]


def test_figures_come_from_the_counters_of_the_device(monkeypatch):
    counters = {
        "allocated_bytes.all.current": 1,
        "requested_bytes.all.current": 2,
        "reserved_bytes.all.current": 3,
        "allocated_bytes.all.peak": 4,
        "reserved_bytes.all.peak": 5,
        "num_alloc_retries": 6,
        "num_ooms": 7,
    }
    monkeypatch.setattr(torch.cuda, "memory_stats", {DEVICE: counters}.__getitem__)
    monkeypatch.setattr(torch.cuda, "mem_get_info", {DEVICE: (8, 9)}.__getitem__)
    figures = CudaAllocator(DEVICE).figures()
    assert [getattr(figures, name) for name in figures.__slots__] == list(range(1, 10))
    monkeypatch.setattr(torch.cuda, "memory_stats", lambda device: {})  # no caching allocator
    assert CudaAllocator(DEVICE).figures().requested_bytes is None


def test_the_counters_are_those_that_torch_documents():
    documented = torch.cuda.memory_stats.__doc__
    for name in ("num_alloc_retries", "num_ooms", "allocated_bytes", "reserved_bytes"):
        assert name in documented


def test_workspaces_are_released_by_torchs_own_function_if_it_has_it(monkeypatch):
    calls = []
    release = "_cuda_clearCublasWorkspaces"
    monkeypatch.setattr(torch._C, release, lambda: calls.append(release), raising=False)
    assert CudaAllocator(DEVICE).release_workspaces() and calls == [release]
    monkeypatch.delattr(torch._C, release)
    assert not CudaAllocator(DEVICE).release_workspaces()


@pytest.mark.parametrize(
    ("mine", "place", "owned"),
    [
        ("cuda:1", "cuda:1", True),
        ("cuda:1", "cuda:0", False),
        ("cuda", "cuda:0", True),
        ("cuda", "cpu", False),
    ],
)
def test_which_tensors_are_on_the_device(mine, place, owned):
    tensor = SimpleNamespace(device=torch.device(place))
    assert CudaAllocator(torch.device(mine)).owns(tensor) is owned
