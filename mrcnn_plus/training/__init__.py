"""Training: the loss and step of the Keras model, stages, optimizers, the input pipeline, callbacks."""
