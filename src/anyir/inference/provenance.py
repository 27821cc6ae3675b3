"""What a restored picture says of its restoration: software and version, weights and their hash, strength, engine."""

from __future__ import annotations

from dataclasses import replace

from anyir._version import __version__
from anyir.inference.restorer import Restorer
from anyir.picture import Picture, add_event


def with_note(restored: Picture, restorer: Restorer, strength: float) -> Picture:
    """The same picture, its XMP history one event longer; at strength 0, where nothing was done, as it is."""
    if strength == 0:
        return restored
    facts = [f"weights={restorer.name}"]
    if restorer.sha256 is not None:
        facts.append(f"sha256={restorer.sha256}")
    facts += [f"strength={strength:g}"]
    if restorer.quality != "standard":
        facts.append(f"quality={restorer.quality}")
    facts.append(f"engine={restorer.provider}")
    xmp = add_event(restored.metadata.xmp, "filtered", f"anyir {__version__}", "; ".join(facts))
    return replace(restored, metadata=replace(restored.metadata, xmp=xmp))
