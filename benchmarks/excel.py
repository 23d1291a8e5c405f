"""Our own time for a row of a workbook beyond the library's bare read, against our time for the same row of a CSV.

`python -m benchmarks.excel [RECORDS]`; processor time, in turn, median of the rounds' ratios (goal: at most 1).
"""

import sys
from statistics import median

from benchmarks.csv import bare, parsed, rows, text, workbook

RECORDS, ROUNDS = 50_000, 25


def main() -> None:
    """Prints the rounds and the median."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS
    table = rows(count)
    plain, book, ids = text(table), workbook(table), {"url": "http://127.0.0.1/a", "id_columns": ["编号"]}
    ratios = []
    for number in range(ROUNDS):
        ours = parsed("csv", ids, plain, count)
        alone = bare(book, count)
        own = parsed("excel", {**ids, "unpacked_mib": 512}, book, count) - alone
        ratios.append(own / ours)
        microseconds = ", ".join(
            f"{name} {spent / count * 1e6:.2f}" for name, spent in (("CSV", ours), ("XLSX", own), ("library", alone))
        )
        print(f"round {number + 1}, microseconds a row: {microseconds}", flush=True)
    print(f"our own time for a row of XLSX: {median(ratios):.2f} x that of CSV (goal at most 1)")


if __name__ == "__main__":
    main()
