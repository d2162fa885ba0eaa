"""The kernel on the record: what really computed an attention, and why the faster kernels did not."""
