"""Turns an interface into the text of a stub; needs no torch."""
