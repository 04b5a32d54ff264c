"""The four base classes of a scripted module, as far as a module can notice them."""

from __future__ import annotations

import unittest
from pathlib import Path

import slicer


class ScriptedLoadableModule:
    def __init__(self, parent):
        self.parent = parent


class ScriptedLoadableModuleWidget:
    def __init__(self, parent=None):
        self.parent = parent
        self.layout = parent.layout_for_module if parent is not None else None
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.reloaded = 0

    def resourcePath(self, filename):
        import sys

        return str(Path(sys.modules[type(self).__module__].__file__).parent / "Resources" / filename)

    def setup(self):
        pass

    def onReload(self):
        self.reloaded += 1


class ScriptedLoadableModuleLogic:
    def __init__(self, parent=None):
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self):
        """A singleton: closing a scene empties it and keeps it."""
        for n in range(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScriptedModuleNode")):
            node = slicer.mrmlScene.GetNthNodeByClass(n, "vtkMRMLScriptedModuleNode")
            if node.GetSingletonTag() == self.moduleName:
                return node
        node = slicer.vtkMRMLScriptedModuleNode()
        node.SetSingletonTag(self.moduleName)
        node.SetName(self.moduleName)
        return slicer.mrmlScene.AddNode(node)


class ScriptedLoadableModuleTest(unittest.TestCase):
    def delayDisplay(self, message, *args, **kwargs):
        pass
