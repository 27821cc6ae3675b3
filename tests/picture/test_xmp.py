from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from anyir.picture import add_event
from anyir.picture.xmp import MAX_BYTES

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
MEDIA = "{http://ns.adobe.com/xap/1.0/mm/}"
EVENT = "{http://ns.adobe.com/xap/1.0/sType/ResourceEvent#}"
HEAD = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
)
TITLED = HEAD + (
    b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="Gro\xc3\x9f"/>\n'
    b"</rdf:RDF></x:xmpmeta>   <?xpacket end='w'?>"
)
EDITED = HEAD + (
    b'<rdf:Description rdf:about="" xmlns:xapMM="http://ns.adobe.com/xap/1.0/mm/"\n'
    b' xmlns:stEvt="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#" xmlns:dc="http://purl.org/dc/elements/1.1/">'
    b'<xapMM:History><rdf:Seq>\n<rdf:li stEvt:action="created" stEvt:softwareAgent="Editor"/>\n</rdf:Seq>\n'
    b"</xapMM:History><dc:creator><rdf:Seq><rdf:li>A.</rdf:li></rdf:Seq></dc:creator></rdf:Description>"
    b"</rdf:RDF></x:xmpmeta>"
)


def noted(xmp: bytes | None, parameters: str = "strength=1") -> bytes:
    result = add_event(xmp, "filtered", "anyir 1.2", parameters)
    assert result is not None
    return result


def history(xmp: bytes) -> list[tuple[str, ...]]:
    """Every event of the one history: action, software, parameters."""
    (found,) = ElementTree.fromstring(xmp).iter(f"{MEDIA}History")
    (events,) = found.findall(f"{RDF}Seq")
    return [
        tuple(event.get(EVENT + key, "") for key in ("action", "softwareAgent", "parameters"))
        for event in events
    ]


OURS = ("filtered", "anyir 1.2", "strength=1")


def test_a_picture_without_xmp_gets_a_packet_of_its_own():
    packet = noted(None)
    assert history(packet) == [OURS]
    assert packet.startswith(b"<?xpacket begin=") and packet.endswith(b'<?xpacket end="w"?>')


@pytest.mark.parametrize(("packet", "before"), [(TITLED, []), (EDITED, [("created", "Editor", "")])])
def test_what_others_wrote_stays_byte_for_byte(packet, before):
    longer = noted(packet)
    assert history(longer) == [*before, OURS]
    at = next(i for i, byte in enumerate(longer) if packet[i : i + 1] != bytes([byte]))
    assert packet == longer[:at] + longer[at + len(longer) - len(packet) :]


def test_a_second_restoration_is_a_second_event_of_the_same_history():
    twice = noted(noted(TITLED), "strength=0.5")
    assert history(twice) == [OURS, ("filtered", "anyir 1.2", "strength=0.5")]
    assert noted(noted(None)).count(b"xmpMM:History>") == 2, "one element: it opens once and closes once"


@pytest.mark.parametrize("name", ['a"b', "<&>", "Größe", "tab\tline\n", "\x01\udc80"])
def test_any_name_is_told_in_sound_xml(name):
    ((_, _, parameters),) = history(noted(None, f"weights={name}"))
    assert (
        parameters == f"weights={name.encode('unicode_escape').decode() if not name.isprintable() else name}"
    )


@pytest.mark.parametrize(
    "packet",
    [
        b"not XML at all",
        TITLED.decode().encode("utf-16-le"),
        TITLED.replace(b"</rdf:RDF>", b""),
        EDITED.replace(b"</rdf:Seq>\n</xapMM:History>", b""),
        HEAD + b'<!-- xmlns:a="http://ns.adobe.com/xap/1.0/mm/" a:History -->',
    ],
)
def test_a_packet_without_a_place_for_it_stays_as_it_is(packet):
    assert add_event(packet, "filtered", "anyir 1.2", "") == packet


def test_a_packet_never_grows_beyond_a_segment_of_a_jpeg():
    room = MAX_BYTES - len(noted(TITLED))
    assert len(noted(TITLED + b" " * room)) == MAX_BYTES
    full = TITLED + b" " * (room + 1)
    assert add_event(full, *OURS) == full
    assert add_event(None, "filtered", "anyir", "x" * MAX_BYTES) is None
