"""Does the built site have everything, and do its links lead somewhere?

    PYTHONPATH=docs python -m docsite.check build/docs

Every name of the API reference, every command, every configuration key and every error has to be among what
the search of the site suggests (searchindex.js). Every link within the site has to lead to a page and to a
place in it. Sphinx itself warns of pages that are in no contents.
"""

import json
import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

from docsite import api, commands, keys


def findable(site):
    """(kind, name) of every object and title that the search of the site suggests."""
    text = (site / "searchindex.js").read_text()
    index = json.loads(text[text.index("{") : text.rindex("}") + 1])
    for prefix, objects in index["objects"].items():
        for _, number, _, _, name in objects:
            domain = index["objnames"][str(number)][0]
            yield domain, f"{prefix}.{name}" if prefix else name
    for title in index["alltitles"]:
        yield "title", title


def wanted():
    """(domain, name) of all that has to be found."""
    canonical = {}
    for _, modules in api.PAGES.values():
        for name in modules:
            module = import_module(name)
            for public in api.public_names(module):
                value = getattr(module, public)
                same = (
                    canonical.setdefault(id(value), f"{name}.{public}") if callable(value) else ""
                )
                yield "py", same or f"{name}.{public}"
    for name in api.errors():
        owner, _, last = name.rpartition(".")
        yield "py", canonical.get(id(getattr(import_module(owner), last)), name)
    for name, _ in commands.walk():
        yield "title", name
    for analysis in keys.KINDS:
        for key, *_ in keys.keys_of_file(analysis):
            yield "std", f"{key} ({analysis})"


def missing(site):
    """What the search does not know."""
    found = set(findable(site))
    return [f"the search finds no {name}" for kind, name in wanted() if (kind, name) not in found]


class _Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links, self.ids = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.ids.add(value)
            elif (tag, name) in (
                ("a", "href"),
                ("img", "src"),
                ("link", "href"),
                ("script", "src"),
            ):
                self.links.append(value or "")


def broken_links(site):
    """Links of a page to a file of the site, or to a place in it, that is not there."""
    pages = {path.resolve(): _Page(path.read_text()) for path in site.rglob("*.html")}
    wrong = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                wrong.append(f"{path.name}: {link} leads nowhere")
            elif (
                parts.fragment
                and target in pages
                and unquote(parts.fragment) not in pages[target].ids
            ):
                wrong.append(f"{path.name}: {link}: the page has no such place")
    return wrong


def main(site):
    wrong = missing(site) + broken_links(site)
    for line in wrong:
        print(line, file=sys.stderr)
    n = sum(1 for _ in wanted())
    print(
        f"{site}: {len(list(site.rglob('*.html')))} pages; {n} names looked for, {len(wrong)} faults"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
