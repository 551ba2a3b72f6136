"""What is special to each board: one folder each, with board.json, pins.py and a README."""
