"""Face datasets to arrays: readers, splits and protocols, the audit for duplicates. No torch here."""
