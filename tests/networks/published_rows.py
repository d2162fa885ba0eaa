"""The papers' figures beside what our networks cost, counted once on the meta device."""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

import aabench
from aabench.cases.network_catalogue import NETWORKS
from aabench.networks.building import build_network

FIGURES = Path(aabench.__file__).parent / "published" / "figures.csv"

SPELLED_OUT = {
    "aa-resnet50 kappa=upsilon=0.25": ("aa-resnet50", {"kappa": "0.25", "upsilon": "0.25"}),
    "aa-resnet50 kappa=upsilon=1.0 (fully attentional)": (
        "aa-resnet50",
        {"kappa": 1, "upsilon": 1},
    ),
    "resnet50 (SASA baseline)": ("resnet50", {}),
    "sasa-resnet26 conv-stem": ("sasa-resnet26", {}),
    "sasa-resnet38 conv-stem": ("sasa-resnet38", {}),
    "sasa-resnet50 conv-stem": ("sasa-resnet50", {}),
    "sasa-resnet26 full": ("sasa-resnet26-full", {}),
    "sasa-resnet38 full": ("sasa-resnet38-full", {}),
    "sasa-resnet50 full": ("sasa-resnet50-full", {}),
}
"""Rows whose printed name is not a name of the catalogue."""


@dataclass(frozen=True)
class Cost:
    params: int
    flops: int


def figures(*tables):
    """The rows of tables such as "AA 3" that print sizes."""
    with FIGURES.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if f"{row['paper']} {row['table']}" in tables and row["params_m"]]


def network_of(row):
    return SPELLED_OUT.get(row["network"], (row["network"], {}))


@cache
def _cost(name, options, resolution):
    with torch.device("meta"):
        model = build_network(name, resolution=resolution, **dict(options)).eval()
        image = torch.empty(1, 3, resolution, resolution)
    return cost_of(model, image)


def cost(name, resolution=None, **options):
    """Parameters and FLOPs (2 a MAC) of one image at the network's own resolution."""
    resolution = resolution or NETWORKS.entry(name).resolution
    return _cost(name, tuple(sorted(options.items())), resolution)


def cost_of(model, image):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(image)
    return Cost(sum(p.numel() for p in model.parameters()), counter.get_total_flops())


def row_cost(row):
    name, options = network_of(row)
    return cost(name, int(row["input"]), **options)


def as_printed(value, printed):
    """A value with as many decimals as the paper prints."""
    _, _, decimals = printed.partition(".")
    return f"{value:.{len(decimals)}f}"
