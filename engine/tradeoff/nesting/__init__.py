"""Whether the embeddings nest: the prefix against random subsets, the tail and PCA."""
