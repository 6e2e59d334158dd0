"""Detection: images in, instances with full-size masks out."""
