"""``aabench network``: one network, layer by layer, beside the plain one; predicted, or measured too."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aabench.cases.axes import LAYER_AXES, NETWORK_AXES, OF_LAYERS_ALONE, STEP_AXES
from aabench.cli.axis_flags import with_axis_flags
from aabench.cli.card_flags import Arch, Gpu, Vram, card_target
from aabench.cli.epoch_flags import Epochs, Images
from aabench.cli.output import OutputFormat
from aabench.cli.page_flags import Html
from aabench.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from aabench.cases.case import Case
    from aabench.cost.target import Target
    from aabench.report.network_table import NetworkReport
    from aabench.runs.device_facts import DeviceFacts
    from aabench.runs.network_explanation import NetworkExplanation
    from aabench.runs.request import Request

SCHEMA = 1
"""Of ``--format json``."""

AXES = [
    axis
    for axis in (*NETWORK_AXES, *LAYER_AXES, *STEP_AXES)
    if axis.name not in (*OF_LAYERS_ALONE, "network", "image_channels")
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
    input: Annotated[
        str | None,
        typer.Option(
            help="Input image as CxHxW, such as 3x224x224, instead of --resolution.",
            show_default=False,
        ),
    ] = None,
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
        {**axes, "network": name, **_image(input, axes["resolution"])},
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
        view = _looked_at(request, card, depth, measure)
    if trained is not None:
        view = view.with_training_hours(trained)
    _SHOW[format](view)
    if html is not None:
        _write_page(view, html)


def _request(axes: dict[str, Any], settings: dict[str, Any]) -> tuple[Request, Any]:
    """The request of one case, and the temporary folder that it goes to."""
    from aabench.runs.request import Request

    folder = tempfile.TemporaryDirectory()
    request = Request.of(None, axes, settings, out=Path(folder.name) / "network")
    request.grid.check_single()
    return request, folder


def _image(given: str | None, resolution: str | None) -> dict[str, str]:
    """The axes that ``--input CxHxW`` stands for."""
    if given is None:
        return {}
    if resolution is not None:
        raise UsageError("--input and --resolution say the same", instead="give one of them")
    channels, *sides = given.lower().split("x")
    if len(sides) != 2 or not all(part.isdecimal() for part in (channels, *sides)):
        raise UsageError("--input: not an image", got=given, allowed="CxHxW, such as 3x224x224")
    return {"image_channels": channels, "resolution": "x".join(sides)}


@dataclass(frozen=True, slots=True)
class _View:
    """What there is to show of a network and of the plain one beside it."""

    ours: NetworkExplanation
    plain: NetworkExplanation | None
    totals: dict[str, Any]
    plain_totals: dict[str, Any]
    notes: tuple[str, ...]
    device: str

    def with_training_hours(self, images: float) -> _View:
        """With the hours that so many images take, of both networks."""
        from aabench.runs.training_time import training_hours

        totals, plain_totals = (
            {**each, "training_hours": training_hours(images, each["items_per_s"])}
            if each.get("items_per_s")
            else each
            for each in (self.totals, self.plain_totals)
        )
        return replace(self, totals=totals, plain_totals=plain_totals)


def _looked_at(request: Request, card: Target | None, depth: int | None, measure: bool) -> _View:
    """Predict, and measure if that is asked."""
    from aabench.cli.planning import facts_for
    from aabench.runs.hello import facts_here
    from aabench.runs.network_explanation import explain_network
    from aabench.runs.plan import Plan
    from aabench.runs.predicting import facts_of, target_of

    if card is not None:
        facts = facts_of(card)
    else:
        # Measuring must not share the card with this process; predicting needs torch here anyway.
        facts = facts_for(request) if measure else facts_here(request.settings.device)
    (planned,) = Plan.of(request.grid, facts).rows
    target = card or target_of(facts)
    ours = explain_network(planned.case, target, depth)
    plain = explain_network(planned.case.plain(), target, depth) if planned.plain_key else None
    totals, plain_totals = dict(ours.figures), dict(plain.figures if plain else {})
    if measure:
        ours, row = _measured(request, ours, facts)
        totals |= row
        plain_totals |= _of_plain(row, planned.case.batch) if plain else {}
    notes = (*planned.notes, *_floor_note(planned.case))
    return _View(ours, plain, totals, plain_totals, notes, facts.name)


def _floor_note(case: Case) -> tuple[str, ...]:
    """That kappa is not all that decides about dk, where the user gave it and no floor."""
    from aabench.cases.depths import PUBLISHED_KEY_DEPTH_PER_HEAD

    network = case.network
    if network is None or network.kappa is None or network.min_key_depth_per_head is not None:
        return ()
    return (
        f"where kappa gives less, dk is {PUBLISHED_KEY_DEPTH_PER_HEAD} per head, as in the papers; "
        "--min-key-depth-per-head 0 takes kappa as it is",
    )


def _measured(
    request: Request, explanation: NetworkExplanation, facts: DeviceFacts
) -> tuple[NetworkExplanation, dict[str, Any]]:
    """The row of results, and the forward time of each layer."""
    import torch

    from aabench.cli.watching import watched_sweep
    from aabench.runs.network_explanation import with_forward_times

    row = {str(k): v for k, v in watched_sweep(request).iloc[0].dropna().items()}
    if row["status"] == "ok":
        explanation = with_forward_times(explanation, torch.device(facts.device))
    return explanation, row


def _of_plain(row: dict[str, Any], batch: int) -> dict[str, Any]:
    """What the network's row says of the plain network."""
    figures = {
        "latency_median_s": row.get("conv_latency_median_s"),
        "peak_allocated_bytes": row.get("conv_peak_allocated_bytes"),
    }
    seconds = figures["latency_median_s"]
    figures["items_per_s"] = batch / seconds if seconds else None
    return {name: value for name, value in figures.items() if value is not None}


def _print_table(view: _View) -> None:
    from aabench.report.network_table import network_table
    from aabench.report.terminal import print_to

    report = _report(view)
    print_to(sys.stdout, lambda width: network_table(report, width=width))
    for note in (*view.notes, *_failure(view)):
        print(f"note: {note}")


def _write_page(view: _View, path: Path) -> None:
    from aabench.cli.page_flags import published_accuracies, write_page
    from aabench.report.page.network_page import page_of_network

    totals = _totals_frame(view)
    page = page_of_network(
        _report(view),
        totals,
        accuracies=published_accuracies(set(totals["network"])),
        notes=(*view.notes, *_failure(view)),
    )
    write_page(path, page)


def _totals_frame(view: _View) -> pd.DataFrame:
    """The network and the plain one as two rows of results."""
    import pandas as pd

    rows = []
    for each, totals in ((view.ours, view.totals), (view.plain, view.plain_totals)):
        if each is not None and each.case.network is not None:
            network = each.case.network
            case = {"network": network.name, "height": network.height, "width": network.width}
            rows.append({"status": "predicted", **totals, **case, "batch": each.case.batch})
    return pd.DataFrame(rows).drop(columns=["attention", "device"], errors="ignore")


def _report(view: _View) -> NetworkReport:
    from aabench.report.layer_table import Composition
    from aabench.report.network_table import NetworkReport
    from aabench.runs.case_text import case_text

    ours, plain = view.ours, view.plain
    return NetworkReport(
        title=f"{case_text(ours.case)}, predicted for {view.device}",
        parts=ours.parts,
        peak=Composition(ours.peak, f"the peak is in the step's {ours.phase} pass"),
        totals=view.totals,
        plain_name=plain.case.network.name if plain and plain.case.network else "",
        plain_totals=view.plain_totals,
        basis=ours.basis,
        left_out=ours.left_out,
    )


def _failure(view: _View) -> tuple[str, ...]:
    status = view.totals.get("status", "ok")
    return () if status == "ok" else (f"not measured: {status}: {view.totals.get('reason')}",)


def _print_json(view: _View) -> None:
    network = view.ours.case.network
    assert network is not None
    answer: dict[str, Any] = {
        "schema": SCHEMA,
        "network": network.name,
        "case": view.ours.case.to_dict(),
        "device": view.device,
        "notes": list(view.notes),
        "totals": view.totals,
        "peak_bytes": dict(view.ours.peak),
        "layers": [asdict(part) for part in view.ours.parts],
    }
    if view.plain is not None and view.plain.case.network is not None:
        answer["plain"] = {
            "network": view.plain.case.network.name,
            "totals": view.plain_totals,
            "layers": [asdict(part) for part in view.plain.parts],
        }
    print(json.dumps(answer, indent=2, default=_plain_number))


def _plain_number(value: Any) -> Any:
    """A numpy or pandas number as Python's own."""
    return value.item() if hasattr(value, "item") else str(value)


def _rows(view: _View) -> pd.DataFrame:
    import pandas as pd

    rows = pd.DataFrame([asdict(part) for part in view.ours.parts]).drop(columns="at_peak")
    rows["output_shape"] = ["x".join(map(str, shape)) for shape in rows["output_shape"]]
    return rows


def _print_csv(view: _View) -> None:
    from aabench.report.records import write_csv

    write_csv(_rows(view), sys.stdout)


def _print_markdown(view: _View) -> None:
    from aabench.report.records import write_markdown

    write_markdown(_rows(view), sys.stdout)


_SHOW = {
    OutputFormat.table: _print_table,
    OutputFormat.json: _print_json,
    OutputFormat.csv: _print_csv,
    OutputFormat.md: _print_markdown,
}
