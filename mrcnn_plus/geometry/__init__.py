"""Boxes, anchors, masks and images as NumPy arrays: the arithmetic that needs no network.

Nothing here imports Keras, a backend or scikit-image, so data checks and drawing start in a fraction of a second.

Glossary: N instances, M instances of a second set, H and W image height and width, C channels.
Boxes are `(y1, x1, y2, x2)`; in pixels `(y2, x2)` lies outside the box, in normalized coordinates inside it.
Masks are `[H, W, N]`, one plane for each instance.
"""
