"""What fits: budgets, verdicts, and the search for the layers and settings that fit."""
