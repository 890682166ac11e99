"""Many readings at once on one device: slots in a static cache, joined and left at every step of decoding."""
