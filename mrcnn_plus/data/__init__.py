"""From a user's files to batches of arrays: data sets, images, ground truth, augmentation, order of images, batches.

Reading path: `dataset` (what a user subclasses), `image_files` and `image_decoding` (any file to RGB uint8),
`instance_checks` (what `load_image` and `load_mask` may answer), `ground_truth` (one image made ready), `augmentation`,
`sampling` (which image comes when), `batches` (the arrays that the network takes). `readers` turn annotation files into
data sets: `open_dataset(path)`; `annotations` is the form that all of them bring annotations into.

Nothing here imports Keras or a backend.

Glossary: B images, A anchors, R ROIs, G ground-truth slots, C classes with background, N instances of one image,
H and W height and width of an image, h and w of its masks. Boxes are `(y1, x1, y2, x2)`.
"""


def __getattr__(name):
    if name == "open_dataset":
        from mrcnn_plus.data.readers.opening import open_dataset

        return open_dataset
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
