"""Pictures of images, masks, boxes and scores. With Matterport's names and signatures in `mrcnn_plus.visualize`.

canvas     what all of them share: colours, blending of masks, outlines, figures
instances  images with their instances, ground truth against detections
boxes      boxes and ROIs with their refinement
charts     curves and tables
overlay    pixels in, pixels out: for files, batches and video
"""
