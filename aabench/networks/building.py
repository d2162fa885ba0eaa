"""``build_network()``: a network from its name, on whatever device is torch's default."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from aabench.cases.catalogue import import_attribute
from aabench.cases.network_catalogue import NETWORKS
from aabench.errors import UsageError
from aabench.networks.input_resolution import Resolution


def build_network(name: str, *, resolution: Resolution | None = None, **options: Any) -> nn.Module:
    """The network of a name, newly initialised; nothing is downloaded.

    It is built on torch's default device: ``with torch.device("meta")`` builds it without memory.

    Args:
        name: a name of ``aabench list networks``, ``timm:NAME``, ``torchvision:NAME``, or
            ``package.module:function``, a function that returns a torch module.
        resolution: of the largest images, for networks that are built for one; others take any.
        **options: what the network's builder takes, such as ``num_classes`` or ``kappa``.

    Raises:
        UsageError: an unknown name, an option the network does not take, a function that fails
            or returns no module.
    """
    entry = NETWORKS.entry(name)
    builder = _builder(entry.target)
    if resolution is not None and _takes_resolution(builder):
        options["resolution"] = resolution
    _check_options(name, builder, options)
    try:
        network = builder(**options)
    except UsageError:
        raise
    except Exception as error:  # outside code may raise anything
        raise UsageError(
            f"the network {name} cannot be built: {type(error).__name__}: {error}",
            got=", ".join(f"{key}={value!r}" for key, value in options.items()) or None,
        ) from error
    if not isinstance(network, nn.Module):
        raise UsageError(
            f"{name} builds no torch module",
            got=type(network).__name__,
            instead="name a function that returns a torch.nn.Module",
        )
    return network


def _builder(target: str) -> Callable[..., Any]:
    library, _, model = target.partition(":")
    if library in ("timm", "torchvision"):
        from aabench.networks.model_libraries import LIBRARIES

        return LIBRARIES[library](model)
    builder = import_attribute(target)
    if not callable(builder):
        raise UsageError(
            f"{target} is no function that builds a network", got=type(builder).__name__
        )
    found: Callable[..., Any] = builder
    return found


def _takes_resolution(builder: Callable[..., Any]) -> bool:
    try:
        return "resolution" in inspect.signature(builder).parameters
    except ValueError:  # a builtin may have no signature
        return False


def _check_options(name: str, builder: Callable[..., Any], options: dict[str, Any]) -> None:
    """Refuse by name what the builder does not take, before it runs."""
    try:
        signature = inspect.signature(builder)
    except ValueError:
        return
    try:
        signature.bind(**options)
    except TypeError as error:
        raise UsageError(
            f"the network {name} does not take these options: {error}",
            got=", ".join(options) or "none",
            allowed=_option_names(signature),
        ) from error


def _option_names(signature: inspect.Signature) -> list[str]:
    return [
        f"**{p.name}" if p.kind is p.VAR_KEYWORD else p.name for p in signature.parameters.values()
    ]
