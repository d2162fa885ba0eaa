"""Traced prediction: what one step of any torch module allocates and computes, without running it."""
