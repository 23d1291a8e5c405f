"""MARCXML: MARC 21, and UNIMARC with its Chinese form CNMARC, told apart by what the record shows.

Both travel in one XML form (MARC21 slim, or ISO 25577 marcxchange), so a namespace says nothing: field 200 is the
title in UNIMARC and does not exist in MARC 21, whose title is 245; the leader's entry map ends in `450 ` there and
in `4500` here (leader 20-23).
"""

from app.protocol.formats.marc.reading import read_marc21, read_marcxml, read_unimarc

__all__ = ["read_marc21", "read_marcxml", "read_unimarc"]
