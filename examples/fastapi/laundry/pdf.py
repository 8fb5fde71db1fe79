"""Pages."""

from __future__ import annotations

import re
from collections.abc import Iterable


def pdf(lines: Iterable[str]) -> bytes:
    """A page with some lines of ASCII text."""
    escaped = [re.sub(r"[\\()]", r"\\\g<0>", line) for line in lines]
    text = f"BT /F1 14 Tf 20 TL 72 760 Td {' '.join(f'({line}) Tj T*' for line in escaped)} ET"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        " /Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(text)} >>\nstream\n{text}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    file = "%PDF-1.4\n"
    places: list[str] = []
    for number, one in enumerate(objects, 1):
        places.append(f"{len(file):010} 00000 n \n")
        file += f"{number} 0 obj\n{one}\nendobj\n"
    size = len(objects) + 1
    table = f"xref\n0 {size}\n0000000000 65535 f \n{''.join(places)}"
    end = f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(file)}\n%%EOF\n"
    return (file + table + end).encode("latin-1")
