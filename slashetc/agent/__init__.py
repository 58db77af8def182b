"""`slashetc agent`: keeps a host in its fleet."""
