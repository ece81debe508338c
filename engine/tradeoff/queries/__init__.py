"""What reduced dims do to single queries: who loses, how scores move, a search to try."""
