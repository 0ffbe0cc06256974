"""The first sentence of a report: what was found, and how sure that is."""

import re
from html import unescape


def first_sentence(page):
    """The text below the title and, if there are any, the warnings of a page."""
    return unescape(re.search(r"</h1>(?:<div class=\"warning\">.*?</div>)?<p>(.*?)</p>", page)[1])
