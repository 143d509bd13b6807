"""The catalog: its columns, one out of many tiles', and where it comes from."""
