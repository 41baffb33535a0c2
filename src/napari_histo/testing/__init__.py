"""Conformance suites for those who write their own readers, models or bridges.

Each module holds one pytest class; subclass it, give its fixtures, and the contract is tested.
pytest and hypothesis are needed, which ``pip install napari-histo[dev]`` brings.

`synthetic` draws pictures with known truth, `fake_bridge` is a project in memory; they need
neither.
"""
