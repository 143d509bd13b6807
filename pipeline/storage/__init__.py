"""What our own files are made of; `pipeline.io` alone puts them together."""
