"""Does a network understand or memorize? True, shuffled and partly shuffled labels, meaningless pixels, and the capacity."""
