"""The form `triton`: numbers in Triton's interpreter, code compiled for absent cards, and on a card."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from form_errors import relative_errors
from hypothesis import given, settings
from hypothesis import strategies as st
from random_attention import random_inputs

from aabench.errors import UnsupportedCase
from aabench.layers.attention import broadcast, triton_tiles
from aabench.layers.attention.triton import attend
from aabench.layers.attention.triton_tiles import Problem, Tile
from aabench.layers.attention_inputs import AttentionInputs

# In epsilons of the data type. Half precision rounds a few times (inputs of products, a and b, the
# result) and sums in float32; the others sum hundreds of terms, some of which cancel.
LARGEST_ERROR = {torch.float16: 4, torch.bfloat16: 4, torch.float32: 32, torch.float64: 32}
SHARED_BYTES_OF_SM86 = 99 * 1024
FEW_SPILLED_BYTES = 256

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed"
)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def printed_by(script: str, *arguments: str, cache: Path) -> dict:
    """What a script of this folder prints, run in a process of its own."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "TRITON_CACHE_DIR": str(cache),
    }
    script_path = Path(__file__).with_name(script)
    done = subprocess.run(
        [sys.executable, str(script_path), *arguments],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory) -> Callable[[str, Callable[[], dict]], dict]:
    """Makes what takes long in the first test process that asks; the others wait for it and read."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of this session's processes, and of no other session

    def made(name: str, make: Callable[[], dict]) -> dict:
        path = folder / f"{name}.json"
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                path.write_text(json.dumps(make()))
        return json.loads(path.read_text())

    return made


@pytest.fixture(scope="module")
def interpreted(made_once, tmp_path_factory) -> dict:
    cache = tmp_path_factory.mktemp("triton")
    return made_once("triton_numbers", lambda: printed_by("triton_numbers.py", cache=cache))


@pytest.fixture(scope="module")
def compiled(made_once, pytestconfig, tmp_path_factory) -> dict:
    """Compiled anew where the kernels, Triton or its compiler differ: Triton's cache knows them all."""
    kept = getattr(pytestconfig, "cache", None)  # pytest may run without one
    cache = kept.mkdir("triton") if kept else tmp_path_factory.mktemp("triton")
    words = ("triton_compilation.py", "80", "90")
    return made_once("triton_compilation", lambda: printed_by(*words, cache=cache))


@needs_triton
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_output_and_gradients_equal_the_reference_in_the_interpreter(interpreted, dtype):
    name = str(dtype).removeprefix("torch.")
    errors = {case: found for case, found in interpreted["errors"].items() if case.startswith(name)}
    assert len(errors) == 9
    for case, found in errors.items():
        assert set(found) >= {"output", "q", "k", "v"}, case
        assert max(found.values()) <= LARGEST_ERROR[dtype], (case, found)


@needs_triton
@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("bfloat16", "interpreter does not compute in bfloat16"),
        ("mixed", "one data type"),
        ("integers", "data type must be one of"),
        ("too deep", "dk/Nh is 300"),
    ],
)
def test_what_it_cannot_run_it_refuses_by_name(interpreted, case, reason):
    assert interpreted["refusals"][case].startswith("triton: ")
    assert reason in interpreted["refusals"][case]


@needs_triton
def test_a_gradient_cannot_be_differentiated_in_silence(interpreted):
    assert "no second derivatives" in interpreted["double backward"]


@needs_triton
def test_torch_compile_breaks_its_graph_and_goes_on(interpreted):
    assert interpreted["compiled"] == 0


@needs_triton
@pytest.mark.parametrize("way", ["plain", "channels last", "checkpointed", "autocast"])
def test_a_layer_trains_as_with_another_form(interpreted, way):
    dtype = torch.float16 if way == "autocast" else torch.float32
    assert interpreted["layer"][way] <= 4 * torch.finfo(dtype).eps


@needs_triton
@pytest.mark.parametrize("capability", [80, 90])
def test_it_compiles_for_cards_that_are_not_there(compiled, capability):
    cases = {name: kernels for name, kernels in compiled.items() if f"sm{capability} " in name}
    assert cases
    for name, kernels in cases.items():
        expected = {"forward_kernel", "query_gradients_kernel", "key_gradients_kernel"}
        if "no positions" not in name:
            expected.add("position_logits_kernel")
        assert set(kernels) == expected, name
        for kernel, found in kernels.items():
            assert found["target"].startswith(f"sm_{capability}"), (name, kernel)
            assert found["shared bytes"] < SHARED_BYTES_OF_SM86, (name, kernel, found)
            assert found["spilled bytes"] <= FEW_SPILLED_BYTES, (name, kernel, found)


@needs_triton
def test_the_published_case_spills_nothing_on_hopper(compiled):
    for kernel, found in compiled["sm90 bf16 32x32"].items():
        assert found["spilled bytes"] == 0, kernel


@needs_triton
def test_tensor_cores_compute_all_but_ieee_float32(compiled):
    for name, kernels in compiled.items():
        for kernel, found in kernels.items():
            assert found["tensor cores"] == ("fp32" not in name), (name, kernel)


@needs_triton
def test_nothing_is_added_atomically(compiled):
    assert not [
        (name, kernel)
        for name, kernels in compiled.items()
        for kernel, found in kernels.items()
        if found["atomics"]
    ]


@needs_triton
@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="the interpreter is on")
def test_the_cpu_is_refused():
    with pytest.raises(UnsupportedCase, match=r"triton: it needs an NVIDIA card, got device cpu"):
        attend(*random_inputs(1, 1, (2, 2), 4, 4))


def test_without_triton_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.raises(UnsupportedCase, match=r"triton: Triton is not installed"):
        attend(*random_inputs(1, 1, (2, 2), 4, 4))


@pytest.mark.parametrize(
    ("resolution", "patch"),
    [
        ((7, 7), (8, 8)),
        ((14, 14), (4, 16)),
        ((28, 28), (2, 32)),
        ((32, 32), (2, 32)),
        ((40, 40), (8, 8)),
        ((56, 56), (1, 64)),
        ((64, 64), (1, 64)),
        ((80, 80), (4, 16)),
        ((1, 50), (1, 64)),
        ((50, 1), (64, 1)),
    ],
)
def test_a_patch_is_wide_where_that_wastes_little(resolution, patch):
    assert triton_tiles.patch(*resolution, keys=64) == patch


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([16, 32, 64]))
@settings(deadline=None, max_examples=50)
def test_patches_cover_the_image_without_much_waste(height, width, keys):
    rows, columns = triton_tiles.patch(height, width, keys)
    assert rows * columns == keys
    tile = Tile(64, rows, columns, 32, 16)
    problem = Problem(1, height, width, 20, 2, True, "ieee")
    covered = triton_tiles.key_patches(problem, tile) * keys
    assert covered >= height * width
    assert covered < 4 * (height + 1) * (width + 1) + 4 * keys


@pytest.mark.parametrize("element_bytes", [2, 4, 8])
@pytest.mark.parametrize("precision", ["ieee", "tf32"])
@pytest.mark.parametrize("depth", [1, 16, 20, 33, 65, 128, 129, 256])
def test_every_depth_has_its_launches(depth, precision, element_bytes):
    problem = Problem(8, 14, 14, depth, 2, True, precision)
    for launch in triton_tiles.choose_launches(problem, element_bytes):
        assert launch.tile.key_depth >= depth
        assert launch.tile.value_depth == triton_tiles.SMALLEST_DOT
        # Tensor-core products of deep tiles need few queries or keys at a time.
        assert launch.tile.key_depth * launch.tile.queries * element_bytes <= 64 * 1024


# On a card.

SHAPES_ON_A_CARD = {
    "published 14": (2, 8, (14, 14), 20, 2, True),
    "published 32": (2, 8, (32, 32), 20, 2, True),
    "padded keys": (2, 4, (28, 28), 20, 3, True),
    "strips": (1, 2, (5, 130), 20, 16, True),
    "one row": (2, 3, (1, 70), 5, 1, True),
    "one column": (2, 3, (70, 1), 1, 5, True),
    "one pixel": (3, 2, (1, 1), 4, 4, True),
    "deep": (1, 2, (9, 11), 100, 128, True),
    "very deep": (1, 1, (5, 6), 256, 200, True),
    "no positions": (2, 4, (15, 13), 20, 2, False),
}


def on_card(inputs: AttentionInputs) -> AttentionInputs:
    """The same numbers in the same memory order, as leaves on the card."""

    def moved(tensor):
        return tensor.detach().to("cuda").requires_grad_()

    q, k, v, tables, resolution = inputs
    tables = None if tables is None else tuple(map(moved, tables))
    return AttentionInputs(moved(q), moved(k), moved(v), tables, resolution)


@pytest.mark.gpu
@needs_cuda
@needs_triton
@pytest.mark.parametrize("dtype", list(LARGEST_ERROR), ids=str)
@pytest.mark.parametrize("shape", SHAPES_ON_A_CARD.values(), ids=SHAPES_ON_A_CARD.keys())
def test_output_and_gradients_equal_the_reference_on_a_card(shape, dtype):
    *sizes, tables = shape
    if dtype == torch.float64 and max(sizes[3:]) > 128:
        pytest.skip("float64 tiles this deep fit only some cards")
    inputs = on_card(random_inputs(*sizes, tables=tables, dtype=dtype))
    for transposed in (False, True):
        errors = relative_errors(attend, inputs, transposed=transposed)
        assert max(errors.values()) <= LARGEST_ERROR[dtype], errors


@pytest.mark.gpu
@needs_cuda
@needs_triton
def test_tf32_products_where_torch_allows_them(monkeypatch):
    inputs = on_card(random_inputs(2, 4, (14, 14), 20, 2, dtype=torch.float32))
    before = torch.backends.cuda.matmul.fp32_precision
    try:
        torch.backends.cuda.matmul.fp32_precision = "tf32"
        errors = relative_errors(attend, inputs)
    finally:
        torch.backends.cuda.matmul.fp32_precision = before
    tf32_epsilon = 2**-10 / torch.finfo(torch.float32).eps
    assert LARGEST_ERROR[torch.float32] < max(errors.values()) <= 8 * tf32_epsilon, errors


@pytest.mark.gpu
@needs_cuda
@needs_triton
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_two_runs_are_equal_to_the_bit(dtype):
    inputs = on_card(random_inputs(4, 8, (28, 28), 20, 2, dtype=dtype))
    leaves = [*inputs[:3], *inputs.tables]
    runs = []
    for _ in range(2):
        out = attend(*inputs)
        runs.append([out, *torch.autograd.grad(out, leaves, torch.ones_like(out))])
    for first, second in zip(*runs, strict=True):
        assert torch.equal(first, second)


@pytest.mark.gpu
@needs_cuda
@needs_triton
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_no_less_accurate_than_with_a_map(dtype):
    inputs = on_card(random_inputs(2, 8, (32, 32), 20, 2, dtype=dtype))
    fused = relative_errors(attend, inputs)
    mapped = relative_errors(broadcast.attend, inputs)
    assert fused["output"] <= mapped["output"]


@pytest.mark.gpu
@needs_cuda
@needs_triton
def test_no_map_is_ever_allocated():
    inputs = on_card(random_inputs(2, 8, (64, 64), 20, 2, dtype=torch.bfloat16))
    attend(*inputs).sum().backward()  # compiles, and makes room for torch's products
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    attend(*inputs).sum().backward()
    map_bytes = 2 * 8 * 4096 * 4096 * 2
    assert torch.cuda.max_memory_allocated() - before < map_bytes / 4


@pytest.mark.gpu
@needs_cuda
@needs_triton
def test_an_old_card_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    with pytest.raises(UnsupportedCase, match=r"needs compute capability 8.0 or newer, got 7.5"):
        attend(*on_card(random_inputs(1, 1, (2, 2), 4, 4, dtype=torch.float16)))
