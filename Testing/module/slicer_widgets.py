"""Stand-ins for Slicer's own widgets, as far as the panel and a person who looks at a screenshot can notice them."""

from __future__ import annotations

import math
from types import SimpleNamespace
from xml.etree import ElementTree

import qt
import slicer
import vtk
from PySide6.QtCore import Property, Signal


class qMRMLWidget(qt.QWidget):
    def setMRMLScene(self, scene):
        pass


class ctkCollapsibleButton(qt.QGroupBox):
    def _text(self):
        return self.title()

    def _set_text(self, text):
        self.setTitle(text)

    def _collapsed(self):
        return self._is_collapsed if hasattr(self, "_is_collapsed") else False

    def _set_collapsed(self, collapsed):
        self._is_collapsed = collapsed

    text = Property(str, _text, _set_text)
    collapsed = Property(bool, _collapsed, _set_collapsed)


class ctkSliderWidget(qt.QWidget):
    """A slider and a number; remembers its value exactly, as the number shows it."""

    valueChanged = Signal(float)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._box = qt.QDoubleSpinBox(self)
        self._slider = qt.QSlider(qt.Qt.Horizontal, self)
        self._slider.setRange(0, 1000)
        row = qt.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._slider)
        row.addWidget(self._box)
        self._box.valueChanged.connect(self._follow)
        self._box.valueChanged.connect(self.valueChanged)

    def _follow(self, value):
        span = self._box.maximum() - self._box.minimum()
        self._slider.setValue(round(1000 * (value - self._box.minimum()) / span) if span else 0)

    value = Property(float, lambda self: self._box.value(), lambda self, v: self._box.setValue(v))
    minimum = Property(float, lambda self: self._box.minimum(), lambda self, v: self._box.setMinimum(v))
    maximum = Property(float, lambda self: self._box.maximum(), lambda self, v: self._box.setMaximum(v))
    singleStep = Property(float, lambda self: self._box.singleStep(), lambda self, v: self._box.setSingleStep(v))
    decimals = Property(int, lambda self: self._box.decimals(), lambda self, v: self._box.setDecimals(v))


class qMRMLNodeComboBox(qt.QComboBox):
    """Lists the scene's grey-value volumes; follows additions and removals."""

    currentNodeChanged = Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene, self._tags = None, []
        self.currentIndexChanged.connect(lambda index: self.currentNodeChanged.emit(self.currentNode()))

    def setMRMLScene(self, scene):
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._scene, self._tags = scene, []
        if scene is None:
            return
        events = (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndImportEvent, scene.EndCloseEvent)
        self._tags = [scene.AddObserver(event, self._list) for event in events]
        self._list()

    def _list(self, *_):
        chosen = self.currentNode()
        self.blockSignals(True)
        self.clear()
        self.addItem("Select a Volume", None)
        for n in range(self._scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")):
            node = self._scene.GetNthNodeByClass(n, "vtkMRMLScalarVolumeNode")
            self.addItem(node.GetName(), node)
        self.blockSignals(False)
        self.setCurrentNode(chosen)
        if chosen is not None and self.currentNode() is None:
            self.currentNodeChanged.emit(None)

    def currentNode(self):
        return self.itemData(self.currentIndex()) if self.currentIndex() > 0 else None

    def setCurrentNode(self, node):
        found = [n for n in range(1, self.count()) if self.itemData(n) is node]
        self.setCurrentIndex(found[0] if found else 0)


class _TableModel(qt.QAbstractTableModel):
    def __init__(self, view):
        super().__init__(view)
        self.node = None

    def rowCount(self, parent=None):
        return self.node.GetNumberOfRows() if self.node else 0

    def columnCount(self, parent=None):
        return self.node.GetNumberOfColumns() if self.node else 0

    def data(self, index, role=0):
        if role != qt.Qt.DisplayRole:
            return None
        value = self.node.GetTable().GetValue(index.row(), index.column())
        return f"{value.ToDouble():g}" if value.IsNumeric() else value.ToString()

    def headerData(self, section, orientation, role=0):
        if role != qt.Qt.DisplayRole or self.node is None:
            return None
        name = self.node.GetColumnName(section) if orientation == qt.Qt.Horizontal else str(section)
        return self.node.GetColumnTitle(name) if orientation == qt.Qt.Horizontal else name


class qMRMLTableView(qt.QTableView):
    """Shows rows as of the table's last Modified(); keeps a node that the scene lost, as the real one does."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._source = _TableModel(self)
        self._proxy = qt.QSortFilterProxyModel(self)
        self._proxy.setSourceModel(self._source)
        self.setModel(self._proxy)
        self._tag = None

    def setMRMLScene(self, scene):
        pass

    def mrmlTableNode(self):
        return self._source.node

    def setMRMLTableNode(self, node):
        if self._source.node is not None:
            self._source.node.RemoveObserver(self._tag)
        self._source.beginResetModel()
        self._source.node = node
        self._source.endResetModel()
        if node is not None:
            self._tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._reset)

    def _reset(self, *_):
        self._source.beginResetModel()
        self._source.endResetModel()

    def sortFilterProxyModel(self):
        return self._proxy


class _PlotView(qt.QWidget):
    dataSelected = Signal(object, object)

    def connect(self, signature, slot):
        assert signature == "dataSelected(vtkStringArray*,vtkCollection*)"
        self.dataSelected.connect(slot)
        return True


class qMRMLPlotWidget(qt.QWidget):
    """Paints the series of the chart over 0 to 4."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._view = _PlotView(self)
        self._node = None

    def setMRMLScene(self, scene):
        pass

    def plotView(self):
        return self._view

    def mrmlPlotViewNode(self):
        return self._node

    def setMRMLPlotViewNode(self, node):
        self._node = node

    def paintEvent(self, event):
        painter = qt.QPainter(self)
        area = qt.QRectF(self.rect()).adjusted(30, 8, -8, -22)
        painter.fillRect(self.rect(), qt.QColor("white"))
        painter.drawRect(area)
        chart = self._node.GetPlotChartNode() if self._node is not None else None
        series = [chart.GetNthPlotSeriesNode(n) for n in range(chart.GetNumberOfPlotSeriesNodes())] if chart else []
        columns = [
            (s, *(_column(s.GetTableNode(), name) for name in (s.GetXColumnName(), s.GetYColumnName()))) for s in series
        ]
        last = max((x for _, xs, _ in columns for x in xs), default=1) or 1
        for one, xs, ys in columns:
            painter.setPen(qt.QPen(qt.QColor.fromRgbF(*one.GetColor()), 2))
            before = None
            for x, y in zip(xs, ys, strict=True):
                point = qt.QPointF(area.left() + x / last * area.width(), area.bottom() - y / 4 * area.height())
                if not math.isnan(y) and before is not None:
                    painter.drawLine(before, point)
                before = None if math.isnan(y) else point
        painter.setPen(qt.QColor("black"))
        painter.drawText(4, int(area.top()) + 10, "4")
        painter.drawText(4, int(area.bottom()), "0")
        painter.drawText(int(area.center().x()), self.height() - 6, "Slice")
        painter.end()


def _column(table, name):
    column = table.GetTable().GetColumnByName(name)
    return [column.GetValue(row) for row in range(column.GetNumberOfValues())]


WIDGETS = {
    cls.__name__: cls
    for cls in (
        qMRMLWidget,
        ctkCollapsibleButton,
        ctkSliderWidget,
        qMRMLNodeComboBox,
        qMRMLTableView,
        qMRMLPlotWidget,
    )
}


class UiLoader(qt.QUiLoader):
    """Builds a .ui file with the stand-ins where it asks for Slicer's widgets."""

    def createWidget(self, class_name, parent=None, name=""):
        if class_name not in WIDGETS:
            return super().createWidget(class_name, parent, name)
        widget = WIDGETS[class_name](parent)
        widget.setObjectName(name)
        return widget


class SliceWidget:
    """One slice view: real MRML nodes and logic, a real corner annotation, nothing rendered."""

    def __init__(self, scene, name):
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLScene(scene)
        self.logic.AddSliceNode(name)
        self._annotation = vtk.vtkCornerAnnotation()

    def sliceLogic(self):
        return self.logic

    def mrmlSliceNode(self):
        return self.logic.GetSliceNode()

    def mrmlSliceCompositeNode(self):
        return self.logic.GetSliceCompositeNode()

    def sliceView(self):
        return self

    def cornerAnnotation(self):
        return self._annotation

    def scheduleRender(self):
        pass


class LayoutManager:
    """Slice views by name; those of a layout are made when it is first shown, and stay."""

    def __init__(self, scene):
        self._scene = scene
        self._widgets = {name: SliceWidget(scene, name) for name in ("Red", "Yellow", "Green")}
        self.layout = 3
        self._layout_node = slicer.vtkMRMLLayoutNode()

    def layoutLogic(self):
        return self

    def GetLayoutNode(self):
        return self._layout_node

    def setLayout(self, number):
        assert number < 100 or self._layout_node.IsLayoutDescription(number), "an unknown layout"
        self.layout = number
        if number < 100:
            return
        for view in ElementTree.fromstring(self._layout_node.GetLayoutDescription(number)).iter("view"):
            name = view.get("singletontag")
            if name not in self._widgets:
                self._widgets[name] = SliceWidget(self._scene, name)
            properties = {one.get("name"): one.text for one in view.iter("property")}
            self._widgets[name].mrmlSliceNode().SetViewGroup(int(properties["viewgroup"]))

    def sliceViewNames(self):
        return tuple(self._widgets)

    def sliceWidget(self, name):
        return self._widgets.get(name)

    def mrmlSliceLogics(self):
        logics = vtk.vtkCollection()
        for widget in self._widgets.values():
            logics.AddItem(widget.logic)
        return logics


class Application:
    """``slicer.app`` with a main window."""

    def __init__(self, scene):
        self._layout_manager = LayoutManager(scene)
        self.connected = {}
        self.settings = {}

    def userSettings(self):
        """As QSettings, which give texts for what was read from a file."""
        return SimpleNamespace(value=lambda name, default=None: self.settings.get(name, default))

    def layoutManager(self):
        return self._layout_manager

    def processEvents(self):
        qt.QApplication.processEvents()

    def connect(self, signal, slot):
        self.connected.setdefault(signal, []).append(slot)
        return True
