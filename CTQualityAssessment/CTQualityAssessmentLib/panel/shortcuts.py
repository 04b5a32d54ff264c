"""Keys that work while the module is open."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import qt

NEXT_WORST, PREVIOUS_WORST, PLAIN_IMAGE = "Ctrl+Shift+J", "Ctrl+Shift+K", "Ctrl+Shift+L"


class Shortcuts:
    """Application-wide keys that are there between :meth:`add` and :meth:`remove` only."""

    def __init__(self, actions: Mapping[str, Callable[[], None]]) -> None:
        self._actions = dict(actions)
        self._made: list[qt.QShortcut] = []

    def add(self, window: qt.QWidget | None) -> None:
        """Listen in ``window``; nothing without one or when repeated."""
        if window is None or self._made:
            return
        for keys, action in self._actions.items():
            shortcut = qt.QShortcut(qt.QKeySequence(keys), window)
            shortcut.activated.connect(action)
            self._made.append(shortcut)

    def remove(self) -> None:
        """Give the keys back."""
        for shortcut in self._made:
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._made = []
