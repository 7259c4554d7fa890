"""What any room may need: mistakes in one line, seeds, hardware, signals, the command line."""
