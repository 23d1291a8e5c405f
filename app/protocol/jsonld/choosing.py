"""Which of a page's blocks is the resource: pages hold breadcrumbs, the organisation and the site beside it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from app.protocol.jsonld import nodes

_BEST: Final = frozenset(
    {"LearningResource", "Course", "CourseInstance", "Quiz", "Syllabus", "HowTo", "EducationalOccupationalProgram"}
)
_GOOD: Final = frozenset(
    {
        "CreativeWork", "Book", "Chapter", "Article", "ScholarlyArticle", "TechArticle", "VideoObject", "AudioObject",
        "MediaObject", "DigitalDocument", "PresentationDigitalDocument", "TextDigitalDocument", "Dataset",
        "SoftwareApplication", "WebApplication", "MobileApplication", "VideoGame", "Game", "CreativeWorkSeries",
        "PodcastEpisode", "PodcastSeries", "Thesis", "Report", "Map", "MathSolver", "Collection", "ImageObject", "ImageGallery", "Photograph",
    }
)  # fmt: skip
_PAGES: Final = frozenset({"WebPage", "ItemPage", "FAQPage", "WebContent", "BlogPosting", "NewsArticle"})
_AROUND: Final = frozenset(
    {
        "BreadcrumbList", "ItemList", "ListItem", "Organization", "CollegeOrUniversity", "EducationalOrganization",
        "School", "Person", "WebSite", "SearchAction", "SiteNavigationElement", "WPHeader", "WPFooter", "ContactPoint",
    }
)  # fmt: skip
_LEARNING: Final = ("learningResourceType", "educationalLevel", "educationalAlignment", "teaches", "educationalUse")
LIMIT: Final = 1000
"""Nodes of one page that are looked at."""


def choose(blocks: Sequence[Any], page: str = "") -> dict[str, Any] | None:
    """The block that describes the resource, with what it refers to by `@id` inside the page put in its place.

    Blocks are parsed JSON, in the page's order; `page` is the page's address. None when no block is a resource. The
    kind of thing decides first, then properties of LRMI, then whether the block speaks of this page, then order.
    """
    found = list(_nodes(blocks))
    known = {
        name: node for node in reversed(found) if len(node) > 1 and (name := nodes.text(nodes.plain(node).get("id")))
    }
    ranked = sorted(found, key=lambda node: _rank(node, page), reverse=True)
    if not ranked or _rank(ranked[0], page)[0] == 0:
        return None
    chosen = ranked[0]
    main = next((item for item in nodes.values(nodes.plain(chosen).get("mainEntity")) if isinstance(item, dict)), None)
    if main is not None and _rank(chosen, page)[0] == 1:
        main = known.get(nodes.identifier(main), main)
        chosen = dict(main) if _rank(main, page)[0] > 1 else chosen
    return {key: _resolved(value, known) for key, value in chosen.items()}


def described(node: dict[str, Any], page: str = "") -> dict[str, Any] | None:
    """One block that a caller has chosen: taken whatever it is, unless it is known for what only surrounds a resource."""
    kinds = set(nodes.types(node))
    if "@graph" in node or kinds & _PAGES or (kinds and kinds <= _AROUND):
        return choose([node], page)
    return node


def _nodes(blocks: Any, depth: int = 4) -> Iterator[dict[str, Any]]:
    """Every top-level node, those of graphs included; nodes inside a resource are its parts and no candidates."""
    count = 0
    queue = [(blocks, depth)]
    while queue and count < LIMIT:
        block, left = queue.pop(0)
        if isinstance(block, (list, tuple)) and left:
            queue[:0] = [(item, left - 1) for item in block[:LIMIT]]
        elif isinstance(block, dict):
            if "@graph" in block and left:
                queue.insert(0, (block["@graph"], left - 1))
            else:
                count += 1
                yield block


def _rank(node: Mapping[str, Any], page: str) -> tuple[int, int, int]:
    kinds, bare = set(nodes.types(node)), nodes.plain(node)
    learning = sum(1 for name in _LEARNING if any(True for _ in nodes.values(bare.get(name))))
    kind = 3 if kinds & _BEST else 2 if kinds & _GOOD else int(bool(kinds & _PAGES or (learning and not kinds)))
    addresses = {nodes.text(bare.get(name)) for name in ("id", "url")} | {
        nodes.identifier(bare.get("mainEntityOfPage"))
    }
    return kind, learning, int(bool(page) and page in addresses)


def _resolved(value: Any, known: Mapping[str, dict[str, Any]]) -> Any:
    """A bare reference replaced by what the page says of it, one step deep: circles end here."""
    if isinstance(value, list):
        return [_resolved(item, known) for item in value]
    if isinstance(value, dict) and len(value) == 1 and ("@id" in value or "id" in value):
        return known.get(nodes.identifier(value), value)
    return value
