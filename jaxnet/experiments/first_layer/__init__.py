"""What did the first layer learn: random pixels, blobs or edges? The measure of structure is tested first."""
