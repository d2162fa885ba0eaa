"""The layer's contract: state, shapes, ratios, resolutions, errors and what it says about itself."""

import copy
import math
import pickle

import pytest
import torch
import torch.nn.functional as F

from aabench.cases.catalogue import ATTENTIONS
from aabench.cases.choice import Choice
from aabench.errors import UnknownName, UsageError
from aabench.layers import AugmentedConv2d


def build(**changes):
    values = {"in_channels": 6, "out_channels": 12, "kernel_size": 3, "dk": 8, "dv": 4, "heads": 2}
    return AugmentedConv2d(**{**values, "resolution": (5, 4), **changes})


def sizes(layer):
    return {name: tuple(value.shape) for name, value in layer.state_dict().items()}


def test_state_keys_and_shapes_are_the_contract():
    assert sizes(build()) == {
        "conv.weight": (8, 6, 3, 3),
        "kqv.weight": (20, 6, 1, 1),
        "mix.weight": (4, 4, 1, 1),
        "position.height": (9, 4),
        "position.width": (7, 4),
    }


def test_tables_are_of_the_pooled_resolution():
    layer = build(stride=2, downsample=2, resolution=(28, 30))
    assert sizes(layer)["position.height"] == (2 * 7 - 1, 4)
    assert sizes(layer)["position.width"] == (2 * 8 - 1, 4)


def test_biases_are_those_of_the_three_convolutions():
    added = set(sizes(build(bias=True))) - set(sizes(build()))
    assert added == {"conv.bias", "kqv.bias", "mix.bias"}


def test_without_positions_there_are_no_tables():
    assert set(sizes(build(position="none"))) == {"conv.weight", "kqv.weight", "mix.weight"}


def test_without_values_it_is_the_plain_convolution():
    layer = build(dk=0, dv=0, heads=1, stride=2)
    x = torch.randn(2, 6, 5, 4)
    assert sizes(layer) == {"conv.weight": (12, 6, 3, 3)}
    torch.testing.assert_close(layer(x), F.conv2d(x, layer.conv.weight, stride=2, padding=1))


def test_with_values_only_there_is_no_convolution():
    layer = build(dv=12)
    assert "conv.weight" not in sizes(layer)
    assert layer(torch.randn(2, 6, 5, 4)).shape == (2, 12, 5, 4)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("downsample", [1, 2, 3])
@pytest.mark.parametrize("resolution", [(7, 8), (1, 9), (12, 5)])
def test_sizes_are_rounded_up(stride, downsample, resolution):
    layer = build(stride=stride, downsample=downsample, resolution=resolution)
    x = torch.randn(2, 6, *resolution)
    expected = tuple(math.ceil(side / (stride * downsample)) for side in resolution)
    assert layer.attention_inputs(x).resolution == expected
    assert layer(x).shape == (2, 12, *(math.ceil(side / stride) for side in resolution))


def test_the_published_pooling_is_the_one_for_two():
    layer = build(downsample=2, resolution=28, position="none")
    x = torch.randn(1, 6, 28, 28)
    pooled = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
    expected = layer.kqv(pooled)[:, 16:].flatten(2)
    actual = layer.attention_inputs(x).v.mT.flatten(1, 2)
    torch.testing.assert_close(actual, expected)


def test_channels_are_keys_queries_values_head_by_head():
    layer = build(dk=4, dv=4)
    x = torch.randn(1, 6, 5, 4)
    q, k, v, tables, resolution = layer.attention_inputs(x)
    projected = layer.kqv(x).flatten(2)  # (1, 4 + 4 + 4, N)
    second_head = slice(2, 4)
    torch.testing.assert_close(k[:, 1], projected[:, 0:4][:, second_head].mT)
    torch.testing.assert_close(q[:, 1], projected[:, 4:8][:, second_head].mT / 2**0.5)
    torch.testing.assert_close(v[:, 1], projected[:, 8:12][:, second_head].mT)
    assert resolution == (5, 4)
    assert [tuple(table.shape) for table in tables] == [(9, 2), (7, 2)]


def test_attention_inputs_have_one_data_type_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        inputs = build().attention_inputs(torch.randn(1, 6, 5, 4))
    assert {x.dtype for x in (*inputs[:3], *inputs.tables)} == {torch.bfloat16}


def test_without_attention_there_are_no_inputs_of_it():
    with pytest.raises(UsageError, match="dv = 0 has no attention"):
        build(dv=0).attention_inputs(torch.randn(1, 6, 5, 4))


@pytest.mark.parametrize(
    ("channels", "kappa", "upsilon", "depths"),
    [
        (128, 0.2, 0.1, (160, 8)),
        (256, 0.2, 0.1, (160, 24)),
        (512, 0.2, 0.1, (160, 48)),
        (128, 0.25, 0.25, (160, 32)),
        (256, 0.25, 0.25, (160, 64)),
        (512, 0.25, 0.25, (160, 128)),
        (128, 1.0, 1.0, (160, 128)),
        (256, 1.0, 1.0, (256, 256)),
        (512, 1.0, 1.0, (512, 512)),
    ],
)
def test_published_depths_come_from_the_ratios(channels, kappa, upsilon, depths):
    layer = AugmentedConv2d.from_ratios(
        channels, channels, kappa=kappa, upsilon=upsilon, heads=8, resolution=14
    )
    assert (layer.dk, layer.dv) == depths


def test_ratios_are_decimals_and_the_floor_can_be_lifted():
    # 0.3 as a double is a little less than three tenths: its product would be floored to 2 heads.
    layer = AugmentedConv2d.from_ratios(
        10, 10, kappa=0.3, upsilon=0.3, heads=3, min_key_depth_per_head=0, resolution=4
    )
    assert (layer.dk, layer.dv) == (3, 3)


def test_the_other_arguments_reach_the_constructor():
    layer = AugmentedConv2d.from_ratios(
        16, 16, 5, kappa=1, upsilon=0.5, heads=2, resolution=(8, 6), stride=2, bias=True
    )
    assert layer.kernel_size == 5
    assert layer.stride == 2
    assert layer.bias
    assert layer.resolution == (8, 6)


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize(("in_channels", "out_channels"), [(40, 80), (80, 40), (64, 64)])
def test_parameters_change_as_the_paper_says(kernel_size, in_channels, out_channels):
    kappa, upsilon = 0.2, 0.1
    values = {"kappa": kappa, "upsilon": upsilon, "heads": 4, "min_key_depth_per_head": 0}
    layer = AugmentedConv2d.from_ratios(
        in_channels, out_channels, kernel_size, position="none", resolution=4, **values
    )
    kappa, upsilon = layer.dk / out_channels, layer.dv / out_channels
    change = (
        in_channels
        * out_channels
        * (2 * kappa + (1 - kernel_size**2) * upsilon + out_channels / in_channels * upsilon**2)
    )
    plain = in_channels * out_channels * kernel_size**2
    assert sum(p.numel() for p in layer.parameters()) == pytest.approx(plain + change)


@pytest.mark.parametrize(("height", "width"), [(6, 4), (5, 5), (28, 28)])
def test_larger_inputs_name_the_remedy(height, width):
    with pytest.raises(UsageError, match=rf"larger.*got '{height}x{width}'.*5x4.*resize_positions"):
        build()(torch.randn(1, 6, height, width))


def test_without_tables_any_size_works():
    assert build(position="none")(torch.randn(1, 6, 9, 9)).shape == (1, 12, 9, 9)


def test_resized_positions_take_larger_inputs():
    layer = build(downsample=2)
    layer.position.height.requires_grad_(False)
    layer.resize_positions((10, 9))
    assert layer.resolution == (10, 9)
    assert sizes(layer)["position.height"] == (2 * 5 - 1, 4)
    assert sizes(layer)["position.width"] == (2 * 5 - 1, 4)
    assert not layer.position.height.requires_grad
    assert layer.position.width.requires_grad
    assert layer(torch.randn(1, 6, 10, 9)).shape == (1, 12, 10, 9)
    again = build(downsample=2, resolution=(10, 9))
    again.load_state_dict(layer.state_dict())


def test_resizing_a_plain_convolution_changes_nothing_but_the_resolution():
    layer = build(dv=0)
    layer.resize_positions(64)
    assert layer.resolution == (64, 64)


def test_an_encoding_that_cannot_be_resized_says_so():
    layer = build()
    layer.position = torch.nn.Identity()
    with pytest.raises(UsageError, match="'relative' cannot be resized.*resize\\(resolution\\)"):
        layer.resize_positions(64)
    assert layer.resolution == (5, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dk": 9}, "2 heads do not divide dk = 9; allowed: 8 or 10"),
        ({"dv": 5}, "2 heads do not divide dv = 5; allowed: 4 or 6"),
        ({"dv": 14}, "dv = 14 exceeds the 12 output channels; allowed: 0 to 12"),
        ({"dv": -2}, "dv is no count; got -2; allowed: whole numbers from 0"),
        ({"dk": 0}, "dk = 0 leaves no key channel for 2 heads; allowed: a multiple of 2"),
        ({"dk": -1}, "dk is no count; got -1"),
        ({"heads": 0}, "heads is no positive count; got 0; allowed: whole numbers from 1"),
        ({"heads": True}, "heads is no positive count; got True"),
        ({"stride": 0}, "stride is no positive count"),
        ({"downsample": 1.5}, "downsample is no positive count; got 1.5"),
        ({"in_channels": 0}, "in_channels is no positive count"),
        ({"out_channels": "12"}, "out_channels is no positive count; got '12'"),
        ({"kernel_size": 4}, "kernel size 4 is even; allowed: odd sizes"),
        ({"kernel_size": (3, 3)}, r"kernel_size is no positive count; got \(3, 3\)"),
        ({"resolution": (5,)}, r"resolution is no pair; got \(5,\); allowed: H or \(H, W\)"),
        ({"resolution": "28"}, "resolution is no pair; got '28'"),
        ({"resolution": 2.5}, "resolution is no pair; got 2.5"),
        ({"resolution": (5, 0)}, "resolution is no positive count; got 0"),
        (
            {"attention": None},
            "attention is named by text; got 'NoneType'; allowed: auto, materialized",
        ),
    ],
)
def test_impossible_layers_say_why(changes, message):
    with pytest.raises(UsageError, match=message):
        build(**changes)


@pytest.mark.parametrize("dv", [0, 4])
def test_unknown_names_are_refused_with_the_nearest(dv):
    with pytest.raises(UnknownName, match="attention form.*did you mean materialized"):
        build(attention="materialised", dv=dv)
    with pytest.raises(UnknownName, match="position encoding.*did you mean relative"):
        build(position="relativ", dv=dv)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kappa": -0.1}, "kappa is out of range; got -0.1; allowed: 0 or more"),
        ({"upsilon": 1.1}, "upsilon is out of range; got 1.1; allowed: 0 to 1"),
        ({"upsilon": -0.1}, "upsilon is out of range; got -0.1"),
        ({"kappa": math.nan}, "kappa is no ratio; got nan"),
        ({"kappa": math.inf}, "kappa is no ratio; got inf"),
        ({"upsilon": "a tenth"}, "upsilon is no ratio; got 'a tenth'"),
        ({"heads": 0}, "heads is no positive count"),
    ],
)
def test_impossible_ratios_say_why(changes, message):
    values = {"kappa": 0.2, "upsilon": 0.1, "heads": 2, "resolution": 4, **changes}
    with pytest.raises(UsageError, match=message):
        AugmentedConv2d.from_ratios(12, 12, **values)


@pytest.mark.parametrize("shape", [(6, 5, 4), (1, 2, 6, 5, 4)])
def test_only_batches_of_images_are_taken(shape):
    with pytest.raises(UsageError, match="no batch of images; got .*; allowed: NCHW"):
        build()(torch.randn(shape))


def test_a_refused_form_leaves_the_layer_as_it_was():
    layer = build(attention="broadcast")
    with pytest.raises(UnknownName):
        layer.attention = "broadcats"
    assert layer.attention == "broadcast"
    assert layer(torch.randn(1, 6, 5, 4)).shape == (1, 12, 5, 4)


def zeros(q, k, v, tables, resolution):
    return torch.zeros_like(v)


def test_a_form_and_a_position_from_outside():
    outside = f"{__name__}:zeros"
    layer = build(attention=outside, position="aabench.layers.positions.sine:SinePosition")
    assert layer(torch.randn(1, 6, 5, 4))[:, 8:].abs().max() == 0
    assert f"attention={outside}" in layer.extra_repr()
    with pytest.raises(UsageError, match="has no 'ones'"):
        layer.attention = f"{__name__}:ones"


def test_the_extra_channels_of_an_encoding_reach_keys_queries_and_values_alone():
    layer = build(position="aabench.layers.positions.coordconv:CoordConvPosition")
    assert layer.kqv.in_channels == 6 + 3
    assert layer.conv.in_channels == 6
    assert layer(torch.randn(1, 6, 5, 4)).shape == (1, 12, 5, 4)


@pytest.mark.parametrize("attention", ["auto", "broadcast"])
def test_layers_can_be_copied_and_pickled(attention):
    layer = build(attention=attention)
    x = torch.randn(1, 6, 5, 4)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert other.attention == attention
        torch.testing.assert_close(other(x), layer(x))


def test_the_representation_shows_every_argument():
    layer = build(attention="broadcast", stride=2, downsample=3, bias=True, position="none")
    assert layer.extra_repr() == (
        "6, 12, kernel_size=3, dk=8, dv=4, heads=2, stride=2, position=none, "
        "attention=broadcast, resolution=(5, 4), bias=True, downsample=3"
    )


def test_the_representation_shows_what_auto_is():
    layer = build()
    chosen = layer.choice(layer.attention_inputs(torch.randn(1, 6, 5, 4)))
    assert f"attention=auto -> {chosen.name}," in layer.extra_repr()
    assert "attention=auto -> broadcast," in build().to("meta").extra_repr()
    assert "attention=auto (none: dv=0)," in build(dv=0).extra_repr()


def test_a_named_form_is_its_own_choice():
    layer = build(attention="materialized")
    inputs = layer.attention_inputs(torch.randn(1, 6, 5, 4))
    assert layer.choice(inputs) == Choice("materialized", "asked for by name")


def test_auto_computes_what_its_choice_computes():
    layer = build()
    x = torch.randn(1, 6, 5, 4)
    inputs = layer.attention_inputs(x)
    by_name = ATTENTIONS.load(layer.choice(inputs).name)(*inputs)
    torch.testing.assert_close(layer.attend(inputs), by_name, rtol=0, atol=0)


def test_the_meta_device_gives_shapes():
    with torch.device("meta"):
        layer = build(stride=2)
        assert layer(torch.randn(2, 6, 5, 4)).shape == (2, 12, 3, 2)


def test_channels_last_is_kept():
    layer = build().to(memory_format=torch.channels_last)
    x = torch.randn(2, 6, 5, 4)
    y = layer(x.to(memory_format=torch.channels_last))
    assert y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y, layer(x))


def test_the_specification_is_the_value_that_is_costed():
    layer = build(stride=2, downsample=2, resolution=(9, 10), position="none")
    specification = layer.specification
    assert specification.attention_resolution == (3, 3)
    assert specification.dk == 8
    assert specification.position == "none"


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.int64, torch.complex64])
@pytest.mark.parametrize("dv", [0, 4, 8])
def test_an_input_of_another_data_type_is_refused_with_a_remedy(dtype, dv):
    layer = AugmentedConv2d(8, 8, 3, dk=8, dv=dv, heads=2, resolution=4)
    with pytest.raises(UsageError, match=r"data type is not that of the weights.*torch\.float32"):
        layer(torch.zeros(1, 8, 4, 4, dtype=dtype))


def test_autocast_takes_an_input_of_another_data_type():
    layer = AugmentedConv2d(8, 8, 3, dk=8, dv=4, heads=2, resolution=4)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.zeros(1, 8, 4, 4, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_queries_are_scaled_in_the_memory_of_the_projection():
    layer = build(bias=True).double()
    x = torch.randn(2, 6, 5, 4, dtype=torch.float64, requires_grad=True)
    q, k, v, _, _ = layer.attention_inputs(x)
    assert len({part.untyped_storage().data_ptr() for part in (q, k, v)}) == 1
    expected = [
        part.flatten(2).unflatten(1, (2, -1)).mT
        for part in layer.kqv(x).split((layer.dk, layer.dk, layer.dv), dim=1)
    ]
    expected[1] = expected[1] * (layer.dk // layer.heads) ** -0.5
    start = [torch.randn_like(part) for part in expected]
    for got, wanted in zip((k, q, v), expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=0, atol=0)
    leaves = (x, *layer.kqv.parameters())
    gradients = torch.autograd.grad((k, q, v), leaves, start)
    for got, wanted in zip(gradients, torch.autograd.grad(expected, leaves, start), strict=True):
        torch.testing.assert_close(got, wanted)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_gradients_of_single_images_by_vmap():
    layer = build(attention="broadcast").double()
    state = dict(layer.named_parameters())
    images = torch.randn(3, 6, 5, 4, dtype=torch.float64)

    def loss(state, image):
        return torch.func.functional_call(layer, state, (image[None],)).square().sum()

    together = torch.func.vmap(torch.func.grad(loss), (None, 0))(state, images)
    for number, image in enumerate(images):
        alone = torch.autograd.grad(loss(state, image), state.values())
        for name, wanted in zip(state, alone, strict=True):
            torch.testing.assert_close(together[name][number], wanted)
