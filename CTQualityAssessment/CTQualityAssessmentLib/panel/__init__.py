"""The module's panel in 3D Slicer, section by section; with mrml/ and viewer/ the only code that knows Slicer and Qt.

Written for PythonQt: Qt properties are attributes, signals are connected by name, and only the main thread touches
widgets and nodes.
"""
