"""Mask R-CNN with a Swin backbone: another network for the same snapshots and proposals."""
