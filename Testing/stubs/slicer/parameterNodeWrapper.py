"""``@parameterNodeWrapper`` for texts, numbers, truth values and node references, with the habits of the real one that
matter: values are cached until the node is modified, and widgets are found by their property SlicerParameterName."""

from __future__ import annotations

import typing

import vtk


class WithinRange:
    def __init__(self, minimum, maximum):
        self.minimum, self.maximum = minimum, maximum


def parameterNodeWrapper(described):
    hints = typing.get_type_hints(described, include_extras=True)
    members = {name: _Parameter(name, hint, getattr(described, name, None)) for name, hint in hints.items()}
    body = {**members, "_members": members, "__doc__": described.__doc__}
    return type(described.__name__, (_Wrapper,), body)


class _Parameter:
    def __init__(self, name, hint, default):
        self.name, self.default = name, default
        self.kind = typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint
        self.range = next((a for a in typing.get_args(hint)[1:] if isinstance(a, WithinRange)), None)
        self.is_node = self.kind not in (str, int, float, bool)

    def __get__(self, wrapper, owner):
        if wrapper is None:
            return self
        if self.name not in wrapper._cache:
            wrapper._cache[self.name] = self._read(wrapper.parameterNode)
        return wrapper._cache[self.name]

    def _read(self, node):
        if self.is_node:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        if text == "" and not node.GetParameterNames().count(self.name):
            return self.default
        return text == "True" if self.kind is bool else self.kind(text)

    def __set__(self, wrapper, value):
        node = wrapper.parameterNode
        if self.is_node:
            if value is not None and not isinstance(value, self.kind):
                raise ValueError(f"{self.name} is a {self.kind.__name__}")
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
            return
        if type(value) is not self.kind and not (self.kind is float and type(value) is int):
            raise ValueError(f"{self.name} is a {self.kind.__name__}, not {type(value).__name__}")
        if self.range is not None and not self.range.minimum <= value <= self.range.maximum:
            raise ValueError(f"{self.name} is out of range")
        node.SetParameter(self.name, str(value))


class _Wrapper:
    def __init__(self, parameterNode):
        self.parameterNode = parameterNode
        self._cache = {}
        self._ties = {}
        parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, self._forget, 1.0)

    def _forget(self, caller, event):
        self._cache.clear()

    def connectGui(self, ui):
        """Returns nothing, as the real one: what it ties can never be cut."""
        found = {widget.property("SlicerParameterName"): widget for widget in vars(ui).values()}
        self.connectParametersToGui({name: widget for name, widget in found.items() if name})

    def connectParametersToGui(self, mapping):
        for name in mapping:
            if name not in self._members:
                raise ValueError(f"there is no parameter {name}")
        ties = [_Tie(self, self._members[name], widget) for name, widget in mapping.items()]
        tag = len(self._ties)
        observer = self.parameterNode.AddObserver(
            vtk.vtkCommand.ModifiedEvent, lambda caller, event: [tie.show() for tie in ties]
        )
        self._ties[tag] = (ties, observer)
        for tie in ties:
            tie.show()
        return tag

    def disconnectGui(self, tag):
        if tag not in self._ties:  # passed over in silence
            return
        ties, observer = self._ties.pop(tag)
        self.parameterNode.RemoveObserver(observer)
        for tie in ties:
            tie.cut()


#: How the widget of a parameter is read, written and noticed; None stands for node references.
_ACCESS = {
    bool: (lambda widget: widget.isChecked(), lambda widget, value: widget.setChecked(value), "toggled"),
    float: (
        lambda widget: widget.property("value"),
        lambda widget, value: widget.setProperty("value", value),
        "valueChanged",
    ),
    None: (lambda widget: widget.currentNode(), lambda widget, node: widget.setCurrentNode(node), "currentNodeChanged"),
}


class _Tie:
    """One widget and one parameter."""

    def __init__(self, wrapper, parameter, widget):
        self.wrapper, self.parameter, self.widget = wrapper, parameter, widget
        self.read, self.write, self.signal = _ACCESS[parameter.kind if not parameter.is_node else None]
        getattr(widget, self.signal).connect(self.store)

    def store(self, *_):
        value = self.read(self.widget)
        if value != getattr(self.wrapper, self.parameter.name):
            setattr(self.wrapper, self.parameter.name, value)

    def show(self):
        value = getattr(self.wrapper, self.parameter.name)
        if self.read(self.widget) != value:
            self.write(self.widget, value)

    def cut(self):
        getattr(self.widget, self.signal).disconnect(self.store)
