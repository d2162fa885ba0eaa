"""The kernels that the rule tables expect of measured layers, to hold against those that ran."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks.gpu.measured import Measured

if TYPE_CHECKING:
    import pandas as pd

    from aabench.cases.case import Case


def expected_kernels(measured: Measured) -> pd.Series[str]:
    """By row, the kernel that the table names; of measured augmented convolutions on a card only."""
    import pandas as pd

    from aabench.cost.columns import LayerColumns
    from aabench.cost.cuda_kernels import cuda_kernels

    capability = (measured.environment.get("device") or {}).get("capability")
    rows = measured.measured
    chosen = rows[
        (rows["layer"] == "augmented")
        & (rows["attention"] != "none")
        & ~rows["compile"].fillna(False)
    ]
    cases = _cases(measured)
    chosen = chosen[chosen["key"].isin(cases)]
    if capability is None or not len(chosen):
        return pd.Series([], dtype=object, index=rows.index[:0])
    pair = int(capability[0]), int(capability[1])
    layers = LayerColumns.from_cases([cases[key] for key in chosen["key"]], "cuda", None, pair)
    kernels, _ = cuda_kernels(layers, pair)
    return pd.Series([kernels.at(place) for place in range(len(chosen))], index=chosen.index)


def _cases(measured: Measured) -> dict[str, Case]:
    """The cases of all run folders by their keys."""
    from aabench.cases.case import Case

    found = {}
    for path in sorted(measured.folder.glob("*/rows.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.endswith("}"):  # the last one may have been cut off
                values = json.loads(line)
                found[str(values["key"])] = Case.from_dict(values["case"])
    return found
