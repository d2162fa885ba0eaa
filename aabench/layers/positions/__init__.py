"""Position encodings of the attention, one file each.

An encoding is an ``nn.Module`` constructed as ``cls(in_channels=, depth_per_head=, resolution=)``
(the resolution is the attention's, (H', W')) with

- ``extra_channels: int``: how many channels it concatenates to the attention's input;
- ``encode(x)``: (B, C, H, W) to (B, C + extra_channels, H, W), before keys and queries are made;
- ``tables(resolution)``: None, or the relative tables ((2H-1, dk/Nh), (2W-1, dk/Nh)) of exactly
  this map, which may be smaller than the one it was made for;
- ``resize(resolution)``, optional: make room for larger maps.

``PositionEncoding`` in ``encoding.py`` has these as defaults that encode nothing. The catalogue
(``aabench.cases.catalogue.POSITIONS``) names the encodings.
"""
