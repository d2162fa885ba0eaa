"""``aabench network``: one network, layer by layer, beside the plain one; predicted, or measured too."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aabench.cases.axes import LAYER_AXES, NETWORK_AXES, OF_LAYERS_ALONE, STEP_AXES
from aabench.cli.axis_flags import with_axis_flags
from aabench.cli.card_flags import Arch, Gpu, Vram, card_target
from aabench.cli.epoch_flags import Epochs, Images
from aabench.cli.image_flags import Input, with_image
from aabench.cli.network_output import show_network, write_network_page
from aabench.cli.network_view import looked_at
from aabench.cli.output import OutputFormat
from aabench.cli.page_flags import Html
from aabench.errors import UsageError

if TYPE_CHECKING:
    from aabench.runs.request import Request

AXES = [
    axis
    for axis in (*NETWORK_AXES, *LAYER_AXES, *STEP_AXES)
    if axis.name not in (*OF_LAYERS_ALONE, "network")
]


@partial(with_axis_flags, axes=AXES)
def network_command(
    *,
    name: Annotated[
        str,
        typer.Argument(
            help="A name of aabench list networks, timm:NAME, torchvision:NAME, or "
            "package.module:function of your own.",
            show_default=False,
        ),
    ],
    axes: dict[str, str | None],
    input: Input = None,
    depth: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="1 lists stages, 2 blocks, and so on. (default: every layer)",
            show_default=False,
        ),
    ] = None,
    measure: Annotated[
        bool,
        typer.Option("--measure", help="Measure it as well, and the plain network beside it."),
    ] = False,
    device: Annotated[
        str | None,
        typer.Option(help="auto, cpu, cuda or cuda:N. (default: auto)", show_default=False),
    ] = None,
    gpu: Gpu = None,
    vram: Vram = None,
    arch: Arch = None,
    seconds_per_case: Annotated[
        float | None,
        typer.Option(help="Sampling time with --measure, in seconds.", show_default=False),
    ] = None,
    epochs: Epochs = None,
    images: Images = None,
    min_key_depth_per_head: Annotated[
        int | None,
        typer.Option(
            help="Floor on dk / heads when dk comes from kappa. (default: the network's own)",
            show_default=False,
        ),
    ] = None,
    html: Html = None,
    format: Annotated[OutputFormat, typer.Option(help="What goes to standard output.")] = (
        OutputFormat.table
    ),
) -> None:
    """Explain one network: what each layer costs, what fills the memory at the peak, and the totals.

    Predicted from one step on tensors without memory; the plain network stands beside it.

    Example: aabench network aa-resnet50 --batch 32 --mode train --depth 1
    """
    from aabench.runs.training_time import images_to_train

    if not name:
        raise UsageError("the network's name is empty", instead="see aabench list networks")
    request, folder = _request(
        {**with_image(axes, input), "network": name},
        {
            "device": device,
            "seconds_per_case": seconds_per_case,
            "min_key_depth_per_head": min_key_depth_per_head,
        },
    )
    trained = images_to_train(epochs, images)
    if trained is not None and not (measure and axes["mode"] == "train"):
        raise UsageError("hours need a measured time", instead="add --measure --mode train")
    card = card_target(gpu, vram, arch)
    if card is not None and measure:
        raise UsageError("--measure runs here, --gpu is about another card", instead="give either")
    with folder:
        view = looked_at(request, card, depth, measure)
    if trained is not None:
        view = view.with_training_hours(trained)
    try:
        show_network(view, format)
    finally:  # a page is written even where nobody reads the table to its end
        if html is not None:
            write_network_page(view, html)


def _request(axes: dict[str, Any], settings: dict[str, Any]) -> tuple[Request, Any]:
    """The request of one case, and the temporary folder that it goes to."""
    from aabench.runs.request import Request

    folder = tempfile.TemporaryDirectory()
    request = Request.of(None, axes, settings, out=Path(folder.name) / "network")
    request.grid.check_single()
    return request, folder
