"""The commands of `slashetc`."""
