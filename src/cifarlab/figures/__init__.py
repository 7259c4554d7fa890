"""Arrays in, matplotlib figures out. The only room that imports matplotlib."""
