"""The engines that carry calls, behind one small protocol."""
