"""Starting a recipe on a cluster: scripts and manifests to read, keep and submit."""
