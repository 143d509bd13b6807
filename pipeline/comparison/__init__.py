"""Our catalog and masks beside the truth, and beside what others make of the same pixels."""
