"""Telling out of memory from other errors; real errors where the CPU can raise them."""

import errno

import numpy as np
import pytest
import torch

from aabench.measuring.out_of_memory import MESSAGE_LENGTH, recognise_out_of_memory

GiB = 2**30


def machine():
    return 5 * GiB, 8 * GiB


def raised_by(call):
    with pytest.raises(Exception) as caught:
        call()
    return caught.value


CUDA = (
    "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 15.77 GiB of "
    "which 512.44 MiB is free. Process 42 has 14.50 GiB memory in use. Of the allocated memory 13.20 "
    "GiB is allocated by PyTorch, and 300.00 MiB is reserved by PyTorch but unallocated."
)


def test_cuda_with_all_its_figures():
    found = recognise_out_of_memory(torch.OutOfMemoryError(CUDA))
    assert found.requested_bytes == 20 * GiB
    assert found.total_bytes == round(15.77 * GiB)
    assert found.free_bytes == round(512.44 * 2**20)
    assert found.message.startswith("CUDA out of memory. Tried to allocate 20.00 GiB")
    assert "\n" not in found.message and len(found.message) <= MESSAGE_LENGTH


@pytest.mark.parametrize(
    ("text", "requested"),
    [
        ("CUDA out of memory. Tried to allocate 512 bytes. GPU 0 has", 512),
        ("CUDA out of memory. Tried to allocate more than 1EB memory.", None),
        (
            "CUDA out of memory. Allocation was preemptively rejected because it would exceed "
            "per_process_memory_fraction limit. Requested size: 2.50 MiB",
            2_621_440,
        ),
    ],
)
def test_other_words_of_the_cuda_allocator(text, requested):
    found = recognise_out_of_memory(torch.OutOfMemoryError(text))
    assert found.requested_bytes == requested
    assert found.free_bytes is None


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "CUDA driver error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    ],
)
def test_libraries_that_run_out_beside_the_allocator(text):
    found = recognise_out_of_memory(RuntimeError(text))
    assert found.requested_bytes is None and "\n" not in found.message


def test_the_cpu_allocator_for_real():
    error = raised_by(lambda: torch.empty(2**50, dtype=torch.uint8))
    found = recognise_out_of_memory(error, machine)
    assert found.requested_bytes == 2**50
    assert (found.free_bytes, found.total_bytes) == (5 * GiB, 8 * GiB)


def test_numpy_and_python_for_real():
    found = recognise_out_of_memory(raised_by(lambda: np.empty(2**50)), machine)
    assert found.requested_bytes == 2**53
    found = recognise_out_of_memory(raised_by(lambda: bytearray(2**61)), machine)
    assert found.requested_bytes is None and found.message == "MemoryError"


def test_the_system_for_lack_of_memory():
    assert recognise_out_of_memory(OSError(errno.ENOMEM, "Cannot allocate memory"), machine)
    assert recognise_out_of_memory(OSError(errno.ENOSPC, "No space left on device")) is None


def test_the_real_machine_is_asked_by_default():
    found = recognise_out_of_memory(MemoryError())
    assert 0 < found.free_bytes <= found.total_bytes


def test_an_error_raised_because_of_it_is_recognised():
    def compile_it():
        try:
            raise torch.OutOfMemoryError(CUDA)
        except torch.OutOfMemoryError as error:
            raise RuntimeError("backend compiler failed") from error

    def handle_it():
        try:
            raise MemoryError
        except MemoryError:
            raise ValueError("while cleaning up")  # noqa: B904

    assert recognise_out_of_memory(raised_by(compile_it)).requested_bytes == 20 * GiB
    assert recognise_out_of_memory(raised_by(handle_it), machine) is not None


def test_a_suppressed_context_and_a_circle_do_not_mislead():
    def replaced():
        try:
            raise MemoryError
        except MemoryError:
            raise ValueError("something else") from None

    assert recognise_out_of_memory(raised_by(replaced)) is None
    circular, other = ValueError("a"), ValueError("b")
    circular.__cause__, other.__cause__ = other, circular
    assert recognise_out_of_memory(circular) is None


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Storage size calculation overflowed with sizes=[4611686018427387904]"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("out of resource: shared memory, Required: 200000, Hardware limit: 101376"),
        ValueError("CUDA out of memory, says a test"),
        KeyboardInterrupt(),
    ],
)
def test_other_errors_are_not_out_of_memory(error):
    assert recognise_out_of_memory(error) is None
