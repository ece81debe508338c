"""What larger corpora would show: measured subsamples and the forecast from them."""
