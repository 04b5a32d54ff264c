"""Combo boxes whose items stand for values, and the choice of a model with its card."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from typing import Any

import qt
from slicer.i18n import tr as _

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.models import BundleInfo, installed_bundles, read_bundle
from CTQualityAssessmentLib.translation import told


def readable_bundles(task: str | None = None) -> tuple[dict[str, BundleInfo], dict[str, str]]:
    """The installed models for a task, and what is wrong with those that cannot be read, by name."""
    found, damaged = {}, {}
    for name, folder in installed_bundles(task).items():
        try:
            found[name] = read_bundle(folder)
        except CTQAError as error:
            damaged[name] = told(error)
    return found, damaged


class Choices:
    """A combo box with one value behind each item.

    Args:
        combo: the widget.
        on_chosen: called with the value that the user chose, not with one that :meth:`show` shows.
    """

    def __init__(self, combo: qt.QComboBox, on_chosen: Callable[[Any], None]) -> None:
        self._combo, self._on_chosen = combo, on_chosen
        self._filling = False
        combo.currentTextChanged.connect(self._changed)

    def fill(self, items: Mapping[Any, str]) -> None:
        """Offer these values, with their texts."""
        self._filling = True
        self._combo.clear()
        for value, text in items.items():
            self._combo.addItem(text, value)
        self._filling = False

    def show(self, value: object) -> None:
        """Show the item of a value, the first one where there is none."""
        self._filling = True
        self._combo.currentIndex = max(self._combo.findData(value), 0)
        self._filling = False

    def _changed(self) -> None:
        if not self._filling and self._combo.currentIndex >= 0:
            self._on_chosen(self._combo.itemData(self._combo.currentIndex))


class ModelChoice:
    """The installed models of one task: which one, and what it is.

    Args:
        task: "score" or "denoise".
        default: name of the one that comes first.
        combo: lists them.
        statement: shows the one sentence that must be read.
        card: shows the rest, while ``more`` is down.
        on_chosen: called with the name that the user chose.
    """

    def __init__(
        self,
        task: str,
        default: str,
        combo: qt.QComboBox,
        statement: qt.QLabel,
        card: qt.QLabel,
        more: qt.QPushButton,
        on_chosen: Callable[[str], None],
    ) -> None:
        self._task, self._default = task, default
        self._statement, self._card, self._more = statement, card, more
        self._choices = Choices(combo, on_chosen)
        self.bundles: dict[str, BundleInfo] = {}
        more.toggled.connect(lambda: self._unfold())
        self._unfold()

    def reload(self) -> None:
        """List the installed models again; a damaged one is left out, the section Models tells of it."""
        found, _damaged = readable_bundles(self._task)
        self.bundles = {name: found[name] for name in sorted(found, key=lambda name: (name != self._default, name))}
        self._choices.fill({name: f"{name} {info.version}" for name, info in self.bundles.items()})

    def current(self, name: str) -> str:
        """The model of that name, or the first one where it is not installed; empty without any."""
        return name if name in self.bundles else next(iter(self.bundles), "")

    def show(self, name: str) -> None:
        """Show a model and its card."""
        self._choices.show(name)
        info = self.bundles.get(self.current(name))
        self._statement.text = f"<b>{html.escape(info.statement)}</b>" if info is not None else ""
        self._card.text = _card(info) if info is not None else ""
        self._more.enabled = info is not None

    def _unfold(self) -> None:
        self._card.visible = bool(self._more.checked)


def _card(info: BundleInfo) -> str:
    """Intended use, training data, licence, limits."""
    limits = info.metadata["ctqa"].get("limits", [])
    parts = [
        html.escape(info.description),
        html.escape(str(info.metadata.get("intended_use", ""))),
        _("Training data: {text}").format(text=html.escape(str(info.metadata.get("data_source", _("not told"))))),
        _("Licence: {text}").format(text=html.escape(str(info.metadata.get("copyright", _("not told"))))),
        *("• " + html.escape(str(limit)) for limit in limits),
    ]
    return "<br>".join(part for part in parts if part)
