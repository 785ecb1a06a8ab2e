"""matplotlib's SVG -> one that may stand anywhere: small, unique ids, no styles, no other files.

Text stays text: small, searchable, and as sharp as its reader's screen. It is measured in DejaVu
Sans, which is wider than what stands in for it where it is missing, so that nothing overlaps.
Style attributes and matplotlib's rule for ``*`` become plain attributes, since a page may forbid
the first, and would itself obey the second.
"""

import re
from xml.etree import ElementTree

NAMESPACE = "http://www.w3.org/2000/svg"
FONTS = "'DejaVu Sans', Verdana, Geneva, Arial, sans-serif"
_LINK = "{http://www.w3.org/1999/xlink}href"
_NUMBER = re.compile(r"-?\d+\.\d+")
# A colour is no reference: ids begin with a letter that no hexadecimal digit is.
_REFERENCE = re.compile(r"(url\(#|#)([g-z][\w.-]*)(\)?)")
# What is so anyway. The font is said once, at the root.
_DEFAULTS = {"stroke-dashoffset": "0", "text-anchor": "start", "stroke-linejoin": "round"}
_UPRIGHT = re.compile(r"M (\S+) (\S+) L \1 (\S+)")
_AFTER_LETTER = re.compile(r" ?([A-Za-z]) ?")
_UNTURNED = re.compile(r"rotate\(-?0 [^)]*\)")


def tidy(text: str, name: str, title: str, alt: str) -> str:
    """The figure ``name`` as matplotlib wrote it, mended; ``title`` and ``alt`` are for readers
    who do not see it.
    """
    root = ElementTree.fromstring(text)  # noqa: S314 - matplotlib's own
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{NAMESPACE}}}")
        _unstyle(element)
    for parent in list(root.iter()):
        parent[:] = [child for child in parent if child.tag not in ("style", "metadata")]
    _rename(root, name)
    _flatten(root)
    for element in root.iter():
        _share(element)
    words = []
    for tag, content in (("title", title), ("desc", alt)):
        word = ElementTree.Element(tag, {"id": f"{name}-{tag}"})
        word.text = content
        words.append(word)
    body = ElementTree.Element("g", {"stroke-linejoin": "round", "font-family": FONTS})
    body.extend(root)
    root[:] = [*words, body]
    root.attrib = {
        "xmlns": NAMESPACE,
        **{key: root.attrib[key] for key in ("width", "height", "viewBox")},
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-desc",
    }
    ElementTree.indent(root, "")
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _unstyle(element: ElementTree.Element) -> None:
    """Style as attributes, two decimals, and no turn by nothing."""
    declared = element.attrib.pop("style", "")
    for declaration in filter(None, declared.split("; ")):
        key, value = declaration.split(": ", 1)
        if key != "font-family" and _DEFAULTS.get(key) != value:
            element.set(key, value)
    if link := element.attrib.pop(_LINK, None):
        element.set("href", link)
    if _UNTURNED.fullmatch(element.get("transform", "")):
        del element.attrib["transform"]
    for key, value in element.attrib.items():
        if key not in ("id", "href", "clip-path"):
            element.set(key, " ".join(_NUMBER.sub(_short, value).split()))
    if "d" in element.attrib:
        upright = _UPRIGHT.sub(r"M\1 \2V\3", element.attrib["d"])
        element.set("d", _AFTER_LETTER.sub(r"\1", upright))


def _short(number: re.Match[str]) -> str:
    return f"{round(float(number[0]), 2) + 0.0:g}"


def _rename(root: ElementTree.Element, name: str) -> None:
    """Only what is referred to keeps an id, one that no other figure has."""
    used: dict[str, str] = {}
    for element in root.iter():
        for key, value in element.attrib.items():
            if found := _REFERENCE.fullmatch(value):
                new = used.setdefault(found[2], f"{name}-{len(used) + 1}")
                element.set(key, f"{found[1]}{new}{found[3]}")
    for element in root.iter():
        own = element.attrib.pop("id", None)
        if own in used:
            element.set("id", used[own])


def _flatten(element: ElementTree.Element) -> None:
    """Groups that say nothing give way to what they hold."""
    children: list[ElementTree.Element] = []
    for child in element:
        _flatten(child)
        if child.tag == "g" and not child.attrib:
            children.extend(child)
        else:
            children.append(child)
    element[:] = children


def _share(parent: ElementTree.Element) -> None:
    """What all marks of a group have is said once, of the group."""
    marks = list(parent)
    if len(marks) < 2 or any(mark.tag != "use" for mark in marks):
        return
    for key, value in list(marks[0].attrib.items()):
        if key.startswith(("fill", "stroke")) and all(mark.get(key) == value for mark in marks):
            for mark in marks:
                del mark.attrib[key]
            parent.set(key, value)
