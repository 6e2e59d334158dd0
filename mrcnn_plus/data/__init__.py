"""From a user's files to batches of arrays: data sets, images, ground truth, augmentation, order of images, batches.

Reading path: `dataset` (what a user subclasses), `image_files` and `image_decoding` (any file to RGB uint8),
`instance_checks` (what `load_image` and `load_mask` may answer), `ground_truth` (one image made ready), `augmentation`,
`sampling` (which image comes when), `batches` (the arrays that the network takes).

Nothing here imports Keras or a backend.

Glossary: B images, A anchors, R ROIs, G ground-truth slots, C classes with background, N instances of one image,
H and W height and width of an image, h and w of its masks. Boxes are `(y1, x1, y2, x2)`.
"""
