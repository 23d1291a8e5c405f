"""Ground floor: words and codecs. No I/O, no clock, no framework."""
