"""anyir: one small blind model that repairs photographs."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from anyir._version import __version__

if TYPE_CHECKING:
    from anyir.inference import Restorer
    from anyir.picture import Picture

__all__ = ["Picture", "Restorer", "__version__"]

_HOMES: Final = {"Picture": "anyir.picture", "Restorer": "anyir.inference"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the type is that of what is imported
    # Lazy, so that `anyir --help` and `import anyir` pay for neither numpy nor Pillow.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
