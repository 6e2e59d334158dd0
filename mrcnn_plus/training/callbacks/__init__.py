"""What happens beside the training steps: checkpoints and logs."""
