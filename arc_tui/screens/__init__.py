"""One file for each screen and dialog of the console."""
