"""The command `slashetc`: a fleet from its first host on, its identities, and its state."""
