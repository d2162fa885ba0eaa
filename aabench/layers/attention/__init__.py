"""Forms of the same exact attention, one file each; none imports another.

A form is a module-level function ``attend(q, k, v, tables, resolution) -> Tensor``:

- ``q``, ``k`` (B, Nh, N, dk/Nh) and ``v`` (B, Nh, N, dv/Nh), N = H * W in row-major order, of any
  strides: typically transposed views of one channel-first projection. q is already scaled by
  (dk/Nh)^-0.5, so the relative logits are scaled too.
- ``tables``: None, or the relative tables (2H-1, dk/Nh) and (2W-1, dk/Nh) of this resolution and
  of q's data type; their row for a query at i and a key at j is j - i + L-1.
- ``resolution``: (H, W).

It returns (B, Nh, N, dv/Nh), softmax(q k^T + S_H + S_W) v with S_H[i, j] = q_i . r_H[jy - iy] and
S_W[i, j] = q_i . r_W[jx - ix] (Bello et al. 2019, equations 2 and 3). A form that cannot run a
case raises ``aabench.errors.UnsupportedCase`` with its name and the reason; it never hands the
case to another form. The catalogue (``aabench.cases.catalogue.ATTENTIONS``) names the forms, and
``aabench.cases.choice`` says which one ``auto`` takes.
"""
