"""Tables as files: which encoding, which delimiter, where the header is, what a row is. CSV, TSV and workbooks alike."""
