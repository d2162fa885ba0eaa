"""Whole networks: the papers' own, and ``augment()``, which augments the convolutions of any model.

Nothing is imported here, so that naming a network stays quick. ``aabench.cases.network_catalogue``
holds the names, ``aabench.networks.building`` builds what they stand for,
``aabench.networks.augmenting`` swaps the layers.
"""
