"""``python -m aabench``: the command line without an installed script."""

from aabench.cli.main import main

main()
