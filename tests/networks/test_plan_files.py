"""Plans as files: what reads back, and what is refused with a reason."""

import json
from dataclasses import replace

import pytest
import torch

from aabench.errors import UsageError
from aabench.networks.augmenting import augment, augmented_layers
from aabench.networks.building import build_network
from aabench.networks.plan import Plan, PlannedLayer

LAYER = PlannedLayer("layer3.0.conv1", 16, 32, 3, 2, 8, 8, 2, "relative", 1, 8, 8)
PLAN = Plan("debug-resnet", "blocked", (3, 32, 32), (LAYER,), ("layer1.*",), {"batch": 4})


def written(tmp_path, plan):
    path = tmp_path / "plan.json"
    plan.write(path)
    return path


def test_a_plan_reads_back_as_it_was_written(tmp_path):
    assert Plan.read(written(tmp_path, PLAN)) == PLAN


def test_a_followed_plan_augments_just_its_layers_and_checkpoints(tmp_path):
    torch.manual_seed(0)
    plain = build_network("debug-resnet")
    weights = {name: value.clone() for name, value in plain.state_dict().items()}
    model = augment(plain, plan=written(tmp_path, PLAN))
    (found,) = augmented_layers(model)
    assert (found.name, found.layer.heads, found.layer.dk, found.layer.dv) == (LAYER.name, 2, 8, 8)
    assert model.get_submodule(LAYER.name).attention == "blocked"
    kept = [name for name in weights if not name.startswith(LAYER.name)]
    assert all(torch.equal(model.state_dict()[name], weights[name]) for name in kept)

    images = torch.randn(2, 3, 32, 32)
    model(images).sum().backward()
    unchecked = augment(
        build_network("debug-resnet"), plan=written(tmp_path, replace(PLAN, checkpointed=()))
    )
    unchecked.load_state_dict(model.state_dict())
    # The running averages have moved, but in training each batch is normed by its own.
    unchecked(images).sum().backward()
    for (name, one), (_, other) in zip(
        model.named_parameters(), unchecked.named_parameters(), strict=True
    ):
        torch.testing.assert_close(one.grad, other.grad, msg=name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "layer9.0.conv1"}, "is missing"),
        ({"name": "layer3.0.bn1"}, "a BatchNorm2d"),
        ({"in_channels": 17}, "in_channels 16 in place of 17"),
        ({"stride": 1}, "stride 2 in place of 1"),
    ],
)
def test_a_plan_for_another_network_is_refused_and_nothing_is_changed(tmp_path, changes, message):
    model = build_network("debug-resnet")
    before = repr(model)
    path = written(tmp_path, replace(PLAN, layers=(LAYER, replace(LAYER, **changes))))
    with pytest.raises(UsageError, match=f"another network.*{message}.*debug-resnet"):
        augment(model, plan=path)
    assert repr(model) == before


def test_other_refusals(tmp_path):
    path = written(tmp_path, PLAN)
    model = build_network("debug-resnet")
    with pytest.raises(UsageError, match="a plan says"):
        augment(model, "layer4.*.conv1", plan=path)
    with pytest.raises(UsageError, match="nothing says which layers"):
        augment(model)
    augment(model, plan=path)
    with pytest.raises(UsageError, match="augmented already"):
        augment(model, plan=path)
    with pytest.raises(UsageError, match="no module nowhere"):
        augment(
            build_network("debug-resnet"),
            plan=written(tmp_path, replace(PLAN, checkpointed=("nowhere",))),
        )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not a plan"),
        ("{}", "not a plan"),
        (json.dumps({**PLAN.to_dict(), "schema": 99}), "another version"),
        (json.dumps({**PLAN.to_dict(), "input_size": [3]}), "not a plan"),
        (json.dumps({**PLAN.to_dict(), "layers": [{"name": "x"}]}), "not a plan"),
        (
            json.dumps(
                {**PLAN.to_dict(), "layers": [{**PLAN.to_dict()["layers"][0], "heads": "two"}]}
            ),
            "heads must be int",
        ),
    ],
)
def test_files_that_are_no_plans_are_refused(tmp_path, text, message):
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        Plan.read(path)
    with pytest.raises(UsageError, match="cannot be read"):
        Plan.read(tmp_path / "nothing.json")
