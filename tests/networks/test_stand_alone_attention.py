"""Networks of attention alone: their stem against its formula, their choices and their weights' names."""

import itertools

import pytest
import torch

from aabench.errors import UsageError
from aabench.networks.attention_stem import BlockAttention2d
from aabench.networks.building import build_network
from aabench.published.counting import count_network as cost


def test_block_attention_is_its_formula():
    layer = BlockAttention2d(3, 8, 2, heads=2, mixtures=3).double()
    x = torch.randn(1, 3, 4, 6, dtype=torch.float64)
    q, k = (part.unflatten(1, (2, 4)) for part in layer.qk(x).chunk(2, dim=1))
    maps = layer.values(x).unflatten(1, (3, 2, 4))  # (B, m, Nh, d, H, W)
    expected = torch.zeros_like(q)
    for head, y, z in itertools.product(range(2), range(4), range(6)):
        logits, values = [], []
        for j, i in itertools.product(range(2), range(2)):
            J, K = y // 2 * 2 + j, z // 2 * 2 + i
            r = torch.cat(
                [
                    layer.row_offsets[head, :, J - y + 1],
                    layer.column_offsets[head, :, K - z + 1],
                ]
            )
            logits.append(q[0, head, :, y, z] @ (k[0, head, :, J, K] + r))
            weights = (layer.nu @ (layer.row[j] + layer.column[i])).softmax(0)
            values.append(weights @ maps[0, :, head, :, J, K])
        expected[0, head, :, y, z] = torch.stack(logits).softmax(0) @ torch.stack(values)
    torch.testing.assert_close(layer(x), expected.flatten(1, 2), rtol=1e-12, atol=1e-12)


def test_block_attention_refuses_a_map_that_its_blocks_do_not_tile():
    with pytest.raises(UsageError, match="do not tile the map; got '6x8'"):
        BlockAttention2d(3, 16)(torch.randn(1, 3, 6, 8))


def test_any_groups_may_attend_and_none_is_the_plain_network():
    assert cost("sasa-resnet26", attention_groups=()) == cost("resnet26")
    last = cost("sasa-resnet26", attention_groups=(4,), kernel_size=3)
    assert cost("sasa-resnet26").params < last.params < cost("resnet26").params
    with pytest.raises(UsageError, match="no such group"):
        build_network("sasa-resnet26", attention_groups=(5,))


def test_a_stand_alone_network_takes_sides_that_strides_do_not_divide():
    with torch.device("meta"):
        for name in ("sasa-resnet26", "bot-resnet50"):
            model = build_network(name, resolution=75, num_classes=3).eval()
            assert model(torch.empty(2, 3, 75, 75)).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("bot-resnet50", {"layer4.0.conv2.0.kqv.weight", "layer4.1.conv2.position.width"}),
        ("sasa-resnet26", {"layer2.0.conv2.0.rows", "layer2.1.conv2.projection.weight"}),
    ],
)
def test_weights_keep_their_names(name, layers):
    with torch.device("meta"):
        assert layers <= set(build_network(name).state_dict())
