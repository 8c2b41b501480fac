"""The text of HTML, as a browser counts its characters: without tags, with character references replaced."""

from html.parser import HTMLParser


def text_of_html(html: str) -> str:
    r"""The text content of an HTML document or fragment; a line break for each `<br>`, nothing for its head.

    >>> text_of_html("<p>Ada &amp; Tom<br>met.</p>")
    'Ada & Tom\nmet.'
    """
    parser = _Text()
    parser.feed(html)
    parser.close()
    return "".join(parser.parts)


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.is_in_head = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "head":
            self.is_in_head = True
        elif tag == "br":
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "head":
            self.is_in_head = False

    def handle_data(self, data: str) -> None:
        if not self.is_in_head:
            self.parts.append(data)
