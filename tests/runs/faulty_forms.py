"""Attention forms that misbehave in every way that a person's own code might."""

import ctypes
import os
import signal
import sys
import time

import torch

from aabench.errors import UnsupportedCase


def good(q, k, v, tables, resolution):
    """The right answer, written here once more, so that these forms have something to spoil."""
    height, width = resolution
    logits = q @ k.mT
    if tables is not None:
        tall, wide = tables
        y, x = (torch.arange(side, device=q.device) for side in resolution)
        a = torch.einsum(
            "bnyxd,yjd->bnyxj", q.unflatten(2, resolution), tall[y - y[:, None] + height - 1]
        )
        b = torch.einsum(
            "bnyxd,xjd->bnyxj", q.unflatten(2, resolution), wide[x - x[:, None] + width - 1]
        )
        logits = logits + (a[..., :, None] + b[..., None, :]).flatten(2, 3).flatten(3)
    return logits.softmax(-1) @ v


def noisy(q, k, v, tables, resolution):
    print('{"status": "ok"}')
    os.write(1, b'{"status": "ok", "figures": {}}\n')
    sys.stdout.flush()
    return good(q, k, v, tables, resolution)


def reads_stdin(q, k, v, tables, resolution):
    assert sys.stdin.read() == ""
    return good(q, k, v, tables, resolution)


def raises(q, k, v, tables, resolution):
    raise KeyError("no such head")


def refuses(q, k, v, tables, resolution):
    raise UnsupportedCase("faulty_forms:refuses", "needs a map of 3x3")


def exits(q, k, v, tables, resolution):
    sys.exit(0)


def exits_hard(q, k, v, tables, resolution):
    os._exit(7)


def segfaults(q, k, v, tables, resolution):
    ctypes.string_at(0)


def killed(q, k, v, tables, resolution):
    os.kill(os.getpid(), signal.SIGKILL)


def hangs(q, k, v, tables, resolution):
    time.sleep(1000)


def hangs_holding_the_interpreter(q, k, v, tables, resolution):
    ctypes.PyDLL(None).sleep(1000)


def wrong_shape(q, k, v, tables, resolution):
    return good(q, k, v, tables, resolution)[..., :1]


def wrong_kind(q, k, v, tables, resolution):
    return None


def wrong_numbers(q, k, v, tables, resolution):
    return good(q, k, v, None, resolution)


def wrong_gradient(q, k, v, tables, resolution):
    return good(q.detach(), k, v, tables, resolution) + 0 * q.sum()


def not_a_number(q, k, v, tables, resolution):
    return good(q, k, v, tables, resolution) * float("nan")


def out_of_memory(q, k, v, tables, resolution):
    torch.empty(1 << 50)


LEAK = []


def leaks(q, k, v, tables, resolution):
    LEAK.append(torch.ones(1 << 18))
    return good(q, k, v, tables, resolution)


def grows(q, k, v, tables, resolution):
    """Takes a gibibyte and keeps it: more would be the machine's if its watcher were held up."""
    hoard = []
    for _ in range(32):
        hoard.append(torch.ones(8 << 20))
        time.sleep(0.01)
    time.sleep(1000)
