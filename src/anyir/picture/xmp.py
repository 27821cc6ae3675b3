"""A line in a picture's history: which software did what to it, where every reader of XMP looks for that.

Source: XMP specification (ISO 16684-1, and part 2 of Adobe's for the type ResourceEvent). No time is noted, so that the
same input gives the same file.
"""

from __future__ import annotations

import re
from typing import Final
from xml.sax.saxutils import quoteattr

from anyir.errors import shown

MAX_BYTES: Final = 65_502
"""Longest packet that gets a line: what one segment of a JPEG holds beside the name of its content."""

_MEDIA: Final = "http://ns.adobe.com/xap/1.0/mm/"
_EVENT: Final = "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"
_RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_MEDIA_PREFIX: Final = re.compile(
    rb"""xmlns:([\w.-]+)\s*=\s*["']""" + re.escape(_MEDIA.encode()) + rb"""["']"""
)
_END: Final = re.compile(rb"</([\w.-]+):RDF\s*>")
_NEW: Final = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="%s"></rdf:RDF></x:xmpmeta>\n<?xpacket end="w"?>' % _RDF.encode()
)


def add_event(xmp: bytes | None, action: str, software: str, parameters: str) -> bytes | None:
    """An XMP packet with one more event at the end of its history, all else byte for byte as it was.

    A packet in which the place for it is not found (damaged, or not UTF-8), and one that would grow beyond
    :data:`MAX_BYTES`, comes back unchanged: what others noted is worth more than our line.

    Args:
        xmp: the packet, or None for a new one.
        action: what was done, in a word of the specification's: "filtered", "converted", ...
        software: what did it, with its version.
        parameters: how, in any words.
    """
    packet = _NEW if xmp is None else xmp
    place = _place(packet)
    if place is None:
        return xmp
    at, rdf, within_history = place
    values = {"action": action, "softwareAgent": software, "parameters": parameters}
    attributes = " ".join(f"stEvt:{key}={quoteattr(shown(value))}" for key, value in values.items())
    event = f'<{rdf}:li xmlns:stEvt="{_EVENT}" {attributes}/>'
    if not within_history:
        event = (
            f'<{rdf}:Description {rdf}:about="" xmlns:xmpMM="{_MEDIA}"><xmpMM:History><{rdf}:Seq>{event}'
            f"</{rdf}:Seq></xmpMM:History></{rdf}:Description>"
        )
    longer = packet[:at] + event.encode() + packet[at:]
    return longer if len(longer) <= MAX_BYTES else xmp


def _place(packet: bytes) -> tuple[int, str, bool] | None:
    """Where an event belongs, the packet's prefix for RDF, and whether a history is there already."""
    media = _MEDIA_PREFIX.search(packet)
    history = None if media is None else media[1] + b":History"
    if history is not None and history in packet:
        end = re.search(rb"</([\w.-]+):Seq\s*>\s*</" + re.escape(history) + rb"\s*>", packet)
    else:
        history, end = None, _END.search(packet)
    return None if end is None else (end.start(), end[1].decode(), history is not None)
