"""The network, written once in `keras.ops` for every Keras backend, with static shapes.

Reading order of a detection: `backbones/` -> `pyramid` -> `rpn` -> `proposals` -> `roi_align` -> `heads` ->
`detections`. Training adds `anchors`, `rpn_targets`, `detection_targets` and `losses`; `assembly` puts them together.

Letters in shapes: B images, A anchors, R ROIs, G ground-truth slots, D detections, C classes with background.
Boxes are `(y1, x1, y2, x2)`, normalized unless a name ends in `_px`: pixel rows 0 .. H-1 lie at 0 .. 1, and the lower
right corner is the last pixel inside the box (`geometry.boxes.norm_boxes`).
"""
