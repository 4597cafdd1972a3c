"""Boxes in network namespaces, with faults: who they are (`world`), what people do with them (`load`), what must hold at the end (`checker`)."""
