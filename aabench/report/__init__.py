"""What a person sees: tables, formats and progress, made from rows alone. Imports nothing heavy."""
