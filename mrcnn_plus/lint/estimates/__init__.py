"""What follows from settings and data together: sizes after resizing, fit of the anchors, crowding, memory.

The rules compare with these, and suggest better values from them.
"""
