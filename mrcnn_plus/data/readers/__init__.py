"""Readers of annotation files. `open_dataset` finds out which one is needed.

coco, via, labelme, pascal_voc, mask_folders, rle_csv   one format each
opening       `open_dataset`                detection     which format is this
building      what all readers share        text_files    encodings, damaged JSON
image_lookup  where the images are          class_names   names written twice
outlines, rasterizing, rle, mask_images     size and pixels of an annotation
photo_frames  photos that viewers turn
"""
