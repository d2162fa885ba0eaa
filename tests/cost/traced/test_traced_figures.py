"""The figures of a traced step: counts, composition, modules, and that nothing else changed."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from traced_models import Attentive, Pyramid, debug_network

from aabench.cost.traced.stand_ins import StandIn
from aabench.cost.traced.step_settings import StepSettings
from aabench.cost.traced.trace import trace_step
from aabench.networks.building import build_network

SHAPE = (4, 3, 32, 32)
TRAIN = StepSettings(mode="train")


def on_meta(name: str, **options: object) -> nn.Module:
    with torch.device("meta"):
        return build_network(name, **options)


@pytest.mark.parametrize(
    "name", ["debug-resnet", "mnasnet-1.0", "wrn28-10", "sasa-resnet26", "retinanet-resnet50"]
)
def test_plain_counts_are_those_of_torch(name: str) -> None:
    model = on_meta(name)
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), counter:
        model.eval()(torch.empty((2, 3, 64, 64), device="meta"))
    traced = trace_step(model, (2, 3, 64, 64))
    assert traced.flops == traced.flops_forward == counter.get_total_flops()
    assert traced.params == sum(p.numel() for p in model.parameters())


def test_a_whole_step_counts_as_torch_counts_it() -> None:
    model = on_meta("debug-resnet")
    with FlopCounterMode(display=False) as counter:
        output = model(torch.empty(SHAPE, device="meta"))
        F.cross_entropy(output, torch.zeros(4, dtype=torch.int64, device="meta")).backward()
    traced = trace_step(model, SHAPE, TRAIN)
    assert traced.flops == counter.get_total_flops()


@pytest.mark.parametrize("form", ["materialized", "broadcast", "blocked"])
def test_augmented_counts_in_inference_are_those_of_torch(form: str) -> None:
    with torch.device("meta"):
        model = Attentive(form)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model.eval()(torch.empty((2, 3, 18, 18), device="meta"))
    assert trace_step(model, (2, 3, 18, 18)).flops == counter.get_total_flops()


def test_the_forward_count_is_the_same_for_every_form() -> None:
    steps = {
        form: trace_step(Attentive(form), (2, 3, 18, 18), TRAIN)
        for form in ("materialized", "broadcast", "factored", "blocked")
    }
    assert len({step.macs_forward for step in steps.values()}) == 1
    assert steps["blocked"].macs > steps["broadcast"].macs


@pytest.mark.parametrize("mode", ["infer", "train"])
@pytest.mark.parametrize("granularity", [1, 512])
def test_lines_and_modules_sum_to_the_whole(mode: str, granularity: int) -> None:
    settings = StepSettings(mode=mode, granularity=granularity, gradient_buckets=True)
    for model, shape in ((debug_network("materialized"), SHAPE), (Pyramid(), (1, 3, 20, 20))):
        step = trace_step(model, shape, settings)
        root = step.modules[0]
        assert sum(step.at_peak.values()) == step.peak_bytes
        assert sum(module.own_bytes_at_peak for module in step.modules) == step.peak_bytes
        assert root.name == "(model)" and root.bytes_at_peak == step.peak_bytes
        assert root.params == step.params == sum(p.numel() for p in model.parameters())
        assert (root.macs_forward, root.macs_step) == (step.macs_forward, step.macs)
        assert root.saved_bytes == step.saved_bytes
        assert root.live_peak_bytes == step.peak_bytes == max(step.phase_peaks.values())
        assert step.base_bytes + step.step_peak_bytes == step.peak_bytes
        leaves = [module for module in step.modules if module.is_leaf]
        for leaf in leaves:
            assert leaf.own_bytes_at_peak == leaf.bytes_at_peak <= step.peak_bytes
            assert leaf.live_peak_bytes <= step.peak_bytes


def test_modules_are_in_the_order_of_the_forward_pass() -> None:
    names = [module.name for module in trace_step(Attentive("blocked"), (2, 3, 18, 18)).modules]
    expected = ["(model)", "first", "first.0", "first.0.position", "first.0.kqv", "first.0.mix"]
    expected = [name for name in expected if name in names]  # a position may have no forward
    assert names[: len(expected)] == expected
    assert names.index("first.1") < names.index("first.2") < names.index("second")
    assert names[-1] == "head"


def test_a_convolution_owns_its_weight_gradient_state_and_output() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 1, bias=False), nn.Flatten(), nn.Linear(8 * 16, 2))
    step = trace_step(model, (5, 3, 4, 4), StepSettings(mode="train", device_type="cuda"))
    convolution = step.modules[1]
    assert convolution.kind == "Conv2d" and convolution.depth == 1
    assert (convolution.input_shape, convolution.output_shape) == ((5, 3, 4, 4), (5, 8, 4, 4))
    assert convolution.macs_forward == 5 * 16 * 24
    assert convolution.macs_step == 2 * 5 * 16 * 24  # no gradient of the input is needed
    assert convolution.saved_bytes == 5 * 8 * 16 * 4  # Flatten is a view, and Linear saves it


def test_gradient_buckets_are_a_line_of_the_base() -> None:
    model = debug_network()
    without = trace_step(model, SHAPE, TRAIN)
    with_buckets = trace_step(model, SHAPE, replace(TRAIN, gradient_buckets=True))
    size = with_buckets.at_peak["gradient buckets"]
    assert size == without.parameter_bytes
    assert with_buckets.base_bytes == without.base_bytes + size
    assert with_buckets.peak_bytes == without.peak_bytes + size


def test_blocks_are_rounded_up() -> None:
    model = nn.Linear(3, 5)
    model = nn.Sequential(nn.Flatten(), model)
    step = trace_step(model, (1, 3, 1, 1), StepSettings(device_type="cuda", granularity=512))
    assert step.base_bytes == 3 * 512  # weight, bias, input
    assert step.peak_bytes == 4 * 512


def test_cuda_updates_all_parameters_together() -> None:
    """Adam's denominators of all parameters are there at once, next to four tensors of their size."""
    model = nn.Sequential(nn.Flatten(), *(nn.Linear(64, 64, bias=False) for _ in range(8)))
    step, alone = (
        trace_step(
            model,
            (1, 1, 8, 8),
            StepSettings(mode="train", optimizer="adam", device_type=device_type),
        )
        for device_type in ("cuda", "cpu")
    )
    assert step.optimizer_peak
    assert step.peak_bytes >= 5 * step.parameter_bytes
    assert alone.phase_peaks["optimizer"] < 4.5 * alone.parameter_bytes


def test_auto_is_that_of_the_device_predicted_for() -> None:
    model = Attentive("auto")
    for device_type, form in (("cpu", "blocked"), ("cuda", "factored")):
        asked = StepSettings(mode="train", device_type=device_type)
        auto, named = (trace_step(each, (2, 3, 18, 18), asked) for each in (model, Attentive(form)))
        assert auto == named


def test_a_form_without_closed_form_is_traced_as_it_is() -> None:
    model = Attentive("aabench.layers.attention.broadcast:attend")
    outside = trace_step(model, (3, 3, 18, 18), TRAIN)
    known = trace_step(Attentive("broadcast"), (3, 3, 18, 18), TRAIN)
    assert outside.macs == known.macs
    assert outside.peak_bytes == pytest.approx(known.peak_bytes, rel=0.01)
    assert "attention maps" not in outside.at_peak


def test_the_model_is_neither_changed_nor_run() -> None:
    class Counting(nn.Module):
        ran_on: list[type] = []  # noqa: RUF012  # shared with the copy on purpose

        def __init__(self) -> None:
            super().__init__()
            self.inner = debug_network()

        def forward(self, x: Tensor) -> Tensor:
            self.ran_on.append(type(x))
            return self.inner(x)

    model = Counting().eval()
    state = copy.deepcopy(model.state_dict())
    attributes = {name: set(vars(module)) for name, module in model.named_modules()}
    trace_step(model, SHAPE, TRAIN)
    assert Counting.ran_on == [StandIn]  # which has no memory
    assert not model.training and all(p.grad is None for p in model.parameters())
    assert {name: set(vars(module)) for name, module in model.named_modules()} == attributes
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name]), name


def test_where_the_model_is_makes_no_difference() -> None:
    real = debug_network("factored")
    assert trace_step(real, SHAPE, TRAIN) == trace_step(
        copy.deepcopy(real).to("meta"), SHAPE, TRAIN
    )


def test_tied_weights_count_once() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 6), nn.Linear(6, 6))
    model[2].weight = model[1].weight
    step = trace_step(model, (2, 6, 1, 1), TRAIN)
    assert (
        step.params == 36 + 6 + 6 == sum(module.params for module in step.modules if module.is_leaf)
    )
    assert step.parameter_bytes == 4 * step.params


@pytest.mark.parametrize("model", [debug_network("materialized"), Pyramid()], ids=["loss", "maps"])
def test_results_alone_are_those_of_torch_s_tracker(model: nn.Module) -> None:
    """The tracker sees no kernel's scratch, and runs the forms themselves; so does this on CUDA."""
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed._tools.mem_tracker import MemTracker

    from aabench.cost.traced.fake_model import fake_copy
    from aabench.cost.traced.network_step import NetworkStep

    settings = StepSettings(mode="forward-backward", device_type="cuda")
    ours = trace_step(model, SHAPE, settings)
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    twin = fake_copy(model, mode, settings)
    with mode:
        step = NetworkStep(twin, torch.empty(SHAPE), settings)
        step.objective.start(step.model(step.input))  # the target is there before
        tracker = MemTracker()
        tracker.track_external(twin, step.input)
        with tracker:
            step.run()
    (theirs,) = tracker.get_tracker_snapshot("peak").values()
    assert ours.peak_bytes == pytest.approx(theirs["Total"], rel=0.01)


def test_a_convolutions_backward_pass_is_its_own():
    """Each convolution does its forward twice more, but the first, whose input needs no gradient."""
    step = trace_step(Pyramid(), SHAPE, StepSettings(mode="train"))
    modules = {module.name: module for module in step.modules}
    first, other = modules["stem"], modules["head"]
    assert first.macs_step == 2 * first.macs_forward > 0
    assert other.macs_step == 3 * other.macs_forward > 0


def test_a_batch_norm_gets_nothing_of_the_convolution_before_it():
    step = trace_step(debug_network("broadcast"), SHAPE, StepSettings(mode="train"))
    norms = [module for module in step.modules if module.kind == "BatchNorm2d"]
    assert norms and not any(module.macs_step for module in norms)
