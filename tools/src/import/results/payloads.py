"""Reads what was written with programs of other people, and says what they found, as JSON."""

import json, sys, zipfile
import xml.etree.ElementTree as tree

try:
    import openpyxl
except ImportError:
    print("no openpyxl")
    sys.exit(0)


def ods(path):
    office = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
    table = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
    text = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"

    def content(node):
        parts = [node.text or ""]
        for child in node:
            parts.append({text + "s": " ", text + "tab": "\t"}.get(child.tag, "") + (child.tail or ""))
        return "".join(parts)

    with zipfile.ZipFile(path) as archive:
        assert archive.namelist()[0] == "mimetype" and archive.infolist()[0].compress_type == 0
        root = tree.fromstring(archive.read("content.xml"))
    for row in root.iter(table + "table-row"):
        for place, cell in enumerate(row):
            if cell.tag == table + "table-cell" and len(cell):
                kind = "f" if table + "formula" in cell.attrib else cell.get(office + "value-type")
                yield "\n".join(content(line) for line in cell.iter(text + "p")), kind


def xlsx(path):
    for row in openpyxl.load_workbook(path).active.iter_rows():
        for cell in row:
            if cell.value is not None:
                yield str(cell.value), cell.data_type


read = ods if sys.argv[1].endswith(".ods") else xlsx
print(json.dumps(list(read(sys.argv[1]))))
