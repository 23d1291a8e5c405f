"""Which MARC field means what: MARC 21 (loc.gov/marc/bibliographic) and UNIMARC (IFLA), CNMARC where it differs.

A field is `tag: (action, subfields)`; actions are those of `reading.py`.
"""

from typing import Final

MARC21: Final[dict[str, tuple[str, str]]] = {
    "020": ("number", "ISBN"), "022": ("number", "ISSN"), "024": ("number", ""), "041": ("languages", "a"),
    "100": ("person", "abcq author"), "110": ("person", "ab author"), "111": ("person", "acd author"),
    "245": ("title", "abnp"), "246": ("alternative", "abnp"), "130": ("alternative", "anp"), "240": ("alternative", "anp"),
    "250": ("edition", "ab"), "260": ("imprint", "bc"), "264": ("imprint", "bc"), "300": ("extent", "abc"),
    "490": ("related", "series"), "506": ("rights", "a"), "520": ("description", "ab"), "521": ("audience", "a"),
    "540": ("licence", "au"), "600": ("keywords", "a"), "610": ("keywords", "a"), "650": ("keywords", "axyz"),
    "651": ("keywords", "axyz"), "653": ("keywords", "a"), "655": ("genre", "a"),
    "700": ("person", "abcq contributor"), "710": ("person", "ab contributor"), "711": ("person", "acd contributor"),
    "773": ("related", "isPartOf"), "774": ("related", "hasPart"), "775": ("related", "isVersionOf"),
    "776": ("related", "isFormatOf"), "780": ("related", "replaces"), "785": ("related", "isReplacedBy"),
    "787": ("related", "relation"), "856": ("address", "u"),
}  # fmt: skip
UNIMARC: Final[dict[str, tuple[str, str]]] = {
    "010": ("number", "ISBN"), "011": ("number", "ISSN"), "013": ("number", "ISMN"), "101": ("languages", "a"),
    "200": ("title", "aehi"), "205": ("edition", "a"), "210": ("imprint", "cd"), "214": ("imprint", "cd"),
    "215": ("extent", "acd"), "225": ("related", "series"), "310": ("rights", "a"), "330": ("description", "a"),
    "333": ("audience", "a"), "371": ("licence", "au"), "461": ("related", "isPartOf"), "463": ("related", "hasPart"),
    "488": ("related", "relation"), "500": ("alternative", "ahi"), "510": ("alternative", "aehi"),
    "512": ("alternative", "aehi"), "517": ("alternative", "aehi"), "540": ("alternative", "aehi"),
    "600": ("keywords", "a"), "601": ("keywords", "a"), "605": ("keywords", "a"), "606": ("keywords", "axyz"),
    "607": ("keywords", "axyz"), "608": ("genre", "a"), "610": ("keywords", "a"),
    "700": ("heading", "a author"), "701": ("heading", "a author"), "702": ("heading", "a contributor"),
    "710": ("person", "ab author"), "711": ("person", "ab author"), "712": ("person", "ab contributor"), "856": ("address", "u"),
}  # fmt: skip
TYPES: Final = {
    "a": "text", "b": "text", "c": "notated music", "d": "notated music", "e": "map", "f": "map",
    "g": "MovingImage", "i": "sound", "j": "sound", "k": "StillImage", "l": "software", "m": "software",
}  # fmt: skip
"""Type of record (leader 06). Both families agree on these; `l` is UNIMARC's code for electronic resources."""
RELATORS: Final = {
    "aut": "author", "cre": "creator", "ctb": "contributor", "edt": "editor", "trl": "translator", "ill": "illustrator",
    "pbl": "publisher", "com": "compiler", "nrt": "narrator", "drt": "director", "cmp": "composer", "aui": "author",
    "070": "author", "340": "editor", "730": "translator", "440": "illustrator", "650": "publisher", "220": "compiler",
    "205": "contributor", "300": "director", "230": "composer", "080": "author",
    "著": "author", "主编": "editor", "编著": "author", "编": "compiler", "译": "translator", "绘": "illustrator",
}  # fmt: skip
"""Relator codes: MARC 21's letters, UNIMARC's numbers (appendix C), and the words CNMARC writes in $4."""
