"""One file for each thing on the console's screens."""
