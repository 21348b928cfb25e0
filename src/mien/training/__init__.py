"""The only room that imports torch: network, augmentation, recipes, loop, checkpoints, export."""
