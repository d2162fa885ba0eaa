"""The counters beside each other: torch's, the sum of closed forms, and fvcore's, on whole networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from aabench.cases.network_catalogue import NETWORKS
from aabench.networks.building import build_network
from aabench.published.closed_forms import closed_form_macs
from aabench.published.counting import counted_form, forward_flops
from aabench.published.fvcore_count import ROUNDED, FvcoreCount, fvcore_count
from aabench.published.printed import rows_of
from aabench.published.rebuilds import rebuild_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Subject:
    """A network to count.

    Attributes:
        network: its name.
        resolution: height and width of the image.
        options: of its builder.
    """

    network: str
    resolution: int
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class CounterComparison:
    """Multiply-accumulates of one image forward by three counters.

    Attributes:
        subject: what was counted.
        params: parameters.
        traced_macs: half of what torch's FlopCounterMode counts.
        closed_form_macs: the sum of the layers' closed forms.
        fvcore: what fvcore counts; None where it cannot trace the network.
        failure: why it cannot.
    """

    subject: Subject
    params: int
    traced_macs: int
    closed_form_macs: int
    fvcore: FvcoreCount | None
    failure: str = ""

    @property
    def unexplained_macs(self) -> int:
        """What fvcore's convolutions and products differ from ours by, if not by its rounding."""
        if self.fvcore is None or self._rounding:
            return 0
        return self.fvcore.products - self.traced_macs

    @property
    def why(self) -> str:
        """What makes up the difference of fvcore's count."""
        if self.fvcore is None:
            return self.failure
        parts = [f"{name} {count:+,}" for name, count in self.fvcore.extras.items()]
        if self._rounding:
            parts.append(f"its einsum is rounded {self._rounding:+,}")
        if self.unexplained_macs:
            parts.append(f"unexplained {self.unexplained_macs:+,}")
        return ", ".join(parts)

    @property
    def _rounding(self) -> int:
        """What its rounding makes of the einsum count: no more than a part in a thousand of it."""
        if self.fvcore is None:
            return 0
        difference = self.fvcore.products - self.traced_macs
        return (
            difference if abs(difference) <= self.fvcore.by_operator.get(ROUNDED, 0) / 1000 else 0
        )


def subjects(tables: Iterable[str] = ()) -> tuple[Subject, ...]:
    """The networks of some published tables; without any, all of ``aabench list networks``.

    Raises:
        UnknownName: no such table.
    """
    tables = list(tables)
    if not tables:
        return tuple(Subject(entry.name, entry.resolution) for entry in NETWORKS)
    rebuilds = ((rebuild_of(row), row.resolution) for row in rows_of(tables))
    found = (Subject(rebuild.network, side, rebuild.options) for rebuild, side in rebuilds)
    return tuple(dict.fromkeys(found))


def compare_counters(
    of: Iterable[Subject], *, started: Callable[[str], None] | None = None
) -> Iterator[CounterComparison]:
    """Count networks by all three counters, one after the other; seconds each, for fvcore runs them.

    Args:
        of: the networks.
        started: told of each before it is built.
    """
    for subject in of:
        if started is not None:
            started(subject.network)
        with torch.device("meta"):
            model, image = _built(subject)
        fvcore, failure = _by_fvcore(subject)
        yield CounterComparison(
            subject,
            params=sum(parameter.numel() for parameter in model.parameters()),
            traced_macs=forward_flops(model, image) // 2,
            closed_form_macs=closed_form_macs(model, image),
            fvcore=fvcore,
            failure=failure,
        )


def counter_frame(comparisons: Iterable[CounterComparison]) -> pd.DataFrame:
    """Comparisons as a table.

    Returns:
        ``network, options, resolution, params``; ``macs_traced, macs_closed_forms, macs_fvcore``
        (multiply-accumulates; fvcore calls them FLOPs); ``closed_forms_difference,
        fvcore_difference`` (from ``macs_traced``); ``why``.
    """
    import pandas as pd

    return pd.DataFrame([_record(comparison) for comparison in comparisons]).astype(
        {"macs_fvcore": "Int64", "fvcore_difference": "Int64"}
    )


def _record(comparison: CounterComparison) -> dict[str, Any]:
    subject, traced = comparison.subject, comparison.traced_macs
    fvcore = None if comparison.fvcore is None else comparison.fvcore.total
    return {
        "network": subject.network,
        "options": " ".join(f"{name}={value}" for name, value in subject.options),
        "resolution": subject.resolution,
        "params": comparison.params,
        "macs_traced": traced,
        "macs_closed_forms": comparison.closed_form_macs,
        "macs_fvcore": fvcore,
        "closed_forms_difference": comparison.closed_form_macs - traced,
        "fvcore_difference": None if fvcore is None else fvcore - traced,
        "why": comparison.why,
    }


def _built(subject: Subject) -> tuple[nn.Module, Tensor]:
    """The network and an image, on torch's default device."""
    options = counted_form(subject.network, dict(subject.options))
    model = build_network(subject.network, resolution=subject.resolution, **options)
    return model.eval(), torch.zeros(1, 3, subject.resolution, subject.resolution)


def _by_fvcore(subject: Subject) -> tuple[FvcoreCount | None, str]:
    """Fvcore's count, or why there is none."""
    with torch.device("cpu"):
        model, image = _built(subject)
    try:
        return fvcore_count(model, image), ""
    except Exception as error:  # torch's tracer raises anything for what it cannot follow
        return None, f"fvcore cannot trace it: {type(error).__name__}: {error}"
