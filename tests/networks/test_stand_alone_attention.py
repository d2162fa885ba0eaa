"""Local attention and BoT's attention against float64 references written from their formulas."""

import itertools

import pytest
import torch
from published_rows import cost

from aabench.errors import UsageError
from aabench.networks.attention_stem import BlockAttention2d
from aabench.networks.bottleneck_transformer import BottleneckAttention
from aabench.networks.building import build_network
from aabench.networks.local_attention import LocalAttention2d


def reference_local(layer, x):
    """Equation 3 of the paper, one pixel and head at a time."""
    B, _, H, W = x.shape
    q, k, v = (part.unflatten(1, (layer.heads, -1)) for part in layer.projection(x).chunk(3, dim=1))
    reach = layer.kernel_size // 2
    out = torch.zeros_like(q)
    for b in range(B):
        for head in range(layer.heads):
            for y in range(H):
                for xx in range(W):
                    logits, values = [], []
                    for j in range(max(0, y - reach), min(H, y + reach + 1)):
                        for i in range(max(0, xx - reach), min(W, xx + reach + 1)):
                            r = torch.cat(
                                [
                                    layer.rows[head, :, j - y + reach],
                                    layer.columns[head, :, i - xx + reach],
                                ]
                            )
                            logits.append(q[b, head, :, y, xx] @ (k[b, head, :, j, i] + r))
                            values.append(v[b, head, :, j, i])
                    weights = torch.stack(logits).softmax(0)
                    out[b, head, :, y, xx] = weights @ torch.stack(values)
    return out.flatten(1, 2)


@pytest.mark.parametrize("size", [(5, 4), (1, 3), (2, 2)])
def test_local_attention_is_its_formula(size):
    layer = LocalAttention2d(3, 8, 5, heads=2).double()
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    torch.testing.assert_close(layer(x), reference_local(layer, x), rtol=1e-12, atol=1e-12)


def test_local_attention_trains_all_its_parameters():
    layer = LocalAttention2d(3, 8, 3, heads=2)
    layer(torch.randn(2, 3, 4, 4)).square().sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in layer.parameters())


@pytest.mark.parametrize(
    ("arguments", "what"),
    [((3, 8, 4), "no centre"), ((3, 12, 7), "8 heads do not divide 12 channels")],
)
def test_local_attention_refuses_by_name(arguments, what):
    with pytest.raises(UsageError, match=what):
        LocalAttention2d(*arguments)


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


def test_bottleneck_attention_is_global_attention_with_no_projection_after():
    layer = BottleneckAttention(6, 8, 1, dk=8, dv=8, heads=2, resolution=(3, 4)).double()
    x = torch.randn(2, 6, 3, 4, dtype=torch.float64)
    k, q, v = layer.kqv(x).flatten(2).unflatten(1, (3, 2, 4)).unbind(1)  # (B, Nh, d, N)
    ys, xs = torch.arange(12) // 4, torch.arange(12) % 4
    of_row = layer.position.height[ys[None] - ys[:, None] + 2]  # (N, N, d)
    of_column = layer.position.width[xs[None] - xs[:, None] + 3]
    keys = k.mT[:, :, None] + of_row + of_column
    logits = torch.einsum("bhdi,bhijd->bhij", q, keys) / 2
    expected = torch.einsum("bhij,bhdj->bhdi", logits.softmax(-1), v).reshape(2, 8, 3, 4)
    torch.testing.assert_close(layer(x), expected, rtol=1e-12, atol=1e-12)
    assert {name for name, _ in layer.named_parameters()} == {
        "kqv.weight",
        "position.height",
        "position.width",
    }


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
