"""What a page of results is made of, for tests that look at it as a browser does."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser


class Elements(HTMLParser):
    """Every start tag with its attributes, and whether each tag that needs it was closed in order."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, page):
        super().__init__()
        self.found, self._open = [], []
        self.feed(page)
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def all(self, *tags):
        return [attributes for tag, attributes in self.found if tag in tags]


def outside_sources(page):
    """Everything through which opening the page would fetch something or run something; must be empty."""
    elements = Elements(page)
    loaded = [a[n] for _, a in elements.found for n in ("src", "srcset", "action", "data", "poster") if n in a]
    found = [source[:80] for source in loaded if not source.startswith("data:image/")]
    found += [a["href"] for _, a in elements.found if "href" in a and not a["href"].startswith("#")]
    found += [
        tag for tag, _ in elements.found if tag in ("script", "link", "iframe", "object", "embed", "base", "form")
    ]
    found += [name for _, attributes in elements.found for name in attributes if name.startswith("on")]
    found += re.findall(r"https?:|url\(|@import", re.sub(r'src="data:[^"]*"', "", page))
    for source in loaded:
        if source.startswith("data:image/svg+xml"):
            svg = base64.b64decode(source.split(",")[1]).decode("utf-8")
            found += [target for target in re.findall(r'href="([^"]*)"', svg) if not target.startswith("#")]
            found += re.findall(r"<script|url\((?!#)", svg)
    return found


def nameless(page):
    """Pictures, tables and headings of tables that a page read aloud would not name; must be empty."""
    elements = Elements(page)
    found = [str(picture)[:80] for picture in elements.all("img") if len(picture.get("alt", "")) <= 20]
    found += ["table"] * (page.count("<table") - page.count("<caption>"))
    found += [str(head) for head in elements.all("th") if "scope" not in head]
    return found + [str(a) for _, a in elements.found if a.get("role") == "img" and "aria-label" not in a]
