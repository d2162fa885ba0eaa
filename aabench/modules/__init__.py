"""What is done with torch modules of any kind, whatever they compute."""
