"""Feeds of news: RSS 0.9x to 2.0 and 1.0, Atom 0.3 and 1.0 (RFC 4287), OPDS 1.2, podcasts, JSON Feed 1.1.

Our own hardened reader decodes a feed and cuts it into items, so that encodings and DOCTYPEs are judged as
everywhere; what an item's dialect means is feedparser's knowledge. feedparser is given bytes in memory only (it would
open a text as a URL or a file), and its HTML cleaner is off: descriptions become plain text in `pages.plain`.
"""

from app.protocol.syndication.cutting import ATOM, cut
from app.protocol.syndication.feeds import Feed, Item
from app.protocol.syndication.reading import read
from app.protocol.syndication.rendering import render

__all__ = ["ATOM", "Feed", "Item", "cut", "read", "render"]
