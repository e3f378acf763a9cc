"""Measurements, side by side with others in one run; nothing here is a test."""
