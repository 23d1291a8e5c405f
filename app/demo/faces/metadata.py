"""Metadata formats as repositories write them; the hub reads MODS and MARC and writes neither, so they are made here."""

from typing import Any

from app.protocol import oaipmh, vocab
from app.protocol.xml import escape

_MARC_LANGUAGES = {"zh-Hans": "chi", "ug": "uig", "bo": "tib", "mn-Mong": "mon", "ko": "kor", "ii": "iii"}
"""MARC code list for languages."""


def _subject(record: dict[str, Any]) -> str:
    return vocab.label("subject", record["subject"])


def dublin_core(record: dict[str, Any]) -> str:
    """oai_dc with the subject in words."""
    return oaipmh.render_dc({**record, "subject": _subject(record)})


def _element(name: str, text: str, **attributes: str) -> str:
    said = "".join(f' {key}="{escape(value)}"' for key, value in attributes.items())
    return f"<{name}{said}>{escape(text)}</{name}>"


def mods(record: dict[str, Any]) -> str:
    """MODS 3.7 of a learning resource."""
    author, publisher = (person["name"] for person in record["contributors"])
    role = f"<role>{_element('roleTerm', 'creator', type='text')}</role>"
    parts = [f"<titleInfo>{_element('title', record['title'])}</titleInfo>"]
    for title in record.get("alt_titles", ()):
        parts.append(f'<titleInfo type="alternative">{_element("title", title)}</titleInfo>')
    parts.append(f"<name>{_element('namePart', author)}{role}</name>")
    parts += [_element("genre", kind) for kind in record["type"]]
    parts.append(
        f"<originInfo>{_element('publisher', publisher)}{_element('dateIssued', record['published'])}</originInfo>"
    )
    parts += [
        f"<language>{_element('languageTerm', tag, type='code', authority='rfc5646')}</language>"
        for tag in record["languages"]
    ]
    parts.append(_element("abstract", record["description"]))
    parts += [_element("targetAudience", who) for who in record["audience"]]
    parts += [f"<subject>{_element('topic', word)}</subject>" for word in (_subject(record), *record["keywords"])]
    parts += [f"<location>{_element('url', url, usage='primary')}</location>" for url in record["location"]]
    parts.append(_element("accessCondition", record["rights"]["statement"], type="use and reproduction"))
    return f'<mods xmlns="http://www.loc.gov/mods/v3" version="3.7">{"".join(parts)}</mods>'


def cnmarc(record: dict[str, Any]) -> str:
    """CNMARC in marcxchange, as libraries keep their digital holdings."""
    author, publisher = (person["name"] for person in record["contributors"])
    fields = [
        ("101", {"a": _MARC_LANGUAGES[tag]}) for tag in record["languages"] if tag in _MARC_LANGUAGES
    ] + [("200", {"a": record["title"]}), ("210", {"c": publisher, "d": record["published"]})]  # fmt: skip
    fields += [("330", {"a": record["description"]})] + [("333", {"a": who}) for who in record["audience"]]
    fields += [("371", {"a": record["rights"]["statement"]})]
    fields += [("540", {"a": title}) for title in record.get("alt_titles", ())]
    fields += [("606", {"a": word}) for word in (_subject(record), *record["keywords"])]
    fields += [("608", {"a": kind}) for kind in record["type"]]
    fields += [("701", {"a": author, "4": "著"})] + [("856", {"u": url}) for url in record["location"]]
    body = "".join(_datafield(tag, subfields) for tag, subfields in fields)
    head = f"<leader>     nlm0 22     450 </leader>{_element('controlfield', record['local'], tag='001')}"
    return f'<record xmlns="info:lc/xmlns/marcxchange-v2" format="CNMARC" type="Bibliographic">{head}{body}</record>'


def _datafield(tag: str, subfields: dict[str, str]) -> str:
    inner = "".join(_element("subfield", text, code=code) for code, text in subfields.items())
    return f'<datafield tag="{tag}" ind1=" " ind2=" ">{inner}</datafield>'
